import { IdentityError } from '../errors.ts'
import type { ClusterId } from '../membership/node-identity.ts'
import type { Digest } from '../ports.ts'
import { BUCKETS, emptyBuckets, occupied, withBuckets } from './buckets.ts'
import { MAX_EVICTIONS } from './eviction-book.ts'
import type { EvictionView } from './eviction-view.ts'

const MAGIC: readonly number[] = [0x4c, 0x57, 0x45, 0x56, 0x4b, 1]
const SUM_BYTES = 32
const ENTRY_WORDS = 3
const ENTRY_BYTES = 12
/** Number of a bucket and how many entries it has. */
const BUCKET_HEAD_BYTES = 2 + 4
const NUMBER_BYTES = 6
const MAX_NUMBER = 2 ** 48

/** The largest kept view: twice the entries of a book, as many as a peer holds. */
export const MAX_EVICTION_VIEW_BYTES: number = 2 * MAX_EVICTIONS * ENTRY_BYTES + BUCKETS * BUCKET_HEAD_BYTES + 4 * 1024

const isNumber = (value: number): boolean => Number.isSafeInteger(value) && value >= 0 && value < MAX_NUMBER

/**
 * The view of a peer in bytes, to be kept over a restart: form, cluster, number, end, then 12 bytes for each entry in the order of their buckets, and
 * SHA-256 of all that. It is as confidential as the lists, and as trustworthy as the place where it is kept.
 *
 * @throws RangeError if the view has no end or more entries than a peer holds: the book itself is not kept so.
 */
export function encodeEvictionView(view: EvictionView, clusterId: ClusterId, digest: Digest): Uint8Array<ArrayBuffer> {
  const { sequence, validUntil, set } = view
  if (!isNumber(sequence) || !isNumber(validUntil) || set.size > 2 * MAX_EVICTIONS)
    throw new RangeError('only the view of a peer can be kept: with an end, and no more entries than a peer holds')
  const buckets = [...occupied(set.buckets)]
  const head = MAGIC.length + 1 + clusterId.length + 2 * NUMBER_BYTES
  const out = new Uint8Array(head + buckets.length * BUCKET_HEAD_BYTES + set.size * ENTRY_BYTES + SUM_BYTES)
  const data = new DataView(out.buffer)
  out.set([...MAGIC, clusterId.length, ...new TextEncoder().encode(clusterId)])
  let at = MAGIC.length + 1 + clusterId.length
  for (const value of [sequence, validUntil]) {
    data.setUint16(at, Math.floor(value / 2 ** 32))
    data.setUint32(at + 2, value % 2 ** 32)
    at += NUMBER_BYTES
  }
  for (const [number, words] of buckets) {
    data.setUint16(at, number)
    data.setUint32(at + 2, words.length / ENTRY_WORDS)
    at += BUCKET_HEAD_BYTES
    for (let index = 0; index < words.length; index += 1, at += 4) data.setUint32(at, words[index] ?? 0)
  }
  out.set(digest.sha256(out.subarray(0, at)), at)
  return out
}

const malformed = (problem: string): IdentityError =>
  new IdentityError(
    'EVICTION_FILE_MALFORMED',
    `the kept evictions ${problem}; remove them, and the next list of a manager brings all of them again`,
  )

/** Words of one bucket, strictly in the order of their keys: what is out of order would not be found. */
function readWords(data: DataView, start: number, count: number): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(count * ENTRY_WORDS)
  for (let index = 0; index < words.length; index += 1) words[index] = data.getUint32(start + index * 4)
  for (let at = ENTRY_WORDS; at < words.length; at += ENTRY_WORDS) {
    const difference =
      (words[at] ?? 0) - (words[at - ENTRY_WORDS] ?? 0) || (words[at + 1] ?? 0) - (words[at + 1 - ENTRY_WORDS] ?? 0)
    if (difference <= 0) throw malformed('are not in order')
  }
  return words
}

/**
 * Reads what {@link encodeEvictionView} gave.
 *
 * @throws {@link IdentityError} `EVICTION_FILE_MALFORMED` for anything else, and for what was kept of another cluster.
 */
export function decodeEvictionView(bytes: Uint8Array, clusterId: ClusterId, digest: Digest): EvictionView {
  if (bytes.length > MAX_EVICTION_VIEW_BYTES) throw malformed('are larger than any')
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const end = bytes.length - SUM_BYTES
  const named = new TextEncoder().encode(clusterId)
  const head = [...MAGIC, named.length, ...named]
  let at = head.length
  if (end < at + 2 * NUMBER_BYTES || head.some((byte, index) => bytes[index] !== byte))
    throw malformed('are of another form or cluster, or cut off')
  const sum = digest.sha256(bytes.subarray(0, end))
  if (sum.some((byte, index) => bytes[end + index] !== byte)) throw malformed('were damaged')
  const [sequence = 0, validUntil = 0] = [at, at + NUMBER_BYTES].map(
    (from) => data.getUint16(from) * 2 ** 32 + data.getUint32(from + 2),
  )
  at += 2 * NUMBER_BYTES
  const buckets: [number, Uint32Array<ArrayBuffer>][] = []
  let size = 0
  for (let last = -1; at < end; ) {
    if (end - at < BUCKET_HEAD_BYTES) throw malformed('are cut off')
    const number = data.getUint16(at)
    const count = data.getUint32(at + 2)
    at += BUCKET_HEAD_BYTES
    if (number <= last || number >= BUCKETS || count === 0) throw malformed('are not in order')
    if (count * ENTRY_BYTES > end - at) throw malformed('are cut off')
    buckets.push([number, readWords(data, at, count)])
    last = number
    size += count
    at += count * ENTRY_BYTES
  }
  return { sequence, validUntil, set: { size, buckets: withBuckets(emptyBuckets<Uint32Array>(), buckets) } }
}
