import type { Digest } from '../ports.ts'
import { type Eviction, placeOf, targetOf } from './eviction.ts'
import { MAX_EVICTIONS } from './eviction-book.ts'
import {
  type Cursor,
  MAX_ENTRY_BYTES,
  malformed,
  pushNumber,
  readEviction,
  readNumber,
  skip,
  skipEviction,
} from './eviction-codec.ts'
import { type EvictionSet, emptyEvictionSet, withEvictions } from './eviction-set.ts'

/** What a list says of its entries when they come behind it, in parts. */
export interface PartDigests {
  /** Entries in all parts together. */
  readonly count: number
  /** SHA-256 of each part, in their order. */
  readonly digests: readonly Uint8Array<ArrayBuffer>[]
}

/** Bytes of entries in one part: small enough to be on the way to many peers at a time, and a million entries are some two hundred parts. */
export const MAX_PART_BYTES = 262_144

const DIGEST_BYTES = 32

/** Each part but the last has less room left than one entry takes. */
const MAX_PARTS = Math.ceil((MAX_EVICTIONS * MAX_ENTRY_BYTES) / (MAX_PART_BYTES - MAX_ENTRY_BYTES))

/** Encoded entries, as full as parts can be. */
export function cutIntoParts(entries: Iterable<Uint8Array>): readonly Uint8Array<ArrayBuffer>[] {
  const parts: Uint8Array<ArrayBuffer>[] = []
  const part = new Uint8Array(MAX_PART_BYTES)
  let at = 0
  for (const entry of entries) {
    if (at + entry.length > MAX_PART_BYTES) {
      parts.push(part.slice(0, at))
      at = 0
    }
    part.set(entry, at)
    at += entry.length
  }
  if (at > 0) parts.push(part.slice(0, at))
  return parts
}

/** The encoded entries of bytes that are full of them, without a look into them. */
export function* entriesOf(bytes: Uint8Array): Generator<Uint8Array, void, void> {
  const cursor: Cursor = { bytes, at: 0 }
  while (cursor.at < bytes.length) yield skipEviction(cursor)
}

/** What stands for the parts in the list that is signed. */
export function encodePartDigests({ count, digests }: PartDigests): Uint8Array<ArrayBuffer> {
  const out: number[] = []
  pushNumber(out, count, 4)
  pushNumber(out, digests.length, 2)
  for (const digest of digests) out.push(...digest)
  return Uint8Array.from(out)
}

/** Reads what {@link encodePartDigests} gave. */
export function readPartDigests(cursor: Cursor): PartDigests {
  const count = readNumber(cursor, 4)
  const parts = readNumber(cursor, 2)
  if (count > MAX_EVICTIONS || parts > MAX_PARTS) throw malformed('has too many entries')
  // What fits into one part is held by the list itself.
  if (parts < 2 || parts > count) throw malformed('has fewer parts than two, or fewer entries than parts')
  const digests = Array.from({ length: parts }, () => {
    const start = skip(cursor, DIGEST_BYTES)
    return new Uint8Array(cursor.bytes.subarray(start, cursor.at))
  })
  return { count, digests }
}

/** What has come of the parts of one list. It is worth nothing before all have. */
export interface PartsSoFar {
  readonly parts: number
  readonly entries: number
  readonly set: EvictionSet
  /** The last entry, and how much room its part has left. */
  readonly last: Eviction | null
  readonly room: number
}

/** Nothing yet. */
export const noParts: PartsSoFar = { parts: 0, entries: 0, set: emptyEvictionSet, last: null, room: 0 }

/** Whether one entry stands behind another in a book: by place, then by whom it is about. Nobody stands there twice. */
function isBehind(entry: Eviction, before: Eviction): boolean {
  const difference = placeOf(entry).bucket - placeOf(before).bucket
  return difference > 0 || (difference === 0 && targetOf(entry) > targetOf(before))
}

/**
 * Takes the next part. It must be the very one that the list names, full, and go on behind the one before: in the order of a book's places, so that each
 * part changes few of them, and the memory it takes is that of the entries.
 *
 * @throws IdentityError `EVICTION_LIST_MALFORMED` for any other bytes.
 */
export function withPart(soFar: PartsSoFar, bytes: Uint8Array, expected: PartDigests, digest: Digest): PartsSoFar {
  if (bytes.length === 0 || bytes.length > MAX_PART_BYTES) throw malformed('has a part that is empty or too large')
  const sum = digest.sha256(bytes)
  const named = expected.digests[soFar.parts]
  if (named?.some((byte, at) => sum[at] !== byte) !== false) throw malformed('has another part than the one it names')
  const cursor: Cursor = { bytes, at: 0 }
  const entries: Eviction[] = []
  let { last } = soFar
  while (cursor.at < bytes.length) {
    const entry = readEviction(cursor)
    if (entries.length === 0 && cursor.at <= soFar.room) throw malformed('has a part that is not full')
    if (last !== null && !isBehind(entry, last)) throw malformed('is not in order, or says the same twice')
    entries.push(entry)
    last = entry
  }
  const taken: PartsSoFar = {
    parts: soFar.parts + 1,
    entries: soFar.entries + entries.length,
    set: withEvictions(soFar.set, entries),
    last,
    room: MAX_PART_BYTES - bytes.length,
  }
  const isOver = taken.parts === expected.digests.length
  if (isOver ? taken.entries !== expected.count : taken.entries >= expected.count)
    throw malformed('has another number of entries than it says')
  return taken
}
