import type { Validity } from '../certificate/validity.ts'
import type { Clock } from '../ports.ts'
import { RENEWAL_BASE_MS, renewalDelay, retryDelay } from './renewal-schedule.ts'
import { type ClockReading, type ClockSkew, measureSkew } from './skew.ts'
import { sleepOrWake } from './sleep-or-wake.ts'

/** One sleep is never longer, so that a suspended machine or a corrected clock is noticed within the hour. */
export const MAX_SLEEP_MS = 3_600_000

/** Least time between the end of one attempt and a poked one, so that a port which always wakes makes no hot loop. */
export const POKE_SPACING_MS = 1000

/** How the renewal of one identity stands. */
export interface RenewalState {
  /** Instant of the next attempt unless poked, epoch milliseconds; `null` while an attempt runs. */
  readonly nextRenewalAt: number | null
  /** Why the last attempt failed; `null` when it did not. */
  readonly lastError: unknown
  /** Failed attempts in a row. */
  readonly attempts: number
  /** How far the issuer's clock is ahead, as the last renewal showed; `null` until one did, or without {@link RenewalOptions.issuerClock}. */
  readonly clockSkew: ClockSkew | null
}

/** What {@link renewals} works with. */
export interface RenewalOptions<Identity extends Validity> {
  /**
   * Gets the next identity: a new key, a CSR, an answer, all of it durable before the promise resolves. The identity that is passed
   * in stays in use until then. Anything thrown counts as a failure and is tried again.
   */
  readonly renew: (current: Identity, options: { readonly signal: AbortSignal }) => Promise<Identity>
  readonly clock: Clock
  /** A fresh random draw in [0, 1) at each call. */
  readonly jitter: () => number
  readonly signal: AbortSignal
  /**
   * What a fresh identity says of its issuer's clock: {@link issuerClock}, unless the issuer sets the start back in a way of its own. Only
   * reported, never acted on: whoever answers could make a node renew when it pleases him.
   */
  readonly issuerClock?: (identity: Identity) => ClockReading
  /** Told whenever the state changes; must not throw. */
  readonly onState?: (state: RenewalState) => void
  /** Resolves when a renewal is wanted now; see {@link createPoke}. An aborted wait must not use a poke up. */
  readonly wake?: (options: { readonly signal: AbortSignal }) => Promise<void>
}

/**
 * Renews an identity for as long as the caller asks for the next one: at a random point between 50 % and 80 % of each life, at once
 * when that has passed, when poked, and after a failure with growing pauses, also late in life and after the end.
 *
 * No state of clock, certificate or port makes it a hot loop: two scheduled attempts are at least {@link RENEWAL_BASE_MS} apart, with pauses that grow as
 * after failures while what comes is past its point already (the clock of node or issuer is wrong); a failed and the next one at least half of that, a poked one {@link POKE_SPACING_MS}. Time is read from the clock again after each
 * sleep of at most {@link MAX_SLEEP_MS}; a clock that is set back cannot lengthen a pause.
 *
 * @param current - The identity in use.
 * @returns Each renewed identity, when `renew` has given it. The iterator rejects with the signal's reason when that fires.
 * @see Docker Swarm renews in the same window.
 */
export async function* renewals<Identity extends Validity>(
  current: Identity,
  options: RenewalOptions<Identity>,
): AsyncGenerator<Identity, void, void> {
  const { renew, clock, jitter, signal, onState } = options
  let identity = current
  let attempts = 0
  let lastError: unknown = null
  let clockSkew: ClockSkew | null = null
  let pokeFrom = -Infinity
  const report = (nextRenewalAt: number | null): void => onState?.({ nextRenewalAt, lastError, attempts, clockSkew })

  // Until `dueAt` by the clock, but for `longestMs` of sleep at most, or until poked.
  const pause = async (dueAt: number, longestMs: number): Promise<void> => {
    report(dueAt)
    let left = longestMs
    for (;;) {
      const ms = Math.min(dueAt - clock.now(), left, MAX_SLEEP_MS)
      if (ms <= 0) return
      if ((await sleepOrWake(ms, options)) === 'woken') break
      left -= ms
    }
    const spacing = Math.min(pokeFrom + POKE_SPACING_MS - clock.now(), POKE_SPACING_MS)
    if (spacing > 0) await sleepOrWake(spacing, { clock, signal })
  }

  let renewedAt: number | null = null
  // Renewals in a row that gave what had to be renewed at once.
  let fruitless = 0
  const renewalPause = (now: number, unit: number): number => {
    const delay = renewalDelay(identity, now, unit)
    if (renewedAt === null) return delay
    fruitless = renewalDelay(identity, renewedAt, unit) > 0 ? 0 : fruitless + 1
    const floor = fruitless === 0 ? 0 : retryDelay({ failures: fruitless, remainingMs: identity.notAfter - now, unit })
    return Math.max(RENEWAL_BASE_MS, floor, delay)
  }
  for (;;) {
    signal.throwIfAborted()
    const now = clock.now()
    const delay =
      attempts === 0
        ? renewalPause(now, jitter())
        : retryDelay({ failures: attempts, remainingMs: identity.notAfter - now, unit: jitter() })
    await pause(now + delay, delay)
    report(null)
    const askedAt = clock.now()
    try {
      identity = await renew(identity, { signal })
      attempts = 0
      lastError = null
      renewedAt = clock.now()
    } catch (error) {
      signal.throwIfAborted()
      attempts += 1
      lastError = error
    }
    pokeFrom = clock.now()
    if (attempts > 0) continue
    if (options.issuerClock !== undefined)
      clockSkew = measureSkew({ askedAt, answeredAt: pokeFrom, ...options.issuerClock(identity) }) ?? clockSkew
    yield identity
  }
}
