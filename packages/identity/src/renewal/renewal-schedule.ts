import type { Validity } from '../certificate/validity.ts'

/** Pause after the first failure, and the least time between two scheduled renewals; Docker Swarm's 5 s. */
export const RENEWAL_BASE_MS = 5000

/** Longest pause between two attempts; Docker Swarm's hour. */
export const RENEWAL_CAP_MS = 3_600_000

const EARLIEST = 0.5
const WINDOW = 0.3
/** Of the life that remains: a pause never costs more than this part of what is left to get through with. */
const REMAINING_PART = 1 / 8

function checkUnit(unit: number): void {
  if (!(unit >= 0 && unit < 1)) throw new RangeError(`a random draw lies in [0, 1), got ${unit}`)
}

/**
 * How long to wait before a certificate is renewed: to a point between 50 % and 80 % of its life (Docker Swarm's window),
 * so that the nodes of a cluster do not come all at once.
 *
 * @param unit - A random draw in [0, 1).
 * @returns Milliseconds, 0 when the point has passed.
 * @throws RangeError if `unit` is outside its bounds.
 */
export function renewalDelay({ notBefore, notAfter }: Validity, now: number, unit: number): number {
  checkUnit(unit)
  return Math.max(0, notBefore + (notAfter - notBefore) * (EARLIEST + WINDOW * unit) - now)
}

/** What {@link retryDelay} needs to know. */
export interface RetryOptions {
  /** Failures in a row so far, at least 1. */
  readonly failures: number
  /** Until the certificate ends; negative after that. */
  readonly remainingMs: number
  /** A random draw in [0, 1). */
  readonly unit: number
}

/**
 * How long to wait after a failed renewal: doubling from {@link RENEWAL_BASE_MS} to {@link RENEWAL_CAP_MS}, the upper half of it
 * random. While the certificate still lives the pause is at most an eighth of what remains (but not under the base), so that it
 * is not slept away; afterwards only the cap holds.
 *
 * @returns Milliseconds, never under half of {@link RENEWAL_BASE_MS}.
 * @throws RangeError if `failures` or `unit` is outside its bounds.
 */
export function retryDelay({ failures, remainingMs, unit }: RetryOptions): number {
  checkUnit(unit)
  if (!(failures >= 1)) throw new RangeError(`there is no retry after ${failures} failures`)
  const longest =
    remainingMs > 0 ? Math.min(RENEWAL_CAP_MS, Math.max(RENEWAL_BASE_MS, remainingMs * REMAINING_PART)) : RENEWAL_CAP_MS
  // 2 ** 10 is past the cap, so the exponent needs no more.
  const upper = Math.min(longest, RENEWAL_BASE_MS * 2 ** Math.min(failures - 1, 10))
  return upper * (0.5 + 0.5 * unit)
}
