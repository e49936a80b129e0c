import {
  type Eviction,
  type EvictionBook,
  type EvictionCommand,
  emptyEvictionSet,
  evictionBook,
  evictionBookEvents,
  evictionHitting,
  evictionsIn,
  findEviction,
  isNodeEvicted,
  isSerialEvicted,
  listedIssuers,
  MAX_EVICTIONS,
  noEvictions,
  notEvicted,
  viewOf,
  withEvictions,
  withoutEnded,
} from '@leastwise/identity'
import { describe, expect, it } from 'vitest'
import { testNodeId } from '../support/test-authority.ts'

const HOUR_MS = 3_600_000
const NOW = Date.UTC(2026, 10, 21)
const END = NOW + 100 * HOUR_MS
const node = (number: number, until: number = END): Eviction => ({
  kind: 'node',
  nodeId: testNodeId(number),
  reason: 'privilege-withdrawn',
  at: NOW,
  until,
})
const certificate = (serial: string, until: number = END): Eviction => ({
  kind: 'certificate',
  serial,
  issuerKeyId: null,
  reason: 'key-compromise',
  at: NOW,
  until,
})
const apply = (book: EvictionBook, ...commands: readonly EvictionCommand[]): EvictionBook =>
  commands.reduce((each, command) => evictionBook.decide(each, command).reduce(evictionBook.evolve, each), book)
const add = (...evictions: readonly Eviction[]): EvictionCommand => ({ type: 'add', evictions })

describe('who is evicted', () => {
  const { set } = apply(evictionBook.initial, add(node(1), certificate('4a01')))

  it('is found by node and by serial number, and nobody else is', () => {
    expect(evictionHitting(set, { nodeId: testNodeId(1), serial: '77' }, NOW)).toBe('node')
    expect(evictionHitting(set, { nodeId: testNodeId(2), serial: '4a01' }, NOW)).toBe('certificate')
    expect(evictionHitting(set, { nodeId: testNodeId(2), serial: '4a02' }, NOW)).toBeNull()
    expect(isNodeEvicted(set, testNodeId(1), NOW)).toBe(true)
    expect(isSerialEvicted(set, '4a01', NOW)).toBe(true)
    expect(evictionHitting(emptyEvictionSet, { nodeId: testNodeId(1), serial: '4a01' }, NOW)).toBeNull()
  })

  it('is so up to the full hour of the end, and then not any more, without anybody doing anything', () => {
    const odd = withEvictions(emptyEvictionSet, [node(1, END + 1000)])
    expect(isNodeEvicted(odd, testNodeId(1), END + HOUR_MS)).toBe(true)
    expect(isNodeEvicted(odd, testNodeId(1), END + HOUR_MS + 1)).toBe(false)
    expect(isNodeEvicted(set, testNodeId(1), END)).toBe(true)
    expect(isNodeEvicted(set, testNodeId(1), END + 1)).toBe(false)
  })

  it('a longer end counts, a shorter one does not, in whatever order they come', () => {
    for (const order of [
      [node(1), node(1, END + HOUR_MS)],
      [node(1, END + HOUR_MS), node(1)],
    ]) {
      const one = withEvictions(emptyEvictionSet, order)
      const each = order.reduce((all, eviction) => withEvictions(all, [eviction]), emptyEvictionSet)
      expect(one).toEqual(each)
      expect(one.size).toBe(1)
      expect(isNodeEvicted(one, testNodeId(1), END + HOUR_MS)).toBe(true)
    }
  })

  it('nothing is copied for nothing', () => {
    expect(withEvictions(set, [])).toBe(set)
    expect(withoutEnded(set, END)).toBe(set)
    expect(withoutEnded(set, END + 1)).toEqual(emptyEvictionSet)
  })

  it('a change shares all but one bucket with the set before, which stays as it was', () => {
    const many = withEvictions(
      emptyEvictionSet,
      Array.from({ length: 20_000 }, (_, at) => node(at)),
    )
    expect(many.size).toBe(20_000)
    const more = withEvictions(many, [node(20_000)])
    expect(more.size).toBe(20_001)
    expect(isNodeEvicted(many, testNodeId(20_000), NOW)).toBe(false)
    expect(more.buckets.rows.filter((row, at) => row === many.buckets.rows[at])).toHaveLength(63)
    for (let at = 0; at <= 20_000; at += 1) expect(isNodeEvicted(more, testNodeId(at), NOW)).toBe(true)
    for (let at = 20_001; at < 40_000; at += 1) expect(isNodeEvicted(more, testNodeId(at), NOW)).toBe(false)
  })
})

describe('the book', () => {
  it('gives each event a number of its own, and none to what is known already', () => {
    const one = apply(evictionBook.initial, add(node(1)))
    expect(one.sequence).toBe(1)
    expect(evictionBook.decide(one, add(node(1)))).toEqual([])
    expect(evictionBook.decide(one, add(node(1, END - HOUR_MS)))).toEqual([])
    const two = apply(one, add(node(1, END + HOUR_MS), certificate('4a01')))
    expect([two.sequence, two.size]).toEqual([2, 2])
    expect(findEviction(two, node(1))?.until).toBe(END + HOUR_MS)
    expect(findEviction(two, node(2))).toBeNull()
  })

  it('keeps each eviction in full', () => {
    const all = [
      node(1),
      { ...node(2), reason: 'unspecified' as const },
      certificate('4a01'),
      { ...certificate('7f'.repeat(20)), issuerKeyId: 'ab'.repeat(20), reason: 'ca-compromise' as const },
    ]
    const book = apply(evictionBook.initial, add(...all))
    expect(new Set([...evictionsIn(book)].map((each) => JSON.stringify(each)))).toEqual(
      new Set(all.map((each) => JSON.stringify(each))),
    )
    for (const each of all) expect(findEviction(book, each)).toEqual(each)
  })

  it('forgets what has ended, and never its number', () => {
    const book = apply(evictionBook.initial, add(node(1)), add(node(2, END + HOUR_MS)))
    expect(evictionBook.decide(book, { type: 'forget-ended', now: END })).toEqual([])
    const later = apply(book, { type: 'forget-ended', now: END + 1 })
    expect([later.size, later.set.size, later.sequence]).toEqual([1, 1, 2])
    const last = apply(later, { type: 'forget-ended', now: END + 2 * HOUR_MS })
    expect([...evictionsIn(last)]).toEqual([])
    const again = [...evictionBookEvents(last)].reduce(evictionBook.evolve, evictionBook.initial)
    expect(again).toEqual(last)
    expect(again.sequence).toBe(2)
    expect([...evictionBookEvents(evictionBook.initial)]).toEqual([])
  })

  it('splits what is large into events that are cheap to apply', () => {
    const events = evictionBook.decide(evictionBook.initial, add(...Array.from({ length: 2500 }, (_, at) => node(at))))
    expect(events.map((event) => (event.type === 'evictions-added' ? event.evictions.length : 0))).toEqual([
      1000, 1000, 500,
    ])
    const book = events.reduce(evictionBook.evolve, evictionBook.initial)
    expect([book.size, book.sequence]).toEqual([2500, 3])
    expect([...evictionBookEvents(book)].reduce(evictionBook.evolve, evictionBook.initial)).toEqual(book)
  })

  it('is full at its limit', () => {
    const full = { ...apply(evictionBook.initial, add(node(1))), size: MAX_EVICTIONS }
    expect(() => evictionBook.decide(full, add(node(2)))).toThrowCode('EVICTIONS_FULL')
    expect(evictionBook.decide(full, add(node(1, END + HOUR_MS)))).toHaveLength(1)
  })

  it('takes nothing that it could not write down', () => {
    const refuse = (eviction: Eviction): void => {
      expect(() => evictionBook.decide(evictionBook.initial, add(eviction))).toThrow()
    }
    for (const until of [NOW, NOW - 1000, END + 1, Number.NaN, 2 ** 50 * 1000]) refuse(node(1, until))
    refuse({ ...node(1), at: NOW + 0.5 })
    refuse({ ...node(1), nodeId: 'nobody' } as never)
    for (const serial of ['', '0', '4A', '00aa', 'xy', 'ab'.repeat(21)]) refuse(certificate(serial))
    refuse({ ...certificate('4a'), issuerKeyId: 'zz' } as Eviction)
    expect(() => evictionBook.decide(evictionBook.initial, { type: 'forget-ended', now: Number.NaN })).toThrow(
      RangeError,
    )
  })
})

describe('the authorizer', () => {
  const peer = { nodeId: testNodeId(1), serial: '4a01' }
  const judge = (book: EvictionBook, whenStale: 'refuse' | 'pass', validUntil?: number) => () => {
    const view = validUntil === undefined ? viewOf(book) : { ...viewOf(book), validUntil }
    notEvicted({ readView: () => view, now: () => NOW, whenStale })(peer)
  }

  it('refuses by node and by certificate', () => {
    expect(judge(evictionBook.initial, 'refuse')).not.toThrow()
    expect(judge(apply(evictionBook.initial, add(node(1))), 'pass')).toThrowCode('PEER_EVICTED')
    expect(judge(apply(evictionBook.initial, add(certificate('4a01'))), 'pass')).toThrowCode('PEER_EVICTED')
    expect(judge(apply(evictionBook.initial, add(certificate('4a02'), node(2))), 'refuse')).not.toThrow()
  })

  it('without fresh lists refuses everybody, if it is told so', () => {
    expect(judge(evictionBook.initial, 'refuse', NOW)).not.toThrow()
    expect(judge(evictionBook.initial, 'refuse', NOW - 1)).toThrowCode('EVICTIONS_STALE')
    expect(judge(evictionBook.initial, 'pass', NOW - 1)).not.toThrow()
    expect(() => {
      notEvicted({ readView: () => noEvictions, now: () => NOW, whenStale: 'refuse' })(peer)
    }).toThrowCode('EVICTIONS_STALE')
    // Who is known to be evicted hears that first.
    expect(judge(apply(evictionBook.initial, add(node(1))), 'refuse', NOW - 1)).toThrowCode('PEER_EVICTED')
  })

  it('names the intermediates that are evicted, by serial number', () => {
    const view = viewOf(apply(evictionBook.initial, add(certificate('4a01'))))
    const isRevoked = listedIssuers({ readView: () => view, now: () => NOW })
    const issuer = (serial: string) => ({ serial, isCa: true, subject: { attributes: [] } }) as never
    expect(isRevoked(issuer('4a01'))).toBe(true)
    expect(isRevoked(issuer('4a02'))).toBe(false)
  })
})
