import type { Validity } from '../certificate/validity.ts'
import { MAX_BACKDATE_MS } from '../issuing/lifetime.ts'

/**
 * How far another clock is ahead of this one: at least `leastMs`, at most `mostMs`; negative where it is behind. It is a bound, not an
 * estimate, as long as this clock was not set back between question and answer.
 */
export interface ClockSkew {
  readonly leastMs: number
  readonly mostMs: number
}

/** What another clock said: `saidAt` in epoch milliseconds, give or take `toleranceMs`. */
export interface ClockReading {
  readonly saidAt: number
  readonly toleranceMs: number
}

/** When this clock asked and got its answer, and what the answer says. */
export interface SkewSample extends ClockReading {
  readonly askedAt: number
  readonly answeredAt: number
}

/** Beyond this the clocks of a node and its managers do not go together: five minutes, as Kerberos has it. */
export const SKEW_TOLERANCE_MS = 300_000

// Half of the second that is cut off, and what the guess at the backdate may be off for the same reason.
const ROUNDING_MS = 750
const HOUR_MS = 3_600_000

/**
 * What a certificate that was just issued says of its issuer's clock: its start, and how far that was set back. Issuers of this package and
 * Docker Swarm's set it back by an hour; for lives under four hours ours take a quarter, so between two and five hours of period
 * both are possible, and the reading says so.
 */
export function issuerClock({ notBefore, notAfter }: Validity): ClockReading {
  const period = notAfter - notBefore
  const ours = Math.min(MAX_BACKDATE_MS, period / 5)
  // A stock engine's certificate lives for an hour at least, after the hour before it.
  const dockers = period < 2 * HOUR_MS ? ours : MAX_BACKDATE_MS
  return { saidAt: notBefore + (ours + dockers) / 2 + 500, toleranceMs: (dockers - ours) / 2 + ROUNDING_MS }
}

/**
 * Bounds the difference between two clocks from one question and its answer: the other clock was read somewhere in between.
 *
 * @returns The bounds, as wide as the round trip and the tolerance; `null` when this clock was set back meanwhile.
 */
export function measureSkew({ askedAt, answeredAt, saidAt, toleranceMs }: SkewSample): ClockSkew | null {
  if (!(answeredAt >= askedAt)) return null
  return { leastMs: saidAt - toleranceMs - answeredAt, mostMs: saidAt + toleranceMs - askedAt }
}

/** What is certain of a difference: its least size, with its sign; 0 while the clocks may agree. */
export const certainSkewMs = ({ leastMs, mostMs }: ClockSkew): number => Math.max(leastMs, 0) + Math.min(mostMs, 0)

/** True when the clocks certainly differ by more than {@link SKEW_TOLERANCE_MS}: one of them has to be set. */
export const isSkewed = (skew: ClockSkew): boolean => Math.abs(certainSkewMs(skew)) > SKEW_TOLERANCE_MS
