import { type Buckets, bucketOf, emptyBuckets, occupied, type Placed, withBuckets } from './buckets.ts'
import { type Eviction, type EvictionSubject, placeOf, placeOfNode, placeOfSerial } from './eviction.ts'

/** Three words for each entry, in the order of the first two: 64 bits of its key, and the hour of its end. */
type Words = Pick<Uint32Array, 'length'> & Readonly<Record<number, number>>

/**
 * Who is evicted, as every peer keeps it: 12 bytes an entry, in 4096 buckets of which a change copies one. Read it with the
 * queries of this module; its shape may change.
 */
export interface EvictionSet {
  readonly size: number
  readonly buckets: Buckets<Words>
}

/** Nobody is evicted. */
export const emptyEvictionSet: EvictionSet = { size: 0, buckets: emptyBuckets() }

const WORDS = 3
const HOUR_MS = 3_600_000

/** When an entry stops to act: its end, up to the full hour. */
export const lastInstantOf = ({ until }: Pick<Eviction, 'until'>): number => Math.ceil(until / HOUR_MS) * HOUR_MS

interface Key {
  readonly high: number
  readonly low: number
  readonly untilHour: number
}

/**
 * Position of the first entry that is not below the key. Keys spread evenly, so that the place can be guessed within a few entries: that
 * is one or two lines of memory, where bisection would touch five.
 */
function lowerBound(words: Words, high: number, low: number): number {
  const { length } = words
  let at = Math.trunc((high / 2 ** 32) * (length / WORDS)) * WORDS
  while (at < length && isBelow(words, at, high, low)) at += WORDS
  while (at > 0 && !isBelow(words, at - WORDS, high, low)) at -= WORDS
  return at
}

function isBelow(words: Words, at: number, high: number, low: number): boolean {
  const first = words[at] ?? 0
  return first < high || (first === high && (words[at + 1] ?? 0) < low)
}

function isHit(set: EvictionSet, { bucket, high, low }: Placed, now: number): boolean {
  const words = bucketOf(set.buckets, bucket)
  if (words === null) return false
  const at = lowerBound(words, high, low)
  return words[at] === high && words[at + 1] === low && now <= (words[at + 2] ?? 0) * HOUR_MS
}

/** True while everything of this node or operator is refused. An entry ends by itself at its hour. */
export const isNodeEvicted = (set: EvictionSet, nodeId: string, now: number): boolean =>
  isHit(set, placeOfNode(nodeId), now)

/**
 * True while the certificate with this serial number is refused, whoever issued it: serial numbers of a cluster are 159 random bits.
 * With an external CA that counts from one, evict by node.
 */
export const isSerialEvicted = (set: EvictionSet, serial: string, now: number): boolean =>
  isHit(set, placeOfSerial(serial), now)

/** What hits a peer, or `null`. */
export function evictionHitting(
  set: EvictionSet,
  { nodeId, serial }: EvictionSubject,
  now: number,
): Eviction['kind'] | null {
  if (set.size === 0) return null
  return isNodeEvicted(set, nodeId, now) ? 'node' : isSerialEvicted(set, serial, now) ? 'certificate' : null
}

const byKey = (a: Key, b: Key): number => a.high - b.high || a.low - b.low

/** As they stand in a bucket. */
function inWords(keys: Key[]): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(keys.length * WORDS)
  for (const [index, { high, low, untilHour }] of keys.sort(byKey).entries())
    words.set([high, low, untilHour], index * WORDS)
  return words
}

/** Both sorted; of equal keys one entry with the later end. */
function merge(words: Words, added: Words): Uint32Array<ArrayBuffer> {
  const out = new Uint32Array(words.length + added.length)
  let from = 0
  let to = 0
  const put = (high: number, low: number, untilHour: number): void => {
    if (to > 0 && out[to - 3] === high && out[to - 2] === low) {
      out[to - 1] = Math.max(out[to - 1] ?? 0, untilHour)
      return
    }
    out[to] = high
    out[to + 1] = low
    out[to + 2] = untilHour
    to += WORDS
  }
  const copyUpTo = (end: number): void => {
    for (; from < end; from += WORDS) put(words[from] ?? 0, words[from + 1] ?? 0, words[from + 2] ?? 0)
  }
  for (let next = 0; next < added.length; next += WORDS) {
    const high = added[next] ?? 0
    const low = added[next + 1] ?? 0
    copyUpTo(lowerBound(words, high, low))
    put(high, low, added[next + 2] ?? 0)
  }
  copyUpTo(words.length)
  return to === out.length ? out : out.slice(0, to)
}

const NO_WORDS: Words = new Uint32Array(0)

/** A set with these beside the others; of an eviction that is there already the later end counts. Nothing takes one back. */
export function withEvictions(set: EvictionSet, evictions: Iterable<Eviction>): EvictionSet {
  const keys = new Map<number, Key[]>()
  for (const eviction of evictions) {
    const { bucket, high, low } = placeOf(eviction)
    const key: Key = { high, low, untilHour: Math.ceil(eviction.until / HOUR_MS) }
    const others = keys.get(bucket)
    if (others === undefined) keys.set(bucket, [key])
    else others.push(key)
  }
  return withWords(
    set,
    [...keys].map(([bucket, added]) => [bucket, inWords(added)] as const),
  )
}

/** What either of them has. Copies those buckets that both have something in. */
export const unionOf = (set: EvictionSet, other: EvictionSet): EvictionSet =>
  set.size === 0 ? other : withWords(set, occupied(other.buckets))

function withWords(set: EvictionSet, added: Iterable<readonly [number, Words]>): EvictionSet {
  let { size } = set
  const changes: [number, Words][] = []
  for (const [bucket, fresh] of added) {
    const words = bucketOf(set.buckets, bucket) ?? NO_WORDS
    const merged = merge(words, fresh)
    size += (merged.length - words.length) / WORDS
    changes.push([bucket, merged])
  }
  return changes.length === 0 ? set : { size, buckets: withBuckets(set.buckets, changes) }
}

/** A set without what has ended before `now`, for its memory's sake: what has ended hits nobody anyway. Looks at every entry. */
export function withoutEnded(set: EvictionSet, now: number): EvictionSet {
  let { size } = set
  const changes: [number, Words | null][] = []
  for (const [bucket, words] of occupied(set.buckets)) {
    const kept: number[] = []
    for (let at = 0; at < words.length; at += WORDS) {
      const untilHour = words[at + 2] ?? 0
      if (now <= untilHour * HOUR_MS) kept.push(words[at] ?? 0, words[at + 1] ?? 0, untilHour)
    }
    if (kept.length === words.length) continue
    size -= (words.length - kept.length) / WORDS
    changes.push([bucket, kept.length === 0 ? null : Uint32Array.from(kept)])
  }
  return changes.length === 0 ? set : { size, buckets: withBuckets(set.buckets, changes) }
}
