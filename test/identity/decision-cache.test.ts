import { createDecisionCache } from '@leastwise/identity/node'
import { expect, it } from 'vitest'
import { manualClock } from '../support/manual-clock.ts'

interface Counted {
  readonly decide: () => string
  readonly calls: () => number
}

const counted = (): Counted => {
  let calls = 0
  return { decide: () => `decision ${(calls += 1)}`, calls: () => calls }
}

it('decides once for one key and epoch', () => {
  const { decide, calls } = counted()
  const cache = createDecisionCache<string>({ max: 10, ttlMs: 1000, clock: manualClock() })
  expect(cache.recall('a', 1, decide)).toBe('decision 1')
  expect(cache.recall('a', 1, decide)).toBe('decision 1')
  expect(cache.recall('b', 1, decide)).toBe('decision 2')
  expect(calls()).toBe(2)
})

it('never gives what was decided under another epoch', () => {
  const { decide } = counted()
  const cache = createDecisionCache<string>({ max: 10, ttlMs: 1000, clock: manualClock() })
  cache.recall('a', 1, decide)
  expect(cache.recall('a', 2, decide)).toBe('decision 2')
  expect(cache.recall('a', 1, decide)).toBe('decision 3')
  expect(cache.size).toBe(1)
})

it('forgets by the clock that it was given', async () => {
  const { decide } = counted()
  const clock = manualClock()
  const cache = createDecisionCache<string>({ max: 10, ttlMs: 1000, clock })
  cache.recall('a', 1, decide)
  await clock.advance(1000)
  expect(cache.recall('a', 1, decide)).toBe('decision 1')
  await clock.advance(1)
  expect(cache.recall('a', 1, decide)).toBe('decision 2')
})

it('keeps nothing for longer because the clock was set back, or began at zero', () => {
  for (const start of [Date.UTC(2026, 10, 21), 0]) {
    const { decide } = counted()
    let now = start
    const cache = createDecisionCache<string>({ max: 10, ttlMs: 1000, clock: { now: () => now } })
    cache.recall('a', 1, decide)
    now = start + 1001
    expect(cache.recall('a', 1, decide)).toBe('decision 2')
    now -= 86_400_000
    expect(cache.recall('a', 1, decide)).toBe('decision 3')
    now += 1000
    expect(cache.recall('a', 1, decide)).toBe('decision 3')
    now += 1
    expect(cache.recall('a', 1, decide)).toBe('decision 4')
  }
})

it('does not outlive the decision itself, and does not keep one that is over', async () => {
  const { decide } = counted()
  const clock = manualClock()
  const end = clock.now() + 100
  const cache = createDecisionCache<string>({ max: 10, ttlMs: 1000, clock, expiresAt: () => end })
  cache.recall('a', 1, decide)
  await clock.advance(99)
  expect(cache.recall('a', 1, decide)).toBe('decision 1')
  await clock.advance(2)
  expect(cache.recall('a', 1, decide)).toBe('decision 2')
  expect(cache.recall('a', 1, decide)).toBe('decision 3')
})

it('does not remember refusals', () => {
  const cache = createDecisionCache<string>({ max: 10, ttlMs: 1000, clock: manualClock() })
  const refuse = (): string => {
    throw new Error('no')
  }
  expect(() => cache.recall('a', 1, refuse)).toThrow('no')
  expect(cache.recall('a', 1, () => 'yes')).toBe('yes')
})

it('is bounded, and can be emptied', () => {
  const { decide, calls } = counted()
  const cache = createDecisionCache<string>({ max: 2, ttlMs: 1000, clock: manualClock() })
  for (const key of ['a', 'b', 'c']) cache.recall(key, 1, decide)
  expect(cache.size).toBe(2)
  cache.recall('a', 1, decide)
  expect(calls()).toBe(4)
  cache.clear()
  expect(cache.size).toBe(0)
})
