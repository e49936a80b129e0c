import { MAX_ENTRY_BYTES, MAX_FRAME_ENTRIES } from '../entry.ts'
import { byteWriter } from '../format/byte-writer.ts'
import { TAG_BYTES } from '../format/file-header.ts'
import type { Aead, CipherSuite } from '../ports.ts'

/** What a part of a backup holds, in the order in which they come. */
export const PART: {
  readonly about: 1
  readonly companion: 2
  readonly snapshot: 3
  readonly entries: 4
  readonly end: 5
} = { about: 1, companion: 2, snapshot: 3, entries: 4, end: 5 }

/** The clear head of a part; all of it is authenticated. */
export interface PartHead {
  readonly type: number
  /** Entries in the part; for companions and pieces of a snapshot their number, from 0. */
  readonly count: number
  /** Index of the first entry, of the snapshot, or at the end of the last entry. */
  readonly index: bigint
  readonly bodyBytes: number
}

/** Bytes of a part's head. */
export const PART_HEAD_BYTES = 24
/** Bytes before the data of an entry: term and length. */
export const PART_ENTRY_BYTES = 12
/** Largest body: the largest append, with term and length before each entry. */
export const MAX_PART_BYTES: number = MAX_ENTRY_BYTES + MAX_FRAME_ENTRIES * PART_ENTRY_BYTES

const KEY_INFO = new TextEncoder().encode('leastwise raftlog backup v1')
const KEY_BYTES = 32
const CHECKED_BYTES = PART_HEAD_BYTES - 4

/** The key of one backup: of no use for a backup with any other header. */
export function backupAead(key: Uint8Array, header: Uint8Array, suite: CipherSuite): Aead {
  const bytes = suite.hkdf(key, suite.sha256(header), KEY_INFO, KEY_BYTES)
  const aead = suite.aead(bytes)
  bytes.fill(0)
  return aead
}

/** type(1) ‖ zero(3) ‖ count(4) ‖ index(8) ‖ body length(4) ‖ CRC-32 of these(4) */
export function encodePartHead(
  { type, count, index, bodyBytes }: PartHead,
  suite: CipherSuite,
): Uint8Array<ArrayBuffer> {
  const out = byteWriter(PART_HEAD_BYTES)
    .u32(type * 0x1000000)
    .u32(count)
    .u64(index)
    .u32(bodyBytes)
  return out.u32(suite.crc32(out.written())).written()
}

/** Reads a part's head; null if these bytes are no intact head. */
export function decodePartHead(bytes: Uint8Array, suite: CipherSuite): PartHead | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, PART_HEAD_BYTES)
  if (view.getUint32(CHECKED_BYTES) !== suite.crc32(bytes.subarray(0, CHECKED_BYTES))) return null
  const bodyBytes = view.getUint32(16)
  if ((view.getUint32(0) & 0xffffff) !== 0 || bodyBytes > MAX_PART_BYTES) return null
  return { type: view.getUint8(0), count: view.getUint32(4), index: view.getBigUint64(8), bodyBytes }
}

/** zero(3) ‖ 1 for the last part, else 0 (1) ‖ number of the part(8), as in the STREAM construction (Hoang et al., 2015) */
function partNonce(number: number, isLast: boolean): Uint8Array<ArrayBuffer> {
  return byteWriter(12)
    .u32(isLast ? 1 : 0)
    .u64(BigInt(number))
    .written()
}

/** Seals a part: head(24) ‖ sealed body ‖ tag(16). No two parts of a backup may have the same number. */
export function sealPart(
  key: Aead,
  number: number,
  head: Omit<PartHead, 'bodyBytes'>,
  body: Uint8Array,
  suite: CipherSuite,
): Uint8Array<ArrayBuffer> {
  const headBytes = encodePartHead({ ...head, bodyBytes: body.length }, suite)
  const sealed = key.seal(partNonce(number, head.type === PART.end), headBytes, body)
  return byteWriter(PART_HEAD_BYTES + body.length + TAG_BYTES)
    .bytes(headBytes)
    .bytes(sealed.body)
    .bytes(sealed.tag)
    .written()
}

/** Opens a whole part; null if it was not sealed under this key with this number. */
export function openPart(key: Aead, number: number, head: PartHead, part: Uint8Array): Uint8Array<ArrayBuffer> | null {
  const tagAt = part.length - TAG_BYTES
  return key.open(
    partNonce(number, head.type === PART.end),
    part.subarray(0, PART_HEAD_BYTES),
    part.subarray(PART_HEAD_BYTES, tagAt),
    part.subarray(tagAt),
  )
}
