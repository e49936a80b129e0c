import {
  type ClockSkew,
  certainSkewMs,
  isSkewed,
  issuerClock,
  measureSkew,
  type RenewalState,
  renewals,
  SKEW_TOLERANCE_MS,
} from '@leastwise/identity'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { manualClock } from '../support/manual-clock.ts'
import { testCluster } from '../support/test-authority.ts'

const HOUR_MS = 3_600_000
const holds = ({ leastMs, mostMs }: ClockSkew, trueMs: number): boolean => leastMs <= trueMs && trueMs <= mostMs

/** What an issuer of `rule` writes at `now`, in whole seconds. */
const certified = (now: number, lifetimeMs: number, backdateMs: number) => ({
  notBefore: Math.floor((now - backdateMs) / 1000) * 1000,
  notAfter: Math.floor((now + lifetimeMs) / 1000) * 1000,
})

describe('the measured skew', () => {
  it('law: the true difference lies within the bounds, which are as wide as the round trip and the rounding', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1e12, max: 2e12 }),
        fc.integer({ min: -1e9, max: 1e9 }),
        fc.nat(20_000),
        fc.nat(20_000),
        fc.integer({ min: 3_600_000, max: 1e11 }),
        fc.boolean(),
        (askedAt, trueMs, thereMs, backMs, lifetimeMs, docker) => {
          const backdateMs = docker ? HOUR_MS : Math.min(HOUR_MS, Math.floor(lifetimeMs / 4))
          const reading = issuerClock(certified(askedAt + thereMs + trueMs, lifetimeMs, backdateMs))
          const skew = measureSkew({ askedAt, answeredAt: askedAt + thereMs + backMs, ...reading })!
          expect(holds(skew, trueMs)).toBe(true)
          if (lifetimeMs >= 4 * HOUR_MS + 2000) expect(skew.mostMs - skew.leastMs).toBe(thereMs + backMs + 1500)
        },
      ),
    )
  })

  it('is none when the own clock was set back in between', () => {
    expect(measureSkew({ askedAt: 1000, answeredAt: 999, saidAt: 0, toleranceMs: 0 })).toBe(null)
    expect(measureSkew({ askedAt: Number.NaN, answeredAt: 999, saidAt: 0, toleranceMs: 0 })).toBe(null)
  })

  it('is certain only outside the bounds, and a warning only beyond five minutes', () => {
    expect(certainSkewMs({ leastMs: -3, mostMs: 4 })).toBe(0)
    expect(certainSkewMs({ leastMs: 3, mostMs: 4 })).toBe(3)
    expect(certainSkewMs({ leastMs: -4, mostMs: -3 })).toBe(-3)
    const by = (ms: number): ClockSkew => ({ leastMs: ms, mostMs: ms })
    expect([SKEW_TOLERANCE_MS, -SKEW_TOLERANCE_MS].map((ms) => isSkewed(by(ms)))).toEqual([false, false])
    expect([SKEW_TOLERANCE_MS + 1, -SKEW_TOLERANCE_MS - 1].map((ms) => isSkewed(by(ms)))).toEqual([true, true])
    expect(isSkewed({ leastMs: -1e9, mostMs: 1e9 })).toBe(false)
  })

  it('fits what our own issuer writes, for long and short lives', async () => {
    const cluster = await testCluster({ now: Date.UTC(2026, 10, 21, 12, 0, 0, 617) })
    for (const lifetimeMs of [60_000, HOUR_MS, 3 * HOUR_MS, 90 * 24 * HOUR_MS]) {
      const { certificate } = await cluster.issue({ lifetimeMs })
      const { saidAt, toleranceMs } = issuerClock(certificate)
      expect(Math.abs(saidAt - cluster.now)).toBeLessThanOrEqual(toleranceMs)
    }
  })

  it('stands in the state of a renewal, after the first one and with the next', async () => {
    const clock = manualClock()
    const states: RenewalState[] = []
    const stop = new AbortController()
    const aheadMs = 600_000
    const lifetimeMs = 10 * HOUR_MS
    const drive = (async () => {
      const schedule = renewals(certified(clock.now(), lifetimeMs, HOUR_MS), {
        renew: async () => {
          await clock.sleep(2000, { signal: stop.signal })
          return certified(clock.now() + aheadMs, lifetimeMs, HOUR_MS)
        },
        clock,
        jitter: () => 0.5,
        signal: stop.signal,
        issuerClock,
        onState: (state) => states.push(state),
      })
      for await (const _renewed of schedule);
    })().catch(() => undefined)
    await clock.advance(lifetimeMs)
    expect(states[0]?.clockSkew).toBe(null)
    const { clockSkew } = states.at(-1)!
    expect(holds(clockSkew!, aheadMs)).toBe(true)
    expect(isSkewed(clockSkew!)).toBe(true)
    stop.abort(new Error('over'))
    await drive
  })
})
