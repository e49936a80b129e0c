import {
  createPoke,
  MAX_SLEEP_MS,
  POKE_SPACING_MS,
  RENEWAL_BASE_MS,
  RENEWAL_CAP_MS,
  type RenewalOptions,
  type RenewalState,
  renewals,
  type Validity,
} from '@leastwise/identity'
import { describe, expect, it } from 'vitest'
import { type ManualClock, manualClock } from '../support/manual-clock.ts'

const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000

const from = (notBefore: number, lifeMs: number): Validity => ({ notBefore, notAfter: notBefore + lifeMs })

interface Run {
  readonly clock: ManualClock
  readonly renewed: readonly Validity[]
  readonly states: readonly RenewalState[]
  readonly attemptsAt: readonly number[]
  readonly ended: Promise<unknown>
  readonly stop: () => void
}

/** Drives the iterator in the background; every wait is on the manual clock. */
function run(
  current: (now: number) => Validity,
  options: Partial<RenewalOptions<Validity>> & { readonly clock?: ManualClock } = {},
): Run {
  const clock = options.clock ?? manualClock()
  const stop = new AbortController()
  const renewed: Validity[] = []
  const states: RenewalState[] = []
  const attemptsAt: number[] = []
  const renew = options.renew ?? (async () => from(clock.now(), 90 * DAY_MS))
  const all: RenewalOptions<Validity> = {
    jitter: () => 0,
    signal: stop.signal,
    onState: (state) => states.push(state),
    ...options,
    clock,
    renew: async (each, rest) => {
      attemptsAt.push(clock.now())
      return await renew(each, rest)
    },
  }
  const drive = async (): Promise<void> => {
    for await (const each of renewals(current(clock.now()), all)) renewed.push(each)
  }
  const ended = drive().then(
    () => null,
    (error: unknown) => error,
  )
  return {
    clock,
    renewed,
    states,
    attemptsAt,
    ended,
    stop: () => {
      stop.abort(new Error('stopped'))
    },
  }
}

describe('the schedule', () => {
  it('renews at the drawn point of each life', async () => {
    const { clock, renewed, attemptsAt, stop } = run((now) => from(now, 90 * DAY_MS), { jitter: () => 0.5 })
    const start = clock.now()
    await clock.advance(90 * DAY_MS * 0.65 - 1)
    expect(renewed.length).toBe(0)
    await clock.advance(1)
    expect(renewed.length).toBe(1)
    await clock.advance(90 * DAY_MS * 0.65)
    expect(attemptsAt).toEqual([start + 90 * DAY_MS * 0.65, start + 90 * DAY_MS * 1.3])
    stop()
  })

  it('renews at once what is past its point', async () => {
    const { clock, renewed, stop } = run((now) => from(now - 89 * DAY_MS, 90 * DAY_MS))
    await clock.advance(0)
    expect(renewed.length).toBe(1)
    stop()
  })

  it('says when the next renewal is, and nothing while one runs', async () => {
    const { clock, states, stop } = run((now) => from(now, 90 * DAY_MS))
    const start = clock.now()
    await clock.advance(45 * DAY_MS)
    expect(states).toEqual([
      { nextRenewalAt: start + 45 * DAY_MS, lastError: null, attempts: 0, clockSkew: null },
      { nextRenewalAt: null, lastError: null, attempts: 0, clockSkew: null },
      { nextRenewalAt: start + 90 * DAY_MS, lastError: null, attempts: 0, clockSkew: null },
    ])
    stop()
  })

  it('never sleeps longer than an hour, so a clock that jumps ahead is noticed', async () => {
    const clock = manualClock()
    let ahead = 0
    const slept: number[] = []
    const jumping: ManualClock = {
      ...clock,
      now: () => clock.now() + ahead,
      sleep: async (ms, options) => {
        slept.push(ms)
        await clock.sleep(ms, options)
      },
    }
    const { renewed, stop } = run((now) => from(now, 90 * DAY_MS), { clock: jumping })
    await clock.advance(MAX_SLEEP_MS / 2)
    ahead = 60 * DAY_MS
    await clock.advance(MAX_SLEEP_MS / 2)
    expect(renewed.length).toBe(1)
    expect(Math.max(...slept)).toBe(MAX_SLEEP_MS)
    stop()
  })

  it('is not put off by a clock that is set back', async () => {
    const clock = manualClock()
    let behind = 0
    const jumping: ManualClock = { ...clock, now: () => clock.now() - behind }
    const { renewed, stop } = run((now) => from(now, 2 * DAY_MS), { clock: jumping })
    await clock.advance(HOUR_MS)
    behind = 365 * DAY_MS
    await clock.advance(DAY_MS)
    expect(renewed.length).toBe(1)
    stop()
  })
})

describe('failure', () => {
  it('is tried again with growing pauses for ever, and forgotten by a success', async () => {
    let failing = true
    const { clock, renewed, states, attemptsAt, stop } = run((now) => from(now, 90 * DAY_MS), {
      jitter: () => 0.999999,
      renew: async () => {
        if (failing) throw new Error('no manager answers')
        return from(clock.now(), 90 * DAY_MS)
      },
    })
    await clock.advance(100 * DAY_MS)
    const pauses = attemptsAt.slice(1).map((at, index) => at - attemptsAt[index]!)
    expect(pauses.slice(0, 4).map((ms) => Math.round(ms / 1000))).toEqual([5, 10, 20, 40])
    expect(Math.max(...pauses)).toBeLessThanOrEqual(RENEWAL_CAP_MS + 1)
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(RENEWAL_BASE_MS / 2)
    expect(states.at(-1)).toMatchObject({ attempts: attemptsAt.length, lastError: new Error('no manager answers') })
    failing = false
    await clock.advance(RENEWAL_CAP_MS + 1)
    expect(renewed.length).toBe(1)
    expect(states.at(-1)).toMatchObject({ attempts: 0, lastError: null })
    stop()
  })

  it('hands the identity in use to each attempt', async () => {
    const seen: Validity[] = []
    const { clock, stop } = run((now) => from(now - 90 * DAY_MS, 90 * DAY_MS), {
      renew: async (current) => {
        seen.push(current)
        throw new Error('no')
      },
    })
    await clock.advance(MAX_SLEEP_MS)
    expect(seen.length).toBeGreaterThan(2)
    expect(new Set(seen).size).toBe(1)
    stop()
  })
})

describe('no hot loop', () => {
  it('when new certificates are past their point from the start, or over', async () => {
    for (const life of [60_000, -60_000]) {
      const { clock, attemptsAt, stop } = run((now) => from(now - HOUR_MS, HOUR_MS + life), {
        renew: async () => from(clock.now() - HOUR_MS, HOUR_MS + life),
      })
      await clock.advance(60_000)
      const pauses = attemptsAt.slice(1).map((at, index) => at - (attemptsAt[index] ?? 0))
      expect(pauses.length).toBeGreaterThan(2)
      expect(Math.min(...pauses)).toBeGreaterThanOrEqual(RENEWAL_BASE_MS)
      stop()
    }
  })

  it('when the issuer lives in the past for weeks: pauses grow as after failures, and it is over when its clock is set', async () => {
    let behindMs = 100 * DAY_MS
    const { clock, renewed, attemptsAt, stop } = run((now) => from(now - 80 * DAY_MS, 90 * DAY_MS), {
      renew: async () => from(clock.now() - behindMs, 90 * DAY_MS),
      jitter: () => 0.999,
    })
    await clock.advance(14 * DAY_MS)
    const pauses = attemptsAt.slice(1).map((at, index) => at - (attemptsAt[index] ?? 0))
    expect(pauses[0]).toBe(RENEWAL_BASE_MS)
    for (const [index, pause] of pauses.entries()) expect(pause).toBeGreaterThanOrEqual(pauses[index - 1] ?? 0)
    expect(Math.max(...pauses)).toBeLessThanOrEqual(RENEWAL_CAP_MS)
    expect(attemptsAt.length).toBeLessThan(14 * 24 * 1.1)
    behindMs = 0
    await clock.advance(RENEWAL_CAP_MS)
    expect(renewed.at(-1)!.notBefore).toBeGreaterThan(clock.now() - RENEWAL_CAP_MS - 1)
    const count = attemptsAt.length
    await clock.advance(40 * DAY_MS)
    expect(attemptsAt.length).toBe(count)
    stop()
  })

  it('which leaves a short life its time: pauses are an eighth of what remains at most', async () => {
    // As an engine's shortest life is: an hour, after the hour before it. Each draw is the earliest, so that all are due at once.
    const { clock, attemptsAt, renewed, stop } = run((now) => from(now - HOUR_MS, 2 * HOUR_MS), {
      renew: async () => from(clock.now() - HOUR_MS, 2 * HOUR_MS),
    })
    await clock.advance(DAY_MS)
    expect(Math.max(...attemptsAt.slice(1).map((at, index) => at - (attemptsAt[index] ?? 0)))).toBeLessThanOrEqual(
      HOUR_MS / 8,
    )
    expect(renewed.at(-1)!.notAfter).toBeGreaterThan(clock.now() + HOUR_MS / 2)
    stop()
  })

  it('when the wake port always wakes', async () => {
    const { clock, attemptsAt, stop } = run((now) => from(now, 90 * DAY_MS), {
      wake: async () => {
        await Promise.resolve()
      },
    })
    await clock.advance(60_000)
    expect(attemptsAt.length).toBe(60_000 / POKE_SPACING_MS + 1)
    stop()
  })
})

describe('a poke', () => {
  it('renews at once, also out of a pause after a failure', async () => {
    const { poke, wake } = createPoke()
    let failing = false
    const { clock, renewed, attemptsAt, stop } = run((now) => from(now, 90 * DAY_MS), {
      wake,
      renew: async () => {
        if (failing) throw new Error('no')
        return from(clock.now(), 90 * DAY_MS)
      },
    })
    await clock.advance(HOUR_MS)
    poke()
    await clock.advance(0)
    expect(renewed.length).toBe(1)
    failing = true
    await clock.advance(HOUR_MS)
    poke()
    await clock.advance(0)
    await clock.advance(POKE_SPACING_MS)
    expect(attemptsAt.length).toBe(2)
    failing = false
    poke()
    await clock.advance(0)
    expect(renewed.length).toBe(2)
    stop()
  })

  it('that came while a renewal ran is not lost', async () => {
    const { poke, wake } = createPoke()
    const { clock, attemptsAt, stop } = run((now) => from(now, 90 * DAY_MS), {
      wake,
      renew: async () => {
        if (attemptsAt.length === 1) poke()
        return from(clock.now(), 90 * DAY_MS)
      },
    })
    poke()
    poke()
    await clock.advance(0)
    await clock.advance(POKE_SPACING_MS)
    expect(attemptsAt.length).toBe(2)
    await clock.advance(HOUR_MS)
    expect(attemptsAt.length).toBe(2)
    stop()
  })

  it('leaves no sleeper behind', async () => {
    const { poke, wake } = createPoke()
    const { clock, stop, ended } = run((now) => from(now, 90 * DAY_MS), { wake })
    await clock.advance(0)
    poke()
    await clock.advance(0)
    expect(clock.sleepers()).toBe(1)
    stop()
    await ended
    expect(clock.sleepers()).toBe(0)
  })
})

describe('the signal', () => {
  it('ends a wait, an attempt and an iterator that never began, with its reason', async () => {
    const waiting = run((now) => from(now, 90 * DAY_MS))
    await waiting.clock.advance(0)
    waiting.stop()
    expect(await waiting.ended).toEqual(new Error('stopped'))

    const poked = run((now) => from(now, 90 * DAY_MS), { wake: createPoke().wake })
    await poked.clock.advance(0)
    poked.stop()
    expect(await poked.ended).toEqual(new Error('stopped'))

    const working = run((now) => from(now - DAY_MS, DAY_MS), {
      renew: async (_, { signal }) =>
        await new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            reject(new Error('cut off'))
          })
        }),
    })
    await working.clock.advance(0)
    working.stop()
    expect(await working.ended).toEqual(new Error('stopped'))

    const never = run((now) => from(now, DAY_MS), { signal: AbortSignal.abort(new Error('before')) })
    expect(await never.ended).toEqual(new Error('before'))
  })

  it('aborts a wake without using the poke up', async () => {
    const { poke, wake } = createPoke()
    const stop = new AbortController()
    const waiting = wake({ signal: stop.signal })
    stop.abort(new Error('stopped'))
    await expect(waiting).rejects.toThrow('stopped')
    poke()
    await expect(wake({ signal: stop.signal })).rejects.toThrow('stopped')
    await expect(wake({ signal: new AbortController().signal })).resolves.toBeUndefined()
  })

  it('aborts one wake while the next begins, which still hears a poke', async () => {
    const { poke, wake } = createPoke()
    const stop = new AbortController()
    const first = wake({ signal: stop.signal })
    stop.abort(new Error('stopped'))
    const second = wake({ signal: new AbortController().signal })
    await expect(first).rejects.toThrow('stopped')
    poke()
    await expect(second).resolves.toBeUndefined()
  })
})

it('a wake port that fails ends the iterator with its error', async () => {
  const { ended } = run((now) => from(now, DAY_MS), {
    wake: async () => {
      throw new Error('broken')
    },
  })
  expect(await ended).toEqual(new Error('broken'))
})
