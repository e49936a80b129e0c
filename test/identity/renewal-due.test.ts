import {
  createSchedule,
  DEFAULT_BATCH_SIZE,
  DEFAULT_BATCH_SPACING_MS,
  type DueOptions,
  dueRenewals,
  MAX_SCHEDULE_SLEEP_MS,
  type Schedule,
} from '@leastwise/identity'
import { describe, expect, it } from 'vitest'
import { type ManualClock, manualClock } from '../support/manual-clock.ts'

const DAY_MS = 86_400_000

interface Run {
  readonly schedule: Schedule
  readonly clock: ManualClock
  /** Sets the clock by so much, in either direction, with no time passing. */
  readonly jump: (ms: number) => void
  readonly start: number
  /** Each batch with how much time really passed before it. */
  readonly batches: { readonly after: number; readonly ids: readonly number[] }[]
  readonly slept: number[]
  readonly stop: () => void
  readonly ended: Promise<unknown>
}

function run(options: Partial<DueOptions> & { readonly work?: (ids: readonly number[]) => Promise<void> } = {}): Run {
  const clock = manualClock()
  const schedule = createSchedule()
  const controller = new AbortController()
  const batches: Run['batches'] = []
  const slept: number[] = []
  let ahead = 0
  const start = clock.now()
  const { work, ...rest } = options
  const jumping = {
    now: () => clock.now() + ahead,
    sleep: async (ms: number, waiting: { readonly signal: AbortSignal }) => {
      slept.push(ms)
      await clock.sleep(ms, waiting)
    },
  }
  const ended = (async () => {
    for await (const ids of dueRenewals(schedule, { clock: jumping, signal: controller.signal, ...rest })) {
      batches.push({ after: clock.now() - start, ids })
      await work?.(ids)
    }
  })().catch((error: unknown) => error)
  return {
    schedule,
    clock,
    start,
    batches,
    slept,
    ended,
    jump: (ms) => {
      ahead += ms
    },
    stop: () => {
      controller.abort(new Error('stopped'))
    },
  }
}

describe('renewals that are due', () => {
  it('come at their instants, the earliest first, on one timer', async () => {
    const { schedule, clock, start, batches, stop, ended } = run({ spacingMs: 1 })
    for (const [id, after] of [
      [7, 3000],
      [1, 1000],
      [4, 2000],
    ] as const)
      schedule.add(id, start + after)
    for (let at = 0; at < 30; at += 1) {
      await clock.advance(100)
      expect(clock.sleepers()).toBe(1)
    }
    expect(batches).toEqual([
      { after: 1000, ids: [1] },
      { after: 2000, ids: [4] },
      { after: 3000, ids: [7] },
    ])
    stop()
    expect(await ended).toEqual(new Error('stopped'))
    expect(clock.sleepers()).toBe(0)
  })

  it('never sleep longer than a minute, however far the next one is', async () => {
    const { schedule, clock, start, slept, batches, stop } = run()
    schedule.add(0, start + 30 * DAY_MS)
    await clock.advance(DAY_MS)
    expect(Math.max(...slept)).toBe(MAX_SCHEDULE_SLEEP_MS)
    expect(batches).toEqual([])
    stop()
  })

  it('are woken by an earlier one that is added meanwhile', async () => {
    const { schedule, clock, start, batches, stop } = run()
    schedule.add(0, start + 50_000)
    await clock.advance(1000)
    schedule.add(1, start + 2000)
    await clock.advance(1000)
    expect(batches).toEqual([{ after: 2000, ids: [1] }])
    stop()
  })

  it('that were moved or cancelled come at their new time, or not at all', async () => {
    const { schedule, clock, start, batches, stop } = run()
    for (const id of [0, 1, 2]) schedule.add(id, start + 1000)
    schedule.add(1, start + 5000)
    schedule.cancel(2)
    await clock.advance(10_000)
    expect(batches).toEqual([
      { after: 1000, ids: [0] },
      { after: 5000, ids: [1] },
    ])
    stop()
  })

  it('after a jump ahead, or a long sleep of the machine, come in order and paced, never all at once', async () => {
    const { schedule, clock, start, jump, batches, stop } = run()
    const count = 10 * DEFAULT_BATCH_SIZE
    for (let id = 0; id < count; id += 1) schedule.add(id, start + DAY_MS + (count - id) * 60_000)
    await clock.advance(10_000)
    jump(30 * DAY_MS)
    await clock.advance(MAX_SCHEDULE_SLEEP_MS)
    await clock.advance(20_000)
    expect(batches.length).toBe(10)
    expect(batches.flatMap(({ ids }) => ids)).toEqual(Array.from({ length: count }, (_, at) => count - 1 - at))
    batches.slice(1).forEach(({ after }, at) => {
      expect(after - batches[at]!.after).toBeGreaterThanOrEqual(DEFAULT_BATCH_SPACING_MS)
    })
    stop()
  })

  it('after a jump back never come twice, and nobody waits longer for it than by the clock', async () => {
    const { schedule, clock, start, jump, batches, stop } = run()
    schedule.add(0, start + 5000)
    schedule.add(1, start + 20_000)
    await clock.advance(6000)
    expect(batches.map(({ ids }) => ids)).toEqual([[0]])
    jump(-10_000)
    await clock.advance(20_000)
    expect(batches.map(({ ids }) => ids)).toEqual([[0]])
    await clock.advance(10_000)
    expect(batches.slice(1)).toEqual([{ after: 30_000, ids: [1] }])
    stop()
  })

  it('a jump back between two batches does not lengthen the pause', async () => {
    const { schedule, clock, start, jump, batches, stop } = run({ batchSize: 1, spacingMs: 500 })
    for (const id of [0, 1]) schedule.add(id, start - DAY_MS)
    await clock.advance(0)
    jump(-1000)
    await clock.advance(500)
    expect(batches.map(({ ids }) => ids)).toEqual([[0], [1]])
    stop()
  })

  it('leave as much time between batches as is asked for, and count the work as part of it', async () => {
    let busyMs = 0
    const { schedule, clock, start, batches, stop } = run({
      batchSize: 2,
      spacingMs: 1000,
      work: async () => {
        if (busyMs > 0) await clock.sleep(busyMs, { signal: new AbortController().signal })
      },
    })
    for (let id = 0; id < 8; id += 1) schedule.add(id, start)
    busyMs = 400
    await clock.advance(0)
    busyMs = 3000
    await clock.advance(1000)
    busyMs = 0
    await clock.advance(10_000)
    expect(batches.map(({ after }) => after)).toEqual([0, 1000, 4000, 5000])
    stop()
  })

  it('wants a batch of one or more, and some time between two', async () => {
    for (const wrong of [{ batchSize: 0 }, { batchSize: 1.5 }, { spacingMs: 0 }, { spacingMs: Number.NaN }])
      expect(await run(wrong).ended).toBeInstanceOf(RangeError)
  })
})
