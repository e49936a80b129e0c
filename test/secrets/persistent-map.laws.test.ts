import fc from 'fast-check'
import { expect, it } from 'vitest'
import { PersistentMap } from '../../packages/secrets/src/persistent-map.ts'

// Few keys, so that they meet again, and some with a meaning to objects.
const key = fc.oneof(
  fc.nat({ max: 300 }).map((n) => `k${n}`),
  fc.constantFrom('', '\u0000', '__proto__'),
)
const step = fc.tuple(fc.constantFrom('with', 'without'), key, fc.nat())

it('behaves as a Map does, and every older map stays as it was', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      let map = PersistentMap.empty<number>()
      const model = new Map<string, number>()
      const past: [PersistentMap<number>, Map<string, number>][] = []
      for (const [kind, at, value] of steps) {
        if (value % 50 === 0) past.push([map, new Map(model)])
        if (kind === 'with') {
          map = map.with(at, value)
          model.set(at, value)
        } else {
          map = map.without(at)
          model.delete(at)
        }
        expect(map.size).toBe(model.size)
        expect(map.get(at)).toBe(model.get(at))
      }
      for (const [old, copy] of [...past, [map, model] as const]) expect(new Map(old.entries())).toEqual(copy)
    }),
  )
})

it('stays right when it is deep and when half of it goes', () => {
  let map = PersistentMap.empty<number>()
  for (let at = 0; at < 50_000; at += 1) map = map.with(`${at}`, at)
  for (let at = 0; at < 50_000; at += 1) expect(map.get(`${at}`)).toBe(at)
  for (let at = 0; at < 50_000; at += 2) map = map.without(`${at}`)
  expect([map.size, map.get('1'), map.get('2')]).toEqual([25_000, 1, undefined])
})

/** FNV-1a as the map uses it, before the last mixing: equal here is equal there. */
const fnv = (text: string, start: number): number => {
  let h = start
  for (let at = 0; at < text.length; at += 1) h = Math.imul(h ^ text.charCodeAt(at), 0x01000193)
  return h
}

/** Two texts of two units that lead from one state of the hash to the same other. */
function collision(start: number): readonly [string, string] {
  const seen = new Map<number, readonly [unit: number, low: number]>()
  for (let unit = 0; ; unit += 1) {
    const h = Math.imul(start ^ unit, 0x01000193)
    const before = seen.get(h >>> 16)
    if (before !== undefined)
      return [String.fromCharCode(before[0], 1), String.fromCharCode(unit, 1 ^ before[1] ^ (h & 0xffff))]
    seen.set(h >>> 16, [unit, h & 0xffff])
  }
}

it('keeps keys apart whose hashes are the same in every bit', () => {
  let keys = ['']
  let state = 0x811c9dc5 | 0
  for (let block = 0; block < 5; block += 1) {
    const [one, other] = collision(state)
    keys = keys.flatMap((prefix) => [prefix + one, prefix + other])
    state = fnv(one, state)
  }
  expect(new Set(keys).size).toBe(32)
  expect(new Set(keys.map((text) => fnv(text, 0x811c9dc5 | 0))).size).toBe(1)
  let map = PersistentMap.empty<number>()
  for (const [at, text] of keys.entries()) map = map.with(text, at)
  expect(keys.map((text) => map.get(text))).toEqual([...keys.keys()])
  for (const text of keys.slice(1)) map = map.without(text)
  expect([map.size, map.get(keys[0] ?? ''), map.get(keys[1] ?? '')]).toEqual([1, 0, undefined])
})
