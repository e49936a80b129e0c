import type { Validity } from '../certificate/validity.ts'
import { IdentityError } from '../errors.ts'
import { allowShortLifetime, type Grant } from '../issuing/issue.ts'
import { backdateFor, MAX_BACKDATE_MS, MIN_LIFETIME_MS } from '../issuing/lifetime.ts'

const SECOND_MS = 1000

/** Whole seconds, as certificates have them. */
const floorSecond = (instant: number): number => Math.floor(instant / SECOND_MS) * SECOND_MS

/**
 * The period that a grant asks for.
 *
 * @throws {@link IdentityError} `LIFETIME_TOO_SHORT` below {@link MIN_LIFETIME_MS}.
 * @throws RangeError if a duration or instant is not a sensible number.
 */
export function askedValidity(grant: Grant, now: number): Validity {
  const { lifetimeMs, backdateMs = backdateFor(lifetimeMs) } = grant
  if (!Number.isFinite(now) || !(lifetimeMs > 0) || !Number.isFinite(lifetimeMs))
    throw new RangeError('now and lifetimeMs must be numbers, lifetimeMs above zero')
  if (!(backdateMs >= 0 && backdateMs <= MAX_BACKDATE_MS))
    throw new RangeError(`backdateMs must be between 0 and ${MAX_BACKDATE_MS}`)
  if (lifetimeMs < MIN_LIFETIME_MS && grant[allowShortLifetime] !== true)
    throw new IdentityError('LIFETIME_TOO_SHORT', `lifetime is under ${MIN_LIFETIME_MS} ms; grant at least that`)
  return { notBefore: floorSecond(now - backdateMs), notAfter: floorSecond(now + lifetimeMs) }
}
