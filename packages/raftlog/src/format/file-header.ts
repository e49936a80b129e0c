import { RaftLogError, type RecordPlace } from '../errors.ts'
import { KEY_ID_BYTES, SALT_BYTES } from '../keys/data-key.ts'
import type { Aead, CipherSuite } from '../ports.ts'
import { byteCursor } from './byte-cursor.ts'
import { byteWriter } from './byte-writer.ts'

/** Newest version of the format that this release writes and reads: that of a file which is written over an older one. */
export const FORMAT_VERSION = 2
/** Bytes of an authentication tag. */
export const TAG_BYTES = 16
/** Longest cluster or log id, in characters. */
export const MAX_ID_LENGTH = 64
/** Longest header: fixed part, life below, both ids, tag, checksum. Enough to read one whole. */
export const MAX_HEADER_BYTES: number = 96 + 4 + 2 * (1 + MAX_ID_LENGTH) + TAG_BYTES + 4

/**
 * Mark of a file that holds entries, of one that holds a snapshot, and of a segment that does not go on from the one
 * before, but from a snapshot that was installed.
 */
export const FILE_KIND: { readonly segment: 1; readonly snapshot: 2; readonly restart: 3 } = {
  segment: 1,
  snapshot: 2,
  restart: 3,
}

/** One of {@link FILE_KIND}. */
export type FileKind = 1 | 2 | 3

/** What stands at the head of each file. */
export interface FileHeader {
  readonly kind: FileKind
  /** Segment: its own number. Snapshot: the number of the segment that was begun just before it. */
  readonly sequence: bigint
  /** Segment: index of its first entry, which replaces what earlier segments hold from there on. Snapshot: the last index that it covers. */
  readonly index: bigint
  /** Segment: term of the entry before its first. Snapshot: term at its index. */
  readonly term: bigint
  readonly keyId: Uint8Array<ArrayBuffer>
  readonly salt: Uint8Array<ArrayBuffer>
  /** Segment: last tag of the one before, zeros for the first of all. Snapshot: header tag of the segment it names. */
  readonly previous: Uint8Array<ArrayBuffer>
  /**
   * Version 2: {@link lifeOf} the file whose bytes lie behind the frames, since this one is written over it. Null in version
   * 1: behind the frames lies nothing but zeros.
   */
  readonly over: number | null
  readonly clusterId: string
  readonly logId: string
}

/** A header as read, with the proof that {@link verifyHeader} checks. */
export interface DecodedHeader extends FileHeader {
  readonly tag: Uint8Array<ArrayBuffer>
  readonly lengthBytes: number
}

const MAGIC = 0x4c574c47 // "LWLG"
const FIXED_BYTES = 96
const OVER_BYTES = 4
const ID = /^[\x21-\x7e]{1,64}$/
// Frames count from 1, so the header's nonce is used once.
const HEADER_NONCE = new Uint8Array(12)
const NOTHING = new Uint8Array(0)

/** Whether a text may serve as cluster or log id: 1 to 64 visible ASCII characters. */
export const isLogId = (text: string): boolean => ID.test(text)

/**
 * What the frames of a file are marked with, so that they are told apart from those of the file that it is written over: the
 * first 24 bits of its salt, and 0 where it is written over none.
 */
export const lifeOf = ({ over, salt: [a = 0, b = 0, c = 0] }: Pick<FileHeader, 'over' | 'salt'>): number =>
  over === null ? 0 : (a << 16) | (b << 8) | c

/** All that the tag covers. */
function encodeUnsealed(header: FileHeader): Uint8Array<ArrayBuffer> {
  const encoder = new TextEncoder()
  const cluster = encoder.encode(header.clusterId)
  const log = encoder.encode(header.logId)
  const { over } = header
  const length = FIXED_BYTES + (over === null ? 0 : OVER_BYTES) + 2 + cluster.length + log.length
  const out = byteWriter(length)
    .u32(MAGIC)
    .u8(over === null ? 1 : 2)
    .u8(header.kind)
    .u16(length + TAG_BYTES + 4)
    .u64(header.sequence)
    .u64(header.index)
    .u64(header.term)
    .bytes(header.keyId)
    .bytes(header.salt)
    .bytes(header.previous)
  if (over !== null) out.u32(over)
  return out.u8(cluster.length).bytes(cluster).u8(log.length).bytes(log).written()
}

/** Encodes and seals a header; the key must be the file's own, fresh one. */
export function encodeHeader(
  header: FileHeader,
  key: Aead,
  suite: CipherSuite,
): { readonly bytes: Uint8Array<ArrayBuffer>; readonly tag: Uint8Array<ArrayBuffer> } {
  const unsealed = encodeUnsealed(header)
  const tag = new Uint8Array(key.seal(HEADER_NONCE, unsealed, NOTHING).tag)
  const out = byteWriter(unsealed.length + TAG_BYTES + 4)
    .bytes(unsealed)
    .bytes(tag)
  return { bytes: out.u32(suite.crc32(out.written())).written(), tag }
}

/** Whether frames of a file with this salt can be told from those of the file below, and that one is named in 24 bits. */
export function isLifeOver({ salt }: Pick<FileHeader, 'salt'>, over: number): boolean {
  const life = lifeOf({ over, salt })
  return over <= 0xffffff && life !== over && life !== 0
}

/**
 * Reads a header from the beginning of a file; what follows it is left alone.
 *
 * @throws {@link RaftLogError} `RECORD_TRUNCATED` if it ends too early, `RECORD_UNSUPPORTED_VERSION` for another
 * version, `RECORD_MALFORMED` for anything that is not a header.
 */
export function decodeHeader(bytes: Uint8Array, file: string, suite: CipherSuite): DecodedHeader {
  const place: RecordPlace = { file, offset: 0 }
  const malformed = (what: string): RaftLogError =>
    new RaftLogError('RECORD_MALFORMED', `file header ${what}; restore the file from a backup`, { place })
  const cursor = byteCursor(
    bytes,
    () => new RaftLogError('RECORD_TRUNCATED', 'file header ends too early; restore the file from a backup', { place }),
  )
  if (cursor.u32() !== MAGIC) throw malformed('does not begin with its mark')
  const version = cursor.u8()
  if (version !== 1 && version !== FORMAT_VERSION) {
    throw new RaftLogError('RECORD_UNSUPPORTED_VERSION', `file has version ${version}; use a release that knows it`, {
      place,
    })
  }
  const kind = cursor.u8()
  if (kind !== FILE_KIND.segment && kind !== FILE_KIND.snapshot && kind !== FILE_KIND.restart)
    throw malformed('is of no known kind')
  const lengthBytes = cursor.u16()
  const fields = { sequence: cursor.u64(), index: cursor.u64(), term: cursor.u64() }
  const secrets = {
    keyId: cursor.bytes(KEY_ID_BYTES),
    salt: cursor.bytes(SALT_BYTES),
    previous: cursor.bytes(TAG_BYTES),
  }
  const over = version === 1 ? null : cursor.u32()
  const readId = (): string => {
    const text = Array.from(cursor.bytes(cursor.u8()), (byte) => String.fromCharCode(byte)).join('')
    if (!ID.test(text)) throw malformed('holds an id in characters it may not use')
    return text
  }
  const ids = { clusterId: readId(), logId: readId() }
  const tag = cursor.bytes(TAG_BYTES)
  const covered = cursor.offset()
  if (cursor.u32() !== suite.crc32(bytes.subarray(0, covered))) throw malformed('does not match its checksum')
  if (cursor.offset() !== lengthBytes) throw malformed('states a wrong length')
  const header: DecodedHeader = { kind, ...fields, ...secrets, over, ...ids, tag, lengthBytes }
  if (over !== null && (kind === FILE_KIND.snapshot || !isLifeOver(header, over)))
    throw malformed('may not be written over another')
  return header
}

/**
 * Proves that a header was sealed under this key.
 *
 * @throws {@link RaftLogError} `RECORD_NOT_AUTHENTIC` if it was not.
 */
export function verifyHeader(header: DecodedHeader, file: string, key: Aead): DecodedHeader {
  if (key.open(HEADER_NONCE, encodeUnsealed(header), NOTHING, header.tag) === null) {
    throw new RaftLogError('RECORD_NOT_AUTHENTIC', 'file header is not authentic; restore the file from a backup', {
      place: { file, offset: 0 },
    })
  }
  return header
}
