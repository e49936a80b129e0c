import { createSchedule, MAX_SCHEDULED, type Schedule } from '@leastwise/identity'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

/** The same, dumb: a list that is sorted at each look. */
function sortedList() {
  const entries = new Map<number, number>()
  const inOrder = (): [number, number][] => [...entries].sort(([a, x], [b, y]) => x - y || a - b)
  return {
    add: (id: number, at: number) => entries.set(id, at),
    cancel: (id: number) => entries.delete(id),
    take: (now: number, max: number): number[] => {
      const taken = inOrder()
        .filter(([, at]) => at <= now)
        .slice(0, max)
        .map(([id]) => id)
      for (const id of taken) entries.delete(id)
      return taken
    },
    nextAt: (): number | null => inOrder()[0]?.[1] ?? null,
    instantOf: (id: number): number | null => entries.get(id) ?? null,
    size: () => entries.size,
  }
}

const id = fc.oneof(fc.nat(15), fc.nat(3000))
const at = fc.oneof(fc.integer({ min: -20, max: 20 }), fc.double({ noNaN: true, noDefaultInfinity: true }))

class Add implements fc.Command<ReturnType<typeof sortedList>, Schedule> {
  readonly id: number
  readonly at: number
  constructor(id: number, at: number) {
    this.id = id
    this.at = at
  }
  check = (): boolean => true
  run(model: ReturnType<typeof sortedList>, real: Schedule): void {
    model.add(this.id, this.at)
    real.add(this.id, this.at)
    expect(real.instantOf(this.id)).toBe(this.at)
  }
  toString = (): string => `add(${this.id}, ${this.at})`
}

class Cancel implements fc.Command<ReturnType<typeof sortedList>, Schedule> {
  readonly id: number
  constructor(id: number) {
    this.id = id
  }
  check = (): boolean => true
  run(model: ReturnType<typeof sortedList>, real: Schedule): void {
    expect(real.cancel(this.id)).toBe(model.cancel(this.id))
    expect(real.instantOf(this.id)).toBe(null)
  }
  toString = (): string => `cancel(${this.id})`
}

/** The clock of a take may be anything: it jumps in both directions. */
class Take implements fc.Command<ReturnType<typeof sortedList>, Schedule> {
  readonly now: number
  readonly max: number
  constructor(now: number, max: number) {
    this.now = now
    this.max = max
  }
  check = (): boolean => true
  run(model: ReturnType<typeof sortedList>, real: Schedule): void {
    expect(real.take(this.now, this.max)).toEqual(model.take(this.now, this.max))
    expect(real.nextAt()).toBe(model.nextAt())
    expect(real.size()).toBe(model.size())
  }
  toString = (): string => `take(${this.now}, ${this.max})`
}

const commands = fc.commands(
  [
    fc.tuple(id, at).map(([each, when]) => new Add(each, when)),
    id.map((each) => new Cancel(each)),
    fc.tuple(at, fc.nat(8)).map(([now, max]) => new Take(now, max)),
  ],
  { maxCommands: 200, size: 'max' },
)

describe('a schedule', () => {
  it('law: gives what a sorted list gives, whatever is added, moved and cancelled, and however the clock jumps', () => {
    fc.assert(
      fc.property(fc.nat(40), commands, (capacity, orders) => {
        fc.modelRun(() => ({ model: sortedList(), real: createSchedule({ capacity }) }), orders)
      }),
      { numRuns: 200 },
    )
  })

  it('law: what was added comes once, in order, over any batches', () => {
    fc.assert(
      fc.property(fc.array(at, { maxLength: 600 }), fc.integer({ min: 1, max: 50 }), (instants, max) => {
        const schedule = createSchedule()
        instants.forEach((when, each) => {
          schedule.add(each, when)
        })
        const taken: number[] = []
        while (schedule.size() > 0) taken.push(...schedule.take(Number.MAX_VALUE, max))
        const expected = instants.map((_, each) => each).sort((a, b) => instants[a]! - instants[b]! || a - b)
        expect(taken).toEqual(expected)
      }),
    )
  })

  it('holds instants beyond any timer', () => {
    const schedule = createSchedule()
    const century = 100 * 365 * 86_400_000
    schedule.add(3, century)
    expect(schedule.take(century - 1, 1)).toEqual([])
    expect(schedule.nextAt()).toBe(century)
    expect(schedule.take(century, 1)).toEqual([3])
    expect(schedule.nextAt()).toBe(null)
  })

  it('wants whole numbers that it has room for, and finite instants', () => {
    const schedule = createSchedule()
    for (const wrong of [-1, 1.5, Number.NaN, MAX_SCHEDULED])
      expect(() => {
        schedule.add(wrong, 0)
      }).toThrow(RangeError)
    for (const wrong of [Number.NaN, Infinity, -Infinity])
      expect(() => {
        schedule.add(0, wrong)
      }).toThrow(RangeError)
    for (const capacity of [-1, 0.5, MAX_SCHEDULED + 1]) expect(() => createSchedule({ capacity })).toThrow(RangeError)
    expect(schedule.size()).toBe(0)
    for (const nobody of [0, -1, 0.5, 1e9]) {
      expect(schedule.cancel(nobody)).toBe(false)
      expect(schedule.instantOf(nobody)).toBe(null)
    }
  })
})
