import type { Clock } from '../ports.ts'
import type { Schedule } from './schedule.ts'
import { sleepOrWake } from './sleep-or-wake.ts'

/** One sleep is never longer, so that a machine that was suspended looks at its clock within the minute. */
export const MAX_SCHEDULE_SLEEP_MS = 60_000

/** How many come at once unless the host says otherwise. */
export const DEFAULT_BATCH_SIZE = 100

/** The least time between two batches unless the host says otherwise: with the batch size, 100 renewals a second. */
export const DEFAULT_BATCH_SPACING_MS = 1000

/** What {@link dueRenewals} works with. */
export interface DueOptions {
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Most identities in a batch. Default {@link DEFAULT_BATCH_SIZE}. */
  readonly batchSize?: number
  /** Milliseconds from one batch to the next, at least. Default {@link DEFAULT_BATCH_SPACING_MS}. */
  readonly spacingMs?: number
}

/**
 * The identities of a schedule as they become due, for as long as the caller asks for the next batch: the earliest first, never more
 * than `batchSize` in `spacingMs`, however many a jump of the clock or a long sleep has made due at once.
 *
 * Each entry comes once; the caller schedules it anew when it has been renewed, or later when that failed. One timer runs at a time,
 * never for longer than {@link MAX_SCHEDULE_SLEEP_MS}; one call at a time may iterate over a schedule.
 *
 * @returns Batches that are never empty. The iterator rejects with the signal's reason when that fires.
 * @throws RangeError unless `batchSize` is a whole number of 1 or more and `spacingMs` is 1 or more.
 */
export async function* dueRenewals(
  schedule: Schedule,
  options: DueOptions,
): AsyncGenerator<readonly number[], void, void> {
  const { clock, signal, batchSize = DEFAULT_BATCH_SIZE, spacingMs = DEFAULT_BATCH_SPACING_MS } = options
  if (!Number.isSafeInteger(batchSize) || batchSize < 1)
    throw new RangeError(`a batch has a whole number of identities, got ${batchSize}`)
  if (!(spacingMs >= 1)) throw new RangeError(`batches are at least 1 ms apart, got ${spacingMs}`)
  for (;;) {
    signal.throwIfAborted()
    const now = clock.now()
    const batch = schedule.take(now, batchSize)
    if (batch.length > 0) {
      yield batch
      // What the caller's work took counts; a clock that was set back meanwhile cannot lengthen the pause.
      const pause = Math.min(spacingMs, now + spacingMs - clock.now())
      if (pause > 0) await sleepOrWake(pause, { clock, signal })
      continue
    }
    const ms = Math.min(MAX_SCHEDULE_SLEEP_MS, (schedule.nextAt() ?? Infinity) - now)
    await sleepOrWake(ms, { clock, signal, wake: schedule.earlier })
  }
}
