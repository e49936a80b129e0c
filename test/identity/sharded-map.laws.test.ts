import fc from 'fast-check'
import { expect, it } from 'vitest'
import {
  changedKeys,
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

it('law: says which keys differ between any two maps, each once, and looks into nothing that both share', () => {
  const steps = fc.array(step, { maxLength: 40 })
  fc.assert(
    fc.property(steps, steps, fc.boolean(), (one, other, isNext) => {
      const play = (map: ShardedMap<number>, changes: typeof one): ShardedMap<number> =>
        changes.reduce(
          (each, { key, value }) => (value === null ? withoutEntry(each, key) : withEntry(each, key, value)),
          map,
        )
      const before = play(emptyShardedMap(), one)
      // One that came of the other, with which it shares most, or one with a history of its own.
      const after = play(isNext ? before : emptyShardedMap(), other)
      const keys = [...one, ...other].map(({ key }) => key)
      const differ = new Set(keys.filter((key) => lookUp(before, key) !== lookUp(after, key)))
      expect([...changedKeys(before, after)].sort()).toEqual([...differ].sort())
      expect([...changedKeys(after, before)].sort()).toEqual([...differ].sort())
    }),
  )
  let map: ShardedMap<number> = emptyShardedMap()
  for (let number = 0; number < 10_000; number += 1) map = withEntry(map, `node-${number}`, number)
  const untouchable: ShardedMap<number> = {
    size: map.size,
    rows: map.rows.map((row) =>
      row === null
        ? null
        : new Proxy(row, {
            get: () => {
              throw new Error('looked into a row that both share')
            },
          }),
    ),
  }
  expect([...changedKeys(untouchable, { ...untouchable })]).toEqual([])
})

it('spreads keys that differ in few letters', () => {
  let map: ShardedMap<number> = emptyShardedMap()
  for (let number = 0; number < 20_000; number += 1) map = withEntry(map, `node-${number}`, number)
  const sizes = map.rows.flatMap((row) => row?.map((shard) => shard?.size ?? 0) ?? [])
  expect(sizes.length).toBe(4096)
  expect(Math.max(...sizes)).toBeLessThan(30)
})
