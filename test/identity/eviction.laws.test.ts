import {
  type Eviction,
  type EvictionBook,
  type EvictionEvent,
  evictionBook,
  evictionBookEvents,
  evictionHitting,
  evictionsIn,
  noEvictions,
  withEvictionList,
} from '@leastwise/identity'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { testClusterId, testNodeId } from '../support/test-authority.ts'

const HOUR_MS = 3_600_000
const facts = {
  reason: fc.constantFrom('unspecified' as const, 'superseded' as const),
  at: fc.constant(0),
  until: fc.integer({ min: 1, max: 40 }).map((quarter) => (quarter * HOUR_MS) / 4),
}
const eviction: fc.Arbitrary<Eviction> = fc.oneof(
  fc.record({ kind: fc.constant('node' as const), nodeId: fc.nat(5).map(testNodeId), ...facts }),
  fc.record({
    kind: fc.constant('certificate' as const),
    serial: fc.integer({ min: 16, max: 22 }).map((number) => number.toString(16)),
    issuerKeyId: fc.constantFrom(null, 'abcd'),
    ...facts,
  }),
)
type Step = { readonly add: readonly Eviction[] } | { readonly forgetAt: number }
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.array(eviction, { maxLength: 5 }).map((add) => ({ add })),
  fc.nat(12).map((hour) => ({ forgetAt: hour * HOUR_MS + 1 })),
)
const targetOf = (each: Eviction): string => (each.kind === 'node' ? each.nodeId : each.serial)
const endOf = (until: number): number => Math.ceil(until / HOUR_MS) * HOUR_MS

it('does what a plain map does; replay and snapshot give the same book, and a peer that hears the events the same answers', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
      const plain = new Map<string, Eviction>()
      // A peer forgets nothing before its end, so it refuses whatever was ever evicted for longest.
      const heard = new Map<string, number>()
      const log: EvictionEvent[] = []
      let book: EvictionBook = evictionBook.initial
      let view = noEvictions
      for (const each of steps) {
        const command =
          'add' in each
            ? ({ type: 'add', evictions: each.add } as const)
            : ({ type: 'forget-ended', now: each.forgetAt } as const)
        const before = book.sequence
        const events = evictionBook.decide(book, command)
        log.push(...events)
        book = events.reduce(evictionBook.evolve, book)
        if ('add' in each) {
          for (const one of each.add)
            if (one.until > (plain.get(targetOf(one))?.until ?? 0)) plain.set(targetOf(one), one)
          for (const one of each.add) heard.set(targetOf(one), Math.max(one.until, heard.get(targetOf(one)) ?? 0))
          const evictions = events.flatMap((event) => (event.type === 'evictions-added' ? event.evictions : []))
          const list = {
            clusterId: testClusterId(1),
            sequence: book.sequence,
            base: before,
            issuedAt: 0,
            validUntil: 1,
          }
          view = withEvictionList(view, { ...list, evictions })
        } else {
          for (const [target, one] of plain) if (endOf(one.until) < each.forgetAt) plain.delete(target)
        }
        expect(book.size).toBe(plain.size)
        expect(book.set.size).toBe(plain.size)
        expect(new Map([...evictionsIn(book)].map((one) => [targetOf(one), one]))).toEqual(plain)
        expect(book.sequence).toBeGreaterThanOrEqual(before)
      }
      for (let hour = 0; hour <= 12; hour += 1) {
        const now = hour * HOUR_MS
        for (const one of plain.values()) {
          const subject = {
            nodeId: one.kind === 'node' ? one.nodeId : '',
            serial: one.kind === 'node' ? '' : one.serial,
          }
          const wanted = now <= endOf(one.until) ? one.kind : null
          expect(evictionHitting(book.set, subject, now)).toBe(wanted)
          const ever = now <= endOf(heard.get(targetOf(one)) ?? 0) ? one.kind : null
          expect(evictionHitting(view.set, subject, now)).toBe(ever)
        }
      }
      const replayed = (JSON.parse(JSON.stringify(log)) as EvictionEvent[]).reduce(
        evictionBook.evolve,
        evictionBook.initial,
      )
      expect(replayed).toEqual(book)
      expect([...evictionBookEvents(book)].reduce(evictionBook.evolve, evictionBook.initial)).toEqual(book)
    }),
    { numRuns: 150 },
  )
})
