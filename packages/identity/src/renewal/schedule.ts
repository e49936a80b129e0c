import { createInstantHeap } from './instant-heap.ts'
import { createPoke } from './poke.ts'

/** Most identities of one schedule. A number costs 4 bytes even when lower ones are not used: all of them, 64 MiB. */
export const MAX_SCHEDULED: number = 2 ** 24

/**
 * When which of many identities is to be renewed. It knows no clock: whoever asks says what time it is, so that neither a suspended
 * machine nor a clock that is set forward or back can lose an entry or give one twice.
 *
 * Identities are numbers that the host gives out, from 0 upwards; 16 bytes for each are enough, twice that while arrays grow.
 */
export interface Schedule {
  /** How many are scheduled. */
  readonly size: () => number
  /**
   * Schedules `id`, anew when it was scheduled already.
   *
   * @param at - Epoch milliseconds, as {@link renewalDelay} leads to them; may lie in the past.
   * @throws RangeError unless `id` is a whole number under {@link MAX_SCHEDULED} and `at` is finite.
   */
  readonly add: (id: number, at: number) => void
  /** Takes `id` out; false when it was not scheduled. */
  readonly cancel: (id: number) => boolean
  /** When `id` is due, or `null`. */
  readonly instantOf: (id: number) => number | null
  /** Takes out those that are due at `now`, the earliest first, at most `max` of them. */
  readonly take: (now: number, max: number) => readonly number[]
  /** When the earliest is due, or `null`. */
  readonly nextAt: () => number | null
  /** Resolves when the earliest instant has become an earlier one; for the one who sleeps until it. */
  readonly earlier: (options: { readonly signal: AbortSignal }) => Promise<void>
}

/** What {@link createSchedule} may be told. */
export interface ScheduleOptions {
  /** Room from the start, so that nothing is copied while it fills. */
  readonly capacity?: number
}

/**
 * A {@link Schedule} without entries.
 *
 * @throws RangeError unless `capacity` is a whole number up to {@link MAX_SCHEDULED}.
 */
export function createSchedule(options: ScheduleOptions = {}): Schedule {
  const { capacity = 0 } = options
  if (!Number.isSafeInteger(capacity) || capacity < 0 || capacity > MAX_SCHEDULED)
    throw new RangeError(`capacity must be a whole number up to ${MAX_SCHEDULED}, got ${capacity}`)
  const heap = createInstantHeap(capacity)
  const poke = createPoke()
  return {
    size: heap.size,
    add: (id, at) => {
      if (!Number.isInteger(id) || id < 0 || id >= MAX_SCHEDULED)
        throw new RangeError(`an identity is a whole number from 0 to ${MAX_SCHEDULED - 1}, got ${id}`)
      if (!Number.isFinite(at)) throw new RangeError(`an instant is a finite number of milliseconds, got ${at}`)
      const before = heap.firstAt()
      heap.set(id, at)
      if (at < before) poke.poke()
    },
    cancel: heap.remove,
    instantOf: heap.at,
    take: (now, max) => {
      const taken: number[] = []
      while (taken.length < max && heap.firstAt() <= now) {
        const id = heap.first()
        heap.remove(id)
        taken.push(id)
      }
      return taken
    },
    nextAt: () => (heap.size() === 0 ? null : heap.firstAt()),
    earlier: poke.wake,
  }
}
