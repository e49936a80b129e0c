import fc from 'fast-check'
import { expect, it } from 'vitest'
import { createSortedSet } from '../../packages/identity/src/sorted-set.ts'

const numbers = (a: number, b: number): number => a - b

it('law: holds what was added and not removed, in order, however many there are', () => {
  // Few keys meet often, many fill several chunks.
  for (const [most, steps] of [
    [20, 200],
    [2000, 3000],
  ] as const) {
    const step = fc.tuple(fc.integer({ min: -most, max: most }), fc.boolean())
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: steps, size: 'max' }),
        fc.integer({ min: -most, max: most }),
        (all, from) => {
          const oracle = new Set<number>()
          const set = createSortedSet(numbers)
          for (const [number, adds] of all) {
            if (!adds) set.remove(number)
            else if (!oracle.has(number)) set.add(number)
            if (adds) oracle.add(number)
            else oracle.delete(number)
          }
          expect(set.size()).toBe(oracle.size)
          expect([...set.values()]).toEqual([...oracle].sort(numbers))
          expect(set.countLast((number) => number >= from)).toBe([...oracle].filter((each) => each >= from).length)
          set.clear()
          expect([...set.values()]).toEqual([])
          expect([set.size(), set.countLast(() => true)]).toEqual([0, 0])
        },
      ),
      { numRuns: 60 },
    )
  }
})

it('compares little where ten thousand are', () => {
  let compared = 0
  const set = createSortedSet<number>((a, b) => {
    compared += 1
    return a - b
  })
  // In an order in which they come to lie everywhere.
  for (let number = 0; number < 10_000; number += 1) set.add((number * 7919) % 10_007)
  compared = 0
  for (let number = 0; number < 100; number += 1) set.remove((number * 7919) % 10_007)
  expect(set.size()).toBe(9900)
  expect(compared).toBeLessThan(100 * 20)
})
