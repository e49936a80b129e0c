import { MAX_ENTRY_BYTES, MAX_FRAME_ENTRIES } from './entry.ts'
import { TAG_BYTES } from './file-header.ts'
import type { Aead, CipherSuite } from './ports.ts'

/** What a frame holds. A number that is not here belongs to a later release. */
export const FRAME_TYPE: { readonly entries: 1; readonly end: 2; readonly chunk: 3; readonly lastChunk: 4 } = {
  entries: 1,
  end: 2,
  chunk: 3,
  lastChunk: 4,
}

/** The clear head of a frame; all of it is authenticated. */
export interface FrameHead {
  readonly type: number
  /** Entries in the frame; in a snapshot the number of the chunk. */
  readonly count: number
  readonly bodyBytes: number
  /** Index of the first entry; in a snapshot its index. */
  readonly index: bigint
  /** Term of all entries. */
  readonly term: bigint
}

/** One file's key and the hash of its header. */
export interface FrameContext {
  readonly key: Aead
  readonly headerHash: Uint8Array
}

/** Place of a frame in its file: how many came before, and the tag of the last of them (or of the header). */
export interface FramePlace {
  readonly number: number
  readonly previous: Uint8Array
}

/** Bytes of a frame's head, its own checksum included. */
export const FRAME_HEAD_BYTES = 36
/** Bytes that a frame adds to its body. */
export const FRAME_OVERHEAD_BYTES: number = FRAME_HEAD_BYTES + TAG_BYTES + 4
/** Bytes that each entry adds to its data. */
export const ENTRY_OVERHEAD_BYTES = 4
/** Largest body: the largest append, with a length before each entry. */
export const MAX_BODY_BYTES: number = MAX_ENTRY_BYTES + MAX_FRAME_ENTRIES * ENTRY_OVERHEAD_BYTES
/** Largest frame. */
export const MAX_FRAME_BYTES: number = MAX_BODY_BYTES + FRAME_OVERHEAD_BYTES

/** The four bytes that each frame begins with: "LWFR". */
export const FRAME_MARK: Uint8Array<ArrayBuffer> = Uint8Array.of(0x4c, 0x57, 0x46, 0x52)

const ASSOCIATED_BYTES = 32 + 8 + FRAME_HEAD_BYTES + TAG_BYTES

/** mark(4) ‖ type(1) ‖ zero(3) ‖ count(4) ‖ body length(4) ‖ index(8) ‖ term(8) ‖ CRC-32 of these(4) */
export function encodeFrameHead(head: FrameHead, suite: CipherSuite): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(FRAME_HEAD_BYTES)
  const view = new DataView(out.buffer)
  out.set(FRAME_MARK)
  view.setUint8(4, head.type)
  view.setUint32(8, head.count)
  view.setUint32(12, head.bodyBytes)
  view.setBigUint64(16, head.index)
  view.setBigUint64(24, head.term)
  view.setUint32(32, suite.crc32(out.subarray(0, 32)))
  return out
}

/** Reads a frame's head; null if these bytes are no intact head. */
export function decodeFrameHead(bytes: Uint8Array, suite: CipherSuite): FrameHead | null {
  if (bytes.length < FRAME_HEAD_BYTES) return null
  const view = new DataView(bytes.buffer, bytes.byteOffset, FRAME_HEAD_BYTES)
  const marked = FRAME_MARK.every((byte, at) => bytes[at] === byte)
  if (!marked || view.getUint32(32) !== suite.crc32(bytes.subarray(0, 32))) return null
  const reserved = view.getUint32(4) & 0xffffff
  const bodyBytes = view.getUint32(12)
  if (reserved !== 0 || bodyBytes > MAX_BODY_BYTES) return null
  return {
    type: view.getUint8(4),
    count: view.getUint32(8),
    bodyBytes,
    index: view.getBigUint64(16),
    term: view.getBigUint64(24),
  }
}

/** header hash(32) ‖ number(8) ‖ head(36) ‖ previous tag(16) */
function associatedData(context: FrameContext, place: FramePlace, head: Uint8Array): Uint8Array {
  const out = new Uint8Array(ASSOCIATED_BYTES)
  out.set(context.headerHash)
  new DataView(out.buffer).setBigUint64(32, BigInt(place.number))
  out.set(head, 40)
  out.set(place.previous, 40 + FRAME_HEAD_BYTES)
  return out
}

/** zero(4) ‖ frame number + 1 (8): a counter, safe because every file has a key of its own. */
function frameNonce(number: number): Uint8Array {
  const out = new Uint8Array(12)
  new DataView(out.buffer).setBigUint64(4, BigInt(number + 1))
  return out
}

/** A sealed frame, in the parts to write one after the other. */
export interface SealedFrame {
  readonly parts: readonly Uint8Array[]
  readonly tag: Uint8Array<ArrayBuffer>
  readonly lengthBytes: number
}

/** head ‖ sealed body ‖ tag(16) ‖ CRC-32 of all before(4). No two frames of one file may have the same number. */
export function sealFrame(
  context: FrameContext,
  place: FramePlace,
  head: FrameHead,
  body: Uint8Array,
  suite: CipherSuite,
): SealedFrame {
  const headBytes = encodeFrameHead(head, suite)
  const sealed = context.key.seal(frameNonce(place.number), associatedData(context, place, headBytes), body)
  const foot = new Uint8Array(TAG_BYTES + 4)
  foot.set(sealed.tag)
  const tag = foot.subarray(0, TAG_BYTES)
  const checksum = suite.crc32(tag, suite.crc32(sealed.body, suite.crc32(headBytes)))
  new DataView(foot.buffer).setUint32(TAG_BYTES, checksum)
  return { parts: [headBytes, sealed.body, foot], tag, lengthBytes: FRAME_OVERHEAD_BYTES + body.length }
}

/** Whether a whole frame matches its checksum: a torn write does not, a forgery may. */
export function isIntact(frame: Uint8Array, suite: CipherSuite): boolean {
  const covered = frame.length - 4
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength)
  return view.getUint32(covered) === suite.crc32(frame.subarray(0, covered))
}

/** Opens a whole frame; null if it was not sealed under this key for this place. */
export function openFrame(context: FrameContext, place: FramePlace, frame: Uint8Array): Uint8Array<ArrayBuffer> | null {
  const head = frame.subarray(0, FRAME_HEAD_BYTES)
  const tagAt = frame.length - 4 - TAG_BYTES
  return context.key.open(
    frameNonce(place.number),
    associatedData(context, place, head),
    frame.subarray(FRAME_HEAD_BYTES, tagAt),
    frame.subarray(tagAt, tagAt + TAG_BYTES),
  )
}
