import { RENEWAL_BASE_MS, RENEWAL_CAP_MS, renewalDelay, retryDelay } from '@leastwise/identity'
import fc from 'fast-check'
import { expect, it } from 'vitest'

const unit = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const instant = fc.integer({ min: 0, max: Date.UTC(2100, 0) })
const life = fc.integer({ min: 1000, max: 20 * 365 * 86_400_000 })

it('renews between 50 % and 80 % of life, or at once when that has passed', () => {
  fc.assert(
    fc.property(
      instant,
      life,
      fc.double({ min: -0.5, max: 1.5, noNaN: true }),
      unit,
      (notBefore, lifeMs, passed, draw) => {
        const now = notBefore + lifeMs * passed
        const delay = renewalDelay({ notBefore, notAfter: notBefore + lifeMs }, now, draw)
        expect(delay).toBeGreaterThanOrEqual(0)
        const at = (now + delay - notBefore) / lifeMs
        if (delay > 0) {
          expect(at).toBeGreaterThan(0.4999)
          expect(at).toBeLessThan(0.8001)
        } else {
          expect(passed).toBeGreaterThan(0.4999)
        }
      },
    ),
  )
})

it('spreads renewals evenly over the window', () => {
  const at = (draw: number): number => renewalDelay({ notBefore: 0, notAfter: 1000 }, 0, draw)
  expect([0, 0.25, 0.5, 0.75].map(at)).toEqual([500, 575, 650, 725])
})

it('pauses after every failure: never short, never past the cap, never sleeping away what is left of life', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1_000_000 }),
      fc.integer({ min: -RENEWAL_CAP_MS * 100, max: RENEWAL_CAP_MS * 100 }),
      unit,
      (failures, remainingMs, draw) => {
        const delay = retryDelay({ failures, remainingMs, unit: draw })
        expect(delay).toBeGreaterThanOrEqual(RENEWAL_BASE_MS / 2)
        expect(delay).toBeLessThanOrEqual(RENEWAL_CAP_MS)
        if (remainingMs > 0) expect(delay).toBeLessThanOrEqual(Math.max(RENEWAL_BASE_MS, remainingMs / 8))
        expect(delay).toBeLessThanOrEqual(retryDelay({ failures: failures + 1, remainingMs, unit: draw }))
      },
    ),
  )
})

it('wants a draw in [0, 1) and a failure to retry after', () => {
  for (const draw of [-0.1, 1, Number.NaN]) {
    expect(() => renewalDelay({ notBefore: 0, notAfter: 1 }, 0, draw)).toThrow(RangeError)
    expect(() => retryDelay({ failures: 1, remainingMs: 1, unit: draw })).toThrow(RangeError)
  }
  expect(() => retryDelay({ failures: 0, remainingMs: 1, unit: 0 })).toThrow(RangeError)
})
