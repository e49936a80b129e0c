import { RaftLogError } from '../errors.ts'
import { byteCursor } from '../format/byte-cursor.ts'
import { byteWriter } from '../format/byte-writer.ts'
import { isLogId, MAX_ID_LENGTH, TAG_BYTES } from '../format/file-header.ts'

/**
 * How far one log had come: what an anchor remembers.
 *
 * The tag chains back through every frame to the first, so that a log which holds it at this place is this log, this far
 * or further. Nothing in a head is secret.
 */
export interface AnchorHead {
  readonly clusterId: string
  readonly logId: string
  /** Counts from 1; goes up by one whenever an operator takes an older or another copy of the log for true. */
  readonly epoch: number
  /** Goes up with each advance, so that of two heads of one log the later one is known. */
  readonly count: bigint
  /** Number of the segment that the log ended in; 0 before there is one. */
  readonly sequence: bigint
  /** Bytes of that segment up to the end of its last frame. */
  readonly offset: number
  /** Position of the last entry. */
  readonly index: bigint
  readonly term: bigint
  /** Tag of the last frame, or of the segment's header. */
  readonly tag: Uint8Array
  /** SHA-256 of the key ring as it is kept; while it is being replaced, of those that a crash may leave. */
  readonly rings: readonly Uint8Array[]
}

/** Bytes of a key ring's digest. */
export const RING_DIGEST_BYTES = 32
/** Most rings of one head: the one that is kept, and one for each attempt to replace it of which the end is unknown. */
export const MAX_ANCHORED_RINGS = 4
/** Largest count of a head. */
export const MAX_ANCHOR_COUNT: bigint = (1n << 63n) - 1n

const MARK = 0x4c574148 // "LWAH"
const VERSION = 1
const FIXED_BYTES = 4 + 1 + 4 + 5 * 8 + TAG_BYTES + 1
const MAX_EPOCH = 0xffffffff
/** Longest encoded head: a little over 300 bytes. */
export const MAX_HEAD_BYTES: number = FIXED_BYTES + MAX_ANCHORED_RINGS * RING_DIGEST_BYTES + 2 * (1 + MAX_ID_LENGTH)

const malformed = (what: string): RaftLogError =>
  new RaftLogError('ANCHOR_MALFORMED', `anchored head ${what}; give an anchor that holds one`)

const isProper = (head: AnchorHead): boolean =>
  isLogId(head.clusterId) &&
  isLogId(head.logId) &&
  Number.isInteger(head.epoch) &&
  head.epoch >= 1 &&
  head.epoch <= MAX_EPOCH &&
  head.count >= 1n &&
  [head.count, head.sequence, head.index, head.term].every((value) => value >= 0n && value <= MAX_ANCHOR_COUNT) &&
  Number.isSafeInteger(head.offset) &&
  head.offset >= 0 &&
  head.tag.length === TAG_BYTES &&
  head.rings.length >= 1 &&
  head.rings.length <= MAX_ANCHORED_RINGS &&
  head.rings.every((ring) => ring.length === RING_DIGEST_BYTES)

/**
 * "LWAH" ‖ version(1) ‖ epoch(4) ‖ count(8) ‖ sequence(8) ‖ offset(8) ‖ index(8) ‖ term(8) ‖ tag(16) ‖ number of rings(1) ‖
 * rings, each 32 ‖ length(1) cluster id ‖ length(1) log id.
 *
 * @throws RangeError if a field lies outside the format.
 */
export function encodeAnchorHead(head: AnchorHead): Uint8Array<ArrayBuffer> {
  if (!isProper(head)) throw new RangeError('a field of the head lies outside its bounds')
  const text = new TextEncoder()
  const [cluster, log] = [text.encode(head.clusterId), text.encode(head.logId)]
  const out = byteWriter(FIXED_BYTES + head.rings.length * RING_DIGEST_BYTES + 2 + cluster.length + log.length)
    .u32(MARK)
    .u8(VERSION)
    .u32(head.epoch)
    .u64(head.count)
    .u64(head.sequence)
    .u64(BigInt(head.offset))
    .u64(head.index)
    .u64(head.term)
    .bytes(head.tag)
    .u8(head.rings.length)
  for (const ring of head.rings) out.bytes(ring)
  return out.u8(cluster.length).bytes(cluster).u8(log.length).bytes(log).written()
}

/**
 * Reads what {@link encodeAnchorHead} wrote; nothing else has this form.
 *
 * @throws {@link RaftLogError} `ANCHOR_MALFORMED` for anything else, `RECORD_UNSUPPORTED_VERSION` for a later version.
 */
export function decodeAnchorHead(bytes: Uint8Array): AnchorHead {
  if (bytes.length > MAX_HEAD_BYTES) throw malformed(`has ${bytes.length} bytes, more than any`)
  const cursor = byteCursor(bytes, () => malformed('ends too early'))
  if (cursor.u32() !== MARK) throw malformed('does not begin with its mark')
  const version = cursor.u8()
  if (version !== VERSION) {
    throw new RaftLogError('RECORD_UNSUPPORTED_VERSION', `head has version ${version}; use a release that knows it`)
  }
  const epoch = cursor.u32()
  const counts = { count: cursor.u64(), sequence: cursor.u64(), offset: Number(cursor.u64()) }
  const position = { index: cursor.u64(), term: cursor.u64() }
  const tag = cursor.bytes(TAG_BYTES)
  const held = cursor.u8()
  if (held < 1 || held > MAX_ANCHORED_RINGS) throw malformed('names an impossible number of key rings')
  const rings = Array.from({ length: held }, () => cursor.bytes(RING_DIGEST_BYTES))
  const readId = (): string => {
    return Array.from(cursor.bytes(cursor.u8()), (byte) => String.fromCharCode(byte)).join('')
  }
  const ids = { clusterId: readId(), logId: readId() }
  if (cursor.remaining() !== 0) throw malformed('goes on after its end')
  const head: AnchorHead = { ...ids, epoch, ...counts, ...position, tag, rings }
  if (!isProper(head)) throw malformed('holds a value that it may not hold')
  return head
}

/** Whether two heads say the same. */
export function isSameHead(one: AnchorHead | null, other: AnchorHead | null): boolean {
  if (one === null || other === null) return one === other
  const [a, b] = [encodeAnchorHead(one), encodeAnchorHead(other)]
  return a.length === b.length && a.every((byte, at) => b[at] === byte)
}
