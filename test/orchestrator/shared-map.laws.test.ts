import fc from 'fast-check'
import { expect, it } from 'vitest'
import {
  emptySharedMap,
  lookUp,
  type SharedMap,
  valuesOf,
  withEntry,
  withoutEntry,
} from '../../examples/orchestrator/shared-map.ts'

const key = fc.oneof(
  fc.integer({ min: 0, max: 400 }).map((number) => `task-${number}`),
  // Their hashes are the same, all 32 bits.
  fc.constantFrom(...collisions()),
)

/** Eighteen keys of one hash, so that a leaf grows where the bits end. */
function collisions(): readonly string[] {
  // FNV-1a by 16-bit units: the second unit can undo any difference of the first within those bits.
  const fnv = (text: string): number => {
    let hash = 0x811c9dc5
    for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
    return hash >>> 0
  }
  const seen = new Map<number, string>()
  const found: string[] = []
  for (let first = 0; first < 65_536 && found.length < 18; first += 1) {
    const text = String.fromCharCode(first)
    const high = fnv(text) & 0xffff0000
    const other = seen.get(high)
    if (other === undefined) {
      seen.set(high, text)
      continue
    }
    const low = (fnv(text) ^ fnv(other)) & 0xffff
    found.push(`${text}a`, other + String.fromCharCode(low ^ 0x61))
  }
  return found
}

it('is what a plain map is after any history, and never changed', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(key, fc.option(fc.nat(9))), { maxLength: 300 }), (steps) => {
      let map: SharedMap<number> = emptySharedMap()
      const plain = new Map<string, number>()
      const [early, earlier] = [[] as SharedMap<number>[], [] as (readonly number[])[]]
      for (const [at, value] of steps) {
        early.push(map)
        earlier.push([...valuesOf(map)])
        map = value === null ? withoutEntry(map, at) : withEntry(map, at, value)
        if (value === null) plain.delete(at)
        else plain.set(at, value)
      }
      expect(map.size).toBe(plain.size)
      for (const [at] of steps) expect(lookUp(map, at)).toBe(plain.get(at) ?? null)
      expect([...valuesOf(map)].sort()).toEqual([...plain.values()].sort())
      for (const [index, one] of early.entries()) expect([...valuesOf(one)]).toEqual(earlier[index])
    }),
  )
})

it('holds keys of one hash', () => {
  const keys = collisions()
  expect(new Set(keys).size).toBeGreaterThan(16)
  const full = keys.reduce((map, each, index) => withEntry(map, each, index), emptySharedMap<number>())
  for (const [index, each] of keys.entries()) expect(lookUp(full, each)).toBe(index)
  expect(keys.reduce(withoutEntry, full)).toEqual(emptySharedMap())
})
