import fc from 'fast-check'
import { expect, it } from 'vitest'
import { emptyMap, get, type PersistentMap, put, remove, values } from '../../packages/tokens/src/persistent-map.ts'

// Short keys over two letters: prefixes of each other, the empty key, long common beginnings.
const name = fc.string({ unit: fc.constantFrom('a', '0'), maxLength: 5 })
const edits = fc.array(
  fc.oneof(fc.tuple(fc.constant('put'), name, fc.integer()), fc.tuple(fc.constant('remove'), name, fc.constant(0))),
  { maxLength: 60 },
)

it('does what a Map does, and leaves every earlier version as it was', () => {
  fc.assert(
    fc.property(edits, (list) => {
      const oracle = new Map<string, number>()
      let map: PersistentMap<number> = emptyMap()
      const versions: [PersistentMap<number>, string][] = []
      for (const [what, at, value] of list) {
        versions.push([map, JSON.stringify(map)])
        map = what === 'put' ? put(map, at, value) : remove(map, at)
        if (what === 'put') oracle.set(at, value)
        else oracle.delete(at)
        expect(map.size).toBe(oracle.size)
        expect(get(map, at)).toBe(oracle.get(at) ?? null)
      }
      expect([...values(map)].sort()).toEqual([...oracle.values()].sort())
      for (const [version, text] of versions) expect(JSON.stringify(version)).toBe(text)
    }),
  )
})

it('has one shape for the same entries, whatever the way there', () => {
  fc.assert(
    fc.property(edits, (list) => {
      let map: PersistentMap<number> = emptyMap()
      const oracle = new Map<string, number>()
      for (const [what, at, value] of list) {
        map = what === 'put' ? put(map, at, value) : remove(map, at)
        if (what === 'put') oracle.set(at, value)
        else oracle.delete(at)
      }
      const straight = [...oracle].reduce((grown, [at, value]) => put(grown, at, value), emptyMap<number>())
      expect(map).toEqual(straight)
    }),
  )
})

it('shares what it does not change', () => {
  const small = put(put(emptyMap<number>(), 'aa', 1), 'b0', 2)
  const grown = put(small, 'b1', 3)
  if (small.root === null || grown.root === null || 'key' in small.root || 'key' in grown.root)
    throw new Error('not branches')
  expect(grown.root.children['a']).toBe(small.root.children['a'])
  expect(remove(small, 'zz')).toBe(small)
})
