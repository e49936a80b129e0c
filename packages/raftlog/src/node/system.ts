import { randomBytes } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import type { Clock, RandomSource } from '../ports.ts'

/** The system's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: async (ms, { signal }) => {
    signal.throwIfAborted()
    await wait(ms, undefined, { signal }).catch((error: unknown) => {
      signal.throwIfAborted()
      throw error
    })
  },
}

/** The system's cryptographic random bytes. */
export const systemRandom: RandomSource = { bytes: (length) => new Uint8Array(randomBytes(length)) }
