import { IdentityError } from '../errors.ts'
import type { Decider } from '../ports.ts'
import { type Buckets, bucketOf, emptyBuckets, occupied, withBuckets } from './buckets.ts'
import { type Eviction, placeOf, targetOf } from './eviction.ts'
import { checkEviction, encodeEviction, readEviction } from './eviction-codec.ts'
import { type EvictionSet, emptyEvictionSet, lastInstantOf, withEvictions, withoutEnded } from './eviction-set.ts'

/**
 * What the managers know of evictions: the set that decides, and each one in full for lists and CRLs, packed. Read it with the
 * queries of this module; its shape may change.
 */
export interface EvictionBook {
  /** Grows by one with each event that adds evictions, and never goes back. */
  readonly sequence: number
  readonly set: EvictionSet
  readonly size: number
  readonly details: Buckets<Uint8Array>
}

/** What may be asked of the book. */
export type EvictionCommand =
  /** Those that are in the book already, with an end that is no later, change nothing. */
  | { readonly type: 'add'; readonly evictions: readonly Eviction[] }
  /**
   * The book comes from a backup, and what was decided since is lost: goes on with a number beyond any that peers can have heard, so that they take its lists. Decide it before
   * anything else.
   */
  | { readonly type: 'restored' }
  /** Forgets what has ended. Looks at every entry, so ask hourly rather than each second. */
  | { readonly type: 'forget-ended'; readonly now: number }

/** What happened to the book: JSON-safe, and what a host keeps in its log. */
export type EvictionEvent =
  | { readonly type: 'evictions-added'; readonly evictions: readonly Eviction[]; readonly sequence: number }
  | { readonly type: 'ended-forgotten'; readonly now: number }

/** Twelve bytes each on every peer and about fifty on a manager; some hundred times what a busy cluster has in three months. */
export const MAX_EVICTIONS: number = 2 ** 20

/** Numbers that a restored book leaves out: more than there can be events between a backup and its use. 2^48 are enough for 2^28 restores. */
export const RESTORED_LEAP: number = 2 ** 20

/** Evictions in one event at most, so that applying one stays cheap. */
const MAX_PER_EVENT = 1000

/** The book before the first eviction. */
const EMPTY: EvictionBook = { sequence: 0, set: emptyEvictionSet, size: 0, details: emptyBuckets() }

function unpack(packed: Uint8Array): Map<string, Eviction> {
  const entries = new Map<string, Eviction>()
  const cursor = { bytes: packed, at: 0 }
  while (cursor.at < packed.length) {
    const eviction = readEviction(cursor)
    entries.set(targetOf(eviction), eviction)
  }
  return entries
}

/** In the order of their targets, so that equal contents have equal bytes. */
function pack(entries: ReadonlyMap<string, Eviction>): Uint8Array | null {
  const parts = [...entries].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, eviction]) => encodeEviction(eviction))
  if (parts.length === 0) return null
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

const NOTHING = new Uint8Array(0)

/** The eviction of this very node or certificate, or `null`. */
export function findEviction(book: EvictionBook, eviction: Eviction): Eviction | null {
  const target = targetOf(eviction)
  return unpack(bucketOf(book.details, placeOf(eviction).bucket) ?? NOTHING).get(target) ?? null
}

/** All of them in full, in no promised order. */
export function* evictionsIn(book: EvictionBook): Generator<Eviction, void, void> {
  for (const [, packed] of occupied(book.details)) yield* unpack(packed).values()
}

/** The same in their encoding: bytes full of entries, place by place. */
export function* packedIn(book: EvictionBook): Generator<Uint8Array, void, void> {
  for (const [, packed] of occupied(book.details)) yield packed
}

/**
 * What `after` has that `before` had not, or not for as long. Looks into those of the 4096 buckets that are others, so that it costs what was
 * added and not what is there.
 */
export function* evictionsSince(before: EvictionBook, after: EvictionBook): Generator<Eviction, void, void> {
  for (const [bucket, packed] of occupied(after.details)) {
    const old = bucketOf(before.details, bucket)
    if (old === packed) continue
    const known = unpack(old ?? NOTHING)
    for (const [target, eviction] of unpack(packed))
      if ((known.get(target)?.until ?? 0) < eviction.until) yield eviction
  }
}

function add(book: EvictionBook, evictions: readonly Eviction[]): readonly EvictionEvent[] {
  const fresh = new Map<string, Eviction>()
  let added = 0
  for (const eviction of evictions) {
    checkEviction(eviction)
    const target = targetOf(eviction)
    const known = findEviction(book, eviction)
    if (eviction.until <= (fresh.get(target) ?? known ?? { until: 0 }).until) continue
    if (known === null && !fresh.has(target)) added += 1
    fresh.set(target, eviction)
  }
  if (book.size + added > MAX_EVICTIONS) {
    throw new IdentityError(
      'EVICTIONS_FULL',
      `there are ${MAX_EVICTIONS} evictions already; forget those that have ended, and evict nodes rather than certificates`,
    )
  }
  const all = [...fresh.values()]
  const events: EvictionEvent[] = []
  for (let at = 0; at < all.length; at += MAX_PER_EVENT) {
    const sequence = book.sequence + events.length + 1
    events.push({ type: 'evictions-added', evictions: all.slice(at, at + MAX_PER_EVENT), sequence })
  }
  return events
}

function forgetEnded(book: EvictionBook, now: number): readonly EvictionEvent[] {
  if (!Number.isFinite(now)) throw new RangeError('now must be a number')
  for (const eviction of evictionsIn(book)) if (lastInstantOf(eviction) < now) return [{ type: 'ended-forgotten', now }]
  return []
}

function decide(book: EvictionBook, command: EvictionCommand): readonly EvictionEvent[] {
  switch (command.type) {
    case 'add':
      return add(book, command.evictions)
    case 'restored':
      return [{ type: 'evictions-added', evictions: [], sequence: book.sequence + RESTORED_LEAP }]
    case 'forget-ended':
      return forgetEnded(book, command.now)
  }
}

function evolve(book: EvictionBook, event: EvictionEvent): EvictionBook {
  const changes = new Map<number, Map<string, Eviction>>()
  let { size } = book
  if (event.type === 'evictions-added') {
    for (const eviction of event.evictions) {
      const target = targetOf(eviction)
      const { bucket } = placeOf(eviction)
      const entries = changes.get(bucket) ?? unpack(bucketOf(book.details, bucket) ?? NOTHING)
      changes.set(bucket, entries)
      if (!entries.has(target)) size += 1
      entries.set(target, eviction)
    }
  } else {
    for (const [bucket, packed] of occupied(book.details)) {
      const entries = unpack(packed)
      const before = entries.size
      for (const [target, eviction] of entries) if (lastInstantOf(eviction) < event.now) entries.delete(target)
      if (entries.size === before) continue
      size -= before - entries.size
      changes.set(bucket, entries)
    }
  }
  const details = withBuckets(
    book.details,
    [...changes].map(([bucket, entries]) => [bucket, pack(entries)] as const),
  )
  return event.type === 'evictions-added'
    ? {
        sequence: Math.max(book.sequence, event.sequence),
        set: withEvictions(book.set, event.evictions),
        size,
        details,
      }
    : { sequence: book.sequence, set: withoutEnded(book.set, event.now), size, details }
}

/**
 * The evictions of a cluster, as a decider. They are only ever added, and end by themselves: nothing takes one back, so a peer
 * that has heard of more of them is never wrong.
 *
 * The refusal of `decide` is an {@link IdentityError} `EVICTIONS_FULL` beyond {@link MAX_EVICTIONS}.
 */
export const evictionBook: Decider<EvictionBook, EvictionCommand, EvictionEvent> = { initial: EMPTY, decide, evolve }

/** The fewest events that lead to `book`, for a snapshot. */
export function* evictionBookEvents(book: EvictionBook): Generator<EvictionEvent, void, void> {
  const { sequence } = book
  let evictions: Eviction[] = []
  for (const eviction of evictionsIn(book)) {
    evictions.push(eviction)
    if (evictions.length < MAX_PER_EVENT) continue
    yield { type: 'evictions-added', evictions, sequence }
    evictions = []
  }
  // Also when there is none left: the number must not go back.
  if (sequence > 0) yield { type: 'evictions-added', evictions, sequence }
}
