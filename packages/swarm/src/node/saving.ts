import { createPoke } from '@leastwise/identity'
import { unitOf } from '../agent/backoff.ts'
import type { Clock, RandomSource } from '../ports.ts'

/** First pause before what could not be saved is saved again, in milliseconds; each next one is twice as long. */
const FIRST_PAUSE_MS = 1000
/** The longest pause: a disk that has room again is used within a minute. */
export const MAX_PAUSE_MS = 60_000

/** What {@link createSaving} works with. */
export interface SavingOptions<T> {
  readonly save: (value: T) => Promise<void>
  readonly onFailure: (error: unknown, retryInMs: number) => void
  readonly clock: Clock
  readonly random: RandomSource
}

/** Something that a manager has told once, and may not tell again soon. */
export interface Saving<T> {
  /** Saves it, or leaves it to {@link Saving.insist}; what was to be saved before is of no interest any more. Never rejects. */
  readonly take: (value: T) => Promise<void>
  /** Nothing is left to save. */
  readonly forget: () => void
  /** Saves what could not be saved, until the signal aborts. */
  readonly insist: (signal: AbortSignal) => Promise<void>
}

export function createSaving<T>({ save, onFailure, clock, random }: SavingOptions<T>): Saving<T> {
  let wanted: { readonly value: T } | null = null
  let pauseMs = 0
  let retryInMs = 0
  // One at a time, or an older value could be written over a newer one.
  let tries: Promise<void> = Promise.resolve()
  const failed = createPoke()

  const attempt = async (): Promise<void> => {
    const mine = wanted
    if (mine === null) return
    try {
      await save(mine.value)
      if (wanted === mine) wanted = null
    } catch (error) {
      if (wanted !== mine) return
      pauseMs = Math.min(Math.max(FIRST_PAUSE_MS, 2 * pauseMs), MAX_PAUSE_MS)
      retryInMs = pauseMs * (1 - unitOf(random) / 2)
      onFailure(error, retryInMs)
      failed.poke()
    }
  }
  const inTurn = async (): Promise<void> => {
    tries = tries.then(attempt)
    await tries
  }

  return {
    take: async (value) => {
      wanted = { value }
      pauseMs = 0
      await inTurn()
    },
    forget: () => {
      wanted = null
    },
    insist: async (signal) => {
      for (;;) {
        await failed.wake({ signal })
        await clock.sleep(retryInMs, { signal })
        await inTurn()
      }
    },
  }
}
