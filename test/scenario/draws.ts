/** Draws in [0, 1) that are the same in each run. */
export interface Draws {
  readonly unit: () => number
  /** A whole number from `least` to `most`, both possible. */
  readonly between: (least: number, most: number) => number
}

/** 32 bits of state, stepped by an odd constant and mixed: for a simulation, not for secrets. */
export function drawsFrom(seed: number): Draws {
  let state = seed >>> 0
  const unit = (): number => {
    state = (state + 0x9e3779b9) >>> 0
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad)
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32
  }
  return { unit, between: (least, most) => least + Math.floor(unit() * (most - least + 1)) }
}
