import { MAX_ENTRY_BYTES, MAX_FRAME_ENTRIES } from '../entry.ts'
import type { Aead, CipherSuite } from '../ports.ts'
import { TAG_BYTES } from './file-header.ts'
import { MAX_STATE_BYTES } from './hard-state.ts'

/** What a frame holds. A number that is not here belongs to a later release. */
export const FRAME_TYPE: {
  readonly entries: 1
  readonly end: 2
  readonly chunk: 3
  readonly lastChunk: 4
  readonly state: 5
} = { entries: 1, end: 2, chunk: 3, lastChunk: 4, state: 5 }

/** The clear head of a frame; all of it is authenticated. */
export interface FrameHead {
  readonly type: number
  /** Entries in the frame, none in one that holds a hard state alone; in a snapshot the number of the chunk. */
  readonly count: number
  readonly bodyBytes: number
  /** Index of the first entry; in a snapshot its index. */
  readonly index: bigint
  /** Term of all entries. */
  readonly term: bigint
}

/** A head as read: with the life of the file that it was written for, 24 bits, 0 in most. */
export interface FoundHead extends FrameHead {
  readonly life: number
}

/** One file's key, the hash of its header, and its life. */
export interface FrameContext {
  readonly key: Aead
  readonly headerHash: Uint8Array
  /** Marks the frames of a file that is written over another, 24 bits; 0 where nothing lies below. */
  readonly life: number
}

/** Place of a frame in its file: how many came before, and the tag of the last of them (or of the header). */
export interface FramePlace {
  readonly number: number
  readonly previous: Uint8Array
}

/** Bytes of a frame's head, its own checksum included. */
export const FRAME_HEAD_BYTES = 40
/** Bytes that a frame adds to its body. */
export const FRAME_OVERHEAD_BYTES: number = FRAME_HEAD_BYTES + TAG_BYTES
/** Bytes that each entry adds to its data. */
export const ENTRY_OVERHEAD_BYTES = 4
/** Largest body: the largest append, with a length before each entry, and a hard state behind them. */
export const MAX_BODY_BYTES: number = MAX_ENTRY_BYTES + MAX_FRAME_ENTRIES * ENTRY_OVERHEAD_BYTES + MAX_STATE_BYTES
/** Largest frame. */
export const MAX_FRAME_BYTES: number = MAX_BODY_BYTES + FRAME_OVERHEAD_BYTES

const MARK = 0x4c574652
/** The four bytes that each frame begins with: "LWFR". */
export const FRAME_MARK: Uint8Array<ArrayBuffer> = Uint8Array.of(0x4c, 0x57, 0x46, 0x52)

const LINK_AT = 32
const LINK_BYTES = 4
const CHECKSUM_AT = LINK_AT + LINK_BYTES

// Offsets in the associated data: header hash(32) ‖ number(8) ‖ head(40) ‖ previous tag(16).
const NUMBER_AT = 32
const HEAD_AT = NUMBER_AT + 8
const PREVIOUS_AT = HEAD_AT + FRAME_HEAD_BYTES
const ASSOCIATED_BYTES = PREVIOUS_AT + TAG_BYTES
// The nonce stands behind it.
const NONCE_AT = ASSOCIATED_BYTES
const NONCE_BYTES = 12

// Fresh memory for each frame costs as much as sealing a small one, so all share this. It is filled and used within one
// synchronous call. It is one block because an array of its own for the nonce would be too small to lie outside of the
// JavaScript heap, and to move it there is what makes fresh nonces dear.
const shared = new Uint8Array(ASSOCIATED_BYTES + NONCE_BYTES)
const fields = new DataView(shared.buffer)
const associated = shared.subarray(0, ASSOCIATED_BYTES)
const nonce = shared.subarray(NONCE_AT)
const headPart = associated.subarray(HEAD_AT, PREVIOUS_AT)
const checkedPart = headPart.subarray(0, CHECKSUM_AT)

/**
 * The nonce, and header hash(32) ‖ number(8) ‖ head(40) ‖ previous tag(16), the head yet to be set. The nonce is zero(4)
 * ‖ frame number + 1 (8): a counter, safe because every file has a key of its own.
 */
function beginFrame({ headerHash }: FrameContext, { number, previous }: FramePlace): void {
  associated.set(headerHash)
  // At most 2^20 frames are sealed under one key, so the upper half of both stays zero.
  fields.setUint32(NUMBER_AT + 4, number)
  fields.setUint32(NONCE_AT + 8, number + 1)
  associated.set(previous, PREVIOUS_AT)
}

/** Writes the head into its place in the associated data, whose previous tag must be set. */
function writeHead(head: FrameHead, life: number, suite: CipherSuite): void {
  fields.setUint32(HEAD_AT, MARK)
  fields.setUint32(HEAD_AT + 4, head.type * 0x1000000 + life)
  fields.setUint32(HEAD_AT + 8, head.count)
  fields.setUint32(HEAD_AT + 12, head.bodyBytes)
  fields.setBigUint64(HEAD_AT + 16, head.index)
  fields.setBigUint64(HEAD_AT + 24, head.term)
  fields.setUint32(HEAD_AT + LINK_AT, fields.getUint32(PREVIOUS_AT))
  fields.setUint32(HEAD_AT + CHECKSUM_AT, suite.crc32(checkedPart))
}

/**
 * mark(4) ‖ type(1) ‖ life(3) ‖ count(4) ‖ body length(4) ‖ index(8) ‖ term(8) ‖ link(4) ‖ CRC-32 of these(4)
 *
 * @param previous - Tag of the frame before (or of the header); the link is its first four bytes.
 */
export function encodeFrameHead(head: FoundHead, previous: Uint8Array, suite: CipherSuite): Uint8Array<ArrayBuffer> {
  associated.set(previous.subarray(0, LINK_BYTES), PREVIOUS_AT)
  writeHead(head, head.life, suite)
  return headPart.slice()
}

/** Reads a frame's head; null if these bytes are no intact head. */
export function decodeFrameHead(bytes: Uint8Array, suite: CipherSuite): FoundHead | null {
  if (bytes.length < FRAME_HEAD_BYTES) return null
  const view = new DataView(bytes.buffer, bytes.byteOffset, FRAME_HEAD_BYTES)
  const marked = FRAME_MARK.every((byte, at) => bytes[at] === byte)
  if (!marked || view.getUint32(CHECKSUM_AT) !== suite.crc32(bytes.subarray(0, CHECKSUM_AT))) return null
  const bodyBytes = view.getUint32(12)
  if (bodyBytes > MAX_BODY_BYTES) return null
  return {
    type: view.getUint8(4),
    life: view.getUint32(4) & 0xffffff,
    count: view.getUint32(8),
    bodyBytes,
    index: view.getBigUint64(16),
    term: view.getBigUint64(24),
  }
}

/**
 * Whether a head says that it follows this tag. It tells a frame that stands where it does not belong from one that
 * was only half written; that nobody forged it is proven by {@link openFrame} alone.
 */
export function isLinked(head: Uint8Array, previous: Uint8Array): boolean {
  for (let at = 0; at < LINK_BYTES; at += 1) if (head[LINK_AT + at] !== previous[at]) return false
  return true
}

/** A sealed frame, in the parts to write one after the other. */
export interface SealedFrame {
  readonly parts: readonly Uint8Array[]
  /** The part that {@link Aead.release} may have once the frame is written. */
  readonly body: Uint8Array
  readonly tag: Uint8Array
  readonly lengthBytes: number
}

/** head ‖ sealed body ‖ tag(16). No two frames of one file may have the same number. */
export function sealFrame(
  context: FrameContext,
  place: FramePlace,
  head: FrameHead,
  body: Uint8Array,
  suite: CipherSuite,
): SealedFrame {
  beginFrame(context, place)
  writeHead(head, context.life, suite)
  const headBytes = headPart.slice()
  const sealed = context.key.seal(nonce, associated, body)
  return {
    parts: [headBytes, sealed.body, sealed.tag],
    body: sealed.body,
    tag: sealed.tag,
    lengthBytes: FRAME_OVERHEAD_BYTES + body.length,
  }
}

/** Opens a whole frame; null if it was not sealed under this key for this place. */
export function openFrame(context: FrameContext, place: FramePlace, frame: Uint8Array): Uint8Array<ArrayBuffer> | null {
  beginFrame(context, place)
  associated.set(frame.subarray(0, FRAME_HEAD_BYTES), HEAD_AT)
  const tagAt = frame.length - TAG_BYTES
  return context.key.open(nonce, associated, frame.subarray(FRAME_HEAD_BYTES, tagAt), frame.subarray(tagAt))
}
