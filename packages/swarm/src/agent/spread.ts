import type { RandomSource } from '../ports.ts'
import { unitOf } from './backoff.ts'

/** An agent whose trust has changed registers anew within this time, in milliseconds: a new bundle reaches all nodes in the same moment. */
export const REGISTRATION_SPREAD_MS = 2000

/** An even draw of more than nothing and up to `mostMs`, both in milliseconds. */
export const drawUpTo = (mostMs: number, random: RandomSource): number => mostMs * (1 - unitOf(random))

/**
 * Pauses between the heart-beats of one session. Docker's nodes beat at once and then by the period that the manager tells, so that all who came back in
 * the same moment, after a restart of the manager, go on in step, and its half second either way takes minutes to part them. Here the pause after the
 * first beat is drawn from the whole period: from then on the beats of all nodes together are even.
 *
 * @returns The pause after the next beat, in milliseconds, for the period that the manager has told with it.
 */
export function createBeatPauses(random: RandomSource): (periodMs: number) => number {
  let first = true
  return (periodMs) => {
    if (!first) return periodMs
    first = false
    return drawUpTo(periodMs, random)
  }
}
