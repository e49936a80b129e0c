import {
  type CipherSuite,
  decodeFrameHead,
  type FrameContext,
  type FrameHead,
  openFrame,
  type RandomSource,
  sealFrame,
} from '@leastwise/raftlog'
import { byteCursor, byteWriter, formatHex } from '../byte-fields.ts'

/** Which record of the log a value is; part of its key, so that none can stand for another. */
export const VALUE_KIND: { readonly frame: 1; readonly head: 2; readonly chunk: 3; readonly roster: 4 } = {
  frame: 1,
  head: 2,
  chunk: 3,
  roster: 4,
}

/** One of {@link VALUE_KIND}. */
export type ValueKind = 1 | 2 | 3 | 4

/** Bytes of an authentication tag. */
export const TAG_BYTES = 16
const KEY_ID_BYTES = 16
const SALT_BYTES = 32
/** mark(4) ‖ version(1) ‖ kind(1) ‖ zero(2) ‖ key id(16) ‖ salt(32) ‖ sequence(8) ‖ previous tag(16) */
const PREFIX_BYTES: number = 8 + KEY_ID_BYTES + SALT_BYTES + 8 + TAG_BYTES
const FRAME_HEAD_BYTES = 40
const MAGIC = 0x4c574556 // "LWEV"
const VERSION = 1
const LABEL = new TextEncoder().encode('leastwise raftlog-etcd value key v1')

/** The tag before the first of a chain. */
export const NO_TAG: Uint8Array<ArrayBuffer> = new Uint8Array(TAG_BYTES)

/** Bytes that sealing adds to a body. */
export const VALUE_OVERHEAD_BYTES: number = PREFIX_BYTES + FRAME_HEAD_BYTES + TAG_BYTES

/** A data key in the clear, with its id as hexadecimal text. */
export interface DataKey {
  readonly id: string
  readonly idBytes: Uint8Array
  readonly dek: Uint8Array
}

/** The log that a value belongs to. */
export interface ValueContext {
  readonly clusterId: string
  readonly logId: string
  readonly suite: CipherSuite
}

/** A value's place: which record, where in its chain, and the tag of the one before. */
export interface ValuePlace {
  readonly kind: ValueKind
  readonly sequence: bigint
  readonly previous: Uint8Array
}

/** The clear parts of a sealed value. They are proven only by {@link openValue}. */
export interface ClearValue extends ValuePlace {
  readonly version: number
  readonly keyId: string
  readonly head: FrameHead
  readonly tag: Uint8Array<ArrayBuffer>
  readonly salt: Uint8Array<ArrayBuffer>
}

/**
 * The key of one value. Each has a salt of its own: managers that race for one place seal different entries for it, and
 * under one key those would share a nonce.
 */
function valueFrames(
  context: ValueContext,
  dek: Uint8Array,
  salt: Uint8Array,
  place: ValuePlace,
  prefix: Uint8Array,
): FrameContext {
  const { clusterId, logId, suite } = context
  const info = byteWriter(LABEL.length + 1 + 8 + 1 + clusterId.length + 1 + logId.length)
    .bytes(LABEL)
    .u8(place.kind)
    .u64(place.sequence)
    .text(clusterId)
    .text(logId)
    .written()
  const key = suite.hkdf(dek, salt, info, 32)
  const frames = { key: suite.aead(key), headerHash: suite.sha256(prefix), life: 0 }
  key.fill(0)
  return frames
}

/** prefix(80) ‖ one frame of the log format, the only one under its key. */
export function sealValue(
  context: ValueContext,
  key: DataKey,
  place: ValuePlace,
  head: Omit<FrameHead, 'bodyBytes'>,
  body: Uint8Array,
  random: RandomSource,
): { readonly value: Uint8Array<ArrayBuffer>; readonly tag: Uint8Array<ArrayBuffer> } {
  const salt = random.bytes(SALT_BYTES)
  const prefix = byteWriter(PREFIX_BYTES)
    .u32(MAGIC)
    .u8(VERSION)
    .u8(place.kind)
    .u16(0)
    .bytes(key.idBytes)
    .bytes(salt)
    .u64(place.sequence)
    .bytes(place.previous)
    .written()
  const frames = valueFrames(context, key.dek, salt, place, prefix)
  const { parts, tag, lengthBytes } = sealFrame(
    frames,
    { number: 0, previous: place.previous },
    { ...head, bodyBytes: body.length },
    body,
    context.suite,
  )
  const out = byteWriter(PREFIX_BYTES + lengthBytes).bytes(prefix)
  for (const part of parts) out.bytes(part)
  return { value: out.written(), tag: new Uint8Array(tag) }
}

/** Reads the clear parts; null if these bytes have another form. */
export function decodeValue(bytes: Uint8Array, suite: CipherSuite): ClearValue | null {
  if (bytes.length < VALUE_OVERHEAD_BYTES) return null
  const cursor = byteCursor(bytes, () => new RangeError('value is too short'))
  if (cursor.u32() !== MAGIC) return null
  const version = cursor.u8()
  const kind = cursor.u8()
  if (cursor.u16() !== 0 || kind < 1 || kind > 4) return null
  const keyId = formatHex(cursor.bytes(KEY_ID_BYTES))
  const salt = cursor.bytes(SALT_BYTES)
  const sequence = cursor.u64()
  const previous = cursor.bytes(TAG_BYTES)
  const head = decodeFrameHead(bytes.subarray(PREFIX_BYTES), suite)
  if (head?.life !== 0 || bytes.length !== VALUE_OVERHEAD_BYTES + head.bodyBytes) return null
  const tag = new Uint8Array(bytes.subarray(bytes.length - TAG_BYTES))
  return { version, kind: kind as ValueKind, keyId, salt, sequence, previous, head, tag }
}

/** Opens a whole value that {@link decodeValue} has read; null if it was not sealed under this key for its place. */
export function openValue(
  context: ValueContext,
  dek: Uint8Array,
  clear: ClearValue,
  bytes: Uint8Array,
): Uint8Array<ArrayBuffer> | null {
  const frames = valueFrames(context, dek, clear.salt, clear, bytes.subarray(0, PREFIX_BYTES))
  return openFrame(frames, { number: 0, previous: clear.previous }, bytes.subarray(PREFIX_BYTES))
}

/** Version that this release writes, and the only one that it reads. */
export const VALUE_VERSION: number = VERSION
