import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Call, violations } from './history.ts'

const append = (value: string, invoked: number, returned: number, index: number): Call => ({
  kind: 'append',
  value,
  invoked,
  returned,
  outcome: 'ok',
  index,
})
const read = (values: readonly string[], invoked: number, returned: number): Call => ({
  kind: 'read',
  values,
  invoked,
  returned,
})

describe('the checker of histories', () => {
  const good = [
    append('a', 1, 2, 1),
    append('b', 3, 6, 2),
    append('c', 4, 5, 3),
    read(['a'], 3, 4),
    read(['a', 'b', 'c'], 7, 8),
  ]

  it('finds nothing wrong with a history that is linearizable', () => {
    expect(violations(good, ['a', 'b', 'c'])).toEqual([])
    expect(violations([], [])).toEqual([])
  })

  it('catches an acknowledged entry that is lost', () => {
    expect(violations(good, ['a', 'b'])).toContain('c was acknowledged and is lost')
  })

  it('catches an entry that is there twice', () => {
    expect(violations(good, ['a', 'b', 'c', 'b'])).toContain('b is in the log twice')
  })

  it('catches entries in an order against time', () => {
    const swapped = [append('a', 1, 2, 2), append('b', 3, 4, 1)]
    expect(violations(swapped, ['b', 'a'])).toEqual(['b began after a was over, and stands before it'])
    expect(violations([append('a', 1, 3, 2), append('b', 2, 4, 1)], ['b', 'a'])).toEqual([])
  })

  it('catches an entry that stands elsewhere than it was acknowledged', () => {
    expect(violations([append('a', 1, 9, 1), append('b', 1, 9, 2)], ['b', 'a'])).toHaveLength(2)
  })

  it('catches an entry that was refused, and one that nobody appended', () => {
    const refused: Call = { kind: 'append', value: 'x', invoked: 1, returned: 2, outcome: 'failed' }
    expect(violations([refused], ['x'])).toEqual(['x was refused and is in the log'])
    expect(violations([refused], [])).toEqual([])
    expect(violations([], ['y'])).toEqual(['y was never appended'])
  })

  it('lets an unknown one be there or not, but not before it began', () => {
    const unknown: Call = { kind: 'append', value: 'u', invoked: 3, returned: 4, outcome: 'unknown' }
    const before = append('a', 1, 2, 1)
    expect(violations([before, unknown], ['a'])).toEqual([])
    expect(violations([before, unknown], ['a', 'u'])).toEqual([])
    expect(violations([append('a', 1, 2, 2), unknown], ['u', 'a'])).toHaveLength(1)
    // Long after everybody gave it up.
    expect(violations([append('a', 8, 9, 1), unknown], ['a', 'u'])).toEqual([])
  })

  it('catches a read that missed what was acknowledged, went back, saw the future or something else', () => {
    const two = [append('a', 1, 2, 1), append('b', 3, 4, 2)]
    const final = ['a', 'b']
    expect(violations([...two, read(['a'], 5, 6)], final)).toHaveLength(1)
    expect(violations([...two, read(['a'], 3, 6)], final)).toEqual([])
    expect(violations([...two, read(['a', 'b'], 3, 4), read(['a'], 5, 6)], final)).not.toEqual([])
    expect(violations([append('a', 3, 4, 1), read(['a'], 1, 2)], ['a'])).toHaveLength(1)
    expect(violations([...two, read(['b'], 3, 4)], final)).not.toEqual([])
  })

  it('agrees with a search through all orders', () => {
    const moment = fc.integer({ min: 0, max: 8 })
    const span = fc
      .tuple(moment, moment)
      .map(([a, b]) => ({ invoked: Math.min(a, b) * 2, returned: Math.max(a, b) * 2 + 1 }))
    const calls = fc.tuple(
      fc.array(span, { minLength: 1, maxLength: 3 }),
      fc.array(fc.tuple(span, fc.nat(3)), { maxLength: 2 }),
    )
    fc.assert(
      fc.property(calls, ([appends, reads]) => {
        const final = appends.map((_, at) => `v${at}`)
        const history: Call[] = [
          ...appends.map(({ invoked, returned }, at) => append(`v${at}`, invoked, returned, at + 1)),
          ...reads.map(([{ invoked, returned }, seen]) => read(final.slice(0, seen), invoked, returned)),
        ]
        expect(violations(history, final).length === 0).toBe(hasOrder(history, []))
      }),
      { numRuns: 300 },
    )
  })
})

/** Whether some order of all calls explains what each of them saw; tried out one after the other. */
function hasOrder(left: readonly Call[], log: readonly string[]): boolean {
  if (left.length === 0) return true
  return left.some((call, at) => {
    const others = left.filter((_, nth) => nth !== at)
    if (others.some((other) => other.returned < call.invoked)) return false
    if (call.kind === 'read') return call.values.join() === log.join() && hasOrder(others, log)
    return call.index === log.length + 1 && hasOrder(others, [...log, call.value])
  })
}
