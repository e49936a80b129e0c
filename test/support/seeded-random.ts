/** Deterministic bytes (xorshift128) that also remembers every draw, so that a test can see a nonce reused. */
export interface SeededRandom {
  readonly bytes: (length: number) => Uint8Array<ArrayBuffer>
  readonly draws: readonly Uint8Array[]
}

export function seededRandom(seed: number): SeededRandom {
  const state = new Uint32Array([seed ^ 0x9e3779b9, seed + 0x7f4a7c15, (seed * 31) >>> 0, 0x2545f491])
  const draws: Uint8Array[] = []
  const word = (): number => {
    let t = state[3] ?? 0
    const s = state[0] ?? 0
    state[3] = state[2] ?? 0
    state[2] = state[1] ?? 0
    state[1] = s
    t ^= t << 11
    t ^= t >>> 8
    state[0] = t ^ s ^ (s >>> 19)
    return state[0] >>> 0
  }
  return {
    draws,
    bytes: (length) => {
      const out = new Uint8Array(length)
      for (let at = 0; at < length; at += 1) out[at] = word() & 0xff
      draws.push(out.slice())
      return out
    },
  }
}
