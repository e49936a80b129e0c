import { hash, randomFillSync } from 'node:crypto'
import { setTimeout as timer } from 'node:timers/promises'
import type { Clock, Digest, RandomSource } from '../ports.ts'

// Longer timers fire at once (2^31 - 1 ms is the platform's limit).
const LONGEST_TIMER_MS = 2 ** 31 - 1

/** The system's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: async (ms, { signal }) => {
    signal.throwIfAborted()
    let left = Math.max(0, ms)
    do {
      const slice = Math.min(left, LONGEST_TIMER_MS)
      try {
        await timer(slice, undefined, { signal })
      } catch (error) {
        signal.throwIfAborted()
        throw error
      }
      left -= slice
    } while (left > 0)
  },
}

// One system call fills enough for some two hundred serial numbers; a request larger than a quarter goes past the pool.
const POOL_BYTES = 4096
const pool = new Uint8Array(POOL_BYTES)
let used = POOL_BYTES

/** The system's strong random numbers, drawn in batches; what was handed out is wiped from the pool. */
export const systemRandom: RandomSource = {
  bytes: (length) => {
    if (!Number.isSafeInteger(length) || length < 0)
      throw new RangeError('length must be a whole number of bytes, zero or more')
    if (length > POOL_BYTES / 4) return randomFillSync(new Uint8Array(length))
    if (used + length > POOL_BYTES) {
      randomFillSync(pool)
      used = 0
    }
    const bytes = pool.slice(used, used + length)
    pool.fill(0, used, used + length)
    used += length
    return bytes
  },
}

/** The system's hash functions. */
export const systemDigest: Digest = {
  sha256: (data) => {
    // One call with one letter for each byte as its answer costs a third of a hash object and a buffer.
    const text = hash('sha256', data, 'binary')
    const out = new Uint8Array(text.length)
    for (let index = 0; index < out.length; index += 1) out[index] = text.charCodeAt(index)
    return out
  },
}
