import fc from 'fast-check'
import { expect, it } from 'vitest'
import {
  emptyShardedMap,
  lookUp,
  type ShardedMap,
  valuesOf,
  withEntry,
  withoutEntry,
} from '../../packages/identity/src/sharded-map.ts'

const step = fc.record({ key: fc.string({ maxLength: 2 }), value: fc.option(fc.nat(99), { nil: null }) })

it('is a map, leaves the map before alone, and has one shape for one content', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const oracle = new Map<string, number>()
      let map: ShardedMap<number> = emptyShardedMap()
      for (const { key, value } of steps) {
        const before = structuredClone(map)
        const next = value === null ? withoutEntry(map, key) : withEntry(map, key, value)
        expect(map).toEqual(before)
        map = next
        if (value === null) oracle.delete(key)
        else oracle.set(key, value)
        expect(lookUp(map, key)).toBe(value)
      }
      expect(map.size).toBe(oracle.size)
      expect([...valuesOf(map)].sort()).toEqual([...oracle.values()].sort())
      for (const [key, value] of oracle) expect(lookUp(map, key)).toBe(value)
      const anew = [...oracle].reduce((each, [key, value]) => withEntry(each, key, value), emptyShardedMap<number>())
      expect(map).toEqual(anew)
    }),
  )
})

it('spreads keys that differ in few letters', () => {
  let map: ShardedMap<number> = emptyShardedMap()
  for (let number = 0; number < 20_000; number += 1) map = withEntry(map, `node-${number}`, number)
  const sizes = map.rows.flatMap((row) => row?.map((shard) => shard?.size ?? 0) ?? [])
  expect(sizes.length).toBe(4096)
  expect(Math.max(...sizes)).toBeLessThan(30)
})
