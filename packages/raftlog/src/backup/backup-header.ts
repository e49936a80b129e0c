import { MAX_INDEX, type Position } from '../entry.ts'
import { RaftLogError } from '../errors.ts'
import { byteCursor } from '../format/byte-cursor.ts'
import { byteWriter } from '../format/byte-writer.ts'
import { isLogId } from '../format/file-header.ts'
import type { CipherSuite } from '../ports.ts'

/** What a backup says of itself in the clear, and is proven with everything else once its key is there. */
export interface BackupHeader {
  readonly version: number
  /** Random, so that no two backups are taken for one another. */
  readonly backupId: Uint8Array
  /** When it was begun, in epoch milliseconds. */
  readonly madeAt: number
  readonly clusterId: string
  /** Id of the log that was backed up. */
  readonly logId: string
  /** Position of the last entry, all zeros in an empty log. */
  readonly last: Position
  /** Position of the snapshot, or null if the backup begins with entry 1. */
  readonly snapshot: Position | null
  /** Id of what the backup's key is wrapped with. */
  readonly wrapperId: string
  readonly wrappedKey: Uint8Array
}

/** Version of the backup format that this release writes, and the only one it reads. */
export const BACKUP_VERSION = 1
/** Bytes of a backup's id. */
export const BACKUP_ID_BYTES = 16
/** Largest wrapped key of a backup: room for some dozens of post-quantum age recipients. */
export const MAX_BACKUP_KEY_BYTES: number = 64 * 1024
/** Bytes at the beginning that say how long the header is: mark, version, length. */
export const HEADER_START_BYTES = 9

const MARK = 0x4c57424b // "LWBK"
const FIXED_BYTES = HEADER_START_BYTES + BACKUP_ID_BYTES + 5 * 8 + 3 + 4 + 4
const MAX_HEADER_BYTES = FIXED_BYTES + 64 + 64 + 128 + MAX_BACKUP_KEY_BYTES
const WRAPPER_ID = /^[\x21-\x7e]{1,128}$/
const NOWHERE: Position = { index: 0n, term: 0n }

const malformed = (what: string): RaftLogError =>
  new RaftLogError('BACKUP_MALFORMED', `backup header ${what}; use another backup`)

const isProper = ({ last, snapshot, madeAt, ...header }: BackupHeader): boolean => {
  const { index, term } = snapshot ?? NOWHERE
  return (
    isLogId(header.clusterId) &&
    isLogId(header.logId) &&
    WRAPPER_ID.test(header.wrapperId) &&
    Number.isSafeInteger(madeAt) &&
    madeAt >= 0 &&
    [last.index, last.term].every((value) => value >= 0n && value <= MAX_INDEX) &&
    (snapshot === null || (index >= 1n && term >= 1n)) &&
    index <= last.index &&
    term <= last.term &&
    (last.index === 0n) === (last.term === 0n) &&
    header.backupId.length === BACKUP_ID_BYTES &&
    header.wrappedKey.length >= 1 &&
    header.wrappedKey.length <= MAX_BACKUP_KEY_BYTES
  )
}

/**
 * "LWBK" ‖ version(1) ‖ length of the header(4) ‖ backup id(16) ‖ made at(8) ‖ last index(8) ‖ last term(8) ‖ snapshot
 * index(8) ‖ snapshot term(8) ‖ length(1) cluster id ‖ length(1) log id ‖ length(1) wrapper id ‖ length(4) wrapped key ‖
 * CRC-32 of all before(4).
 *
 * @throws RangeError if a field lies outside the format.
 */
export function encodeBackupHeader(header: BackupHeader, suite: CipherSuite): Uint8Array<ArrayBuffer> {
  if (header.version !== BACKUP_VERSION || !isProper(header))
    throw new RangeError('a field of the header lies outside its bounds')
  const { last, snapshot, wrappedKey } = header
  const [cluster, log, wrapper] = [header.clusterId, header.logId, header.wrapperId].map((id) =>
    new TextEncoder().encode(id),
  )
  const ids = [cluster, log, wrapper].map((id) => id ?? new Uint8Array(0))
  const length = ids.reduce((sum, id) => sum + id.length, FIXED_BYTES + wrappedKey.length)
  const out = byteWriter(length)
    .u32(MARK)
    .u8(BACKUP_VERSION)
    .u32(length)
    .bytes(header.backupId)
    .u64(BigInt(header.madeAt))
    .u64(last.index)
    .u64(last.term)
    .u64(snapshot?.index ?? 0n)
    .u64(snapshot?.term ?? 0n)
  for (const id of ids) out.u8(id.length).bytes(id)
  out.u32(wrappedKey.length).bytes(wrappedKey)
  return out.u32(suite.crc32(out.written())).written()
}

/**
 * Reads how long a header is from its first {@link HEADER_START_BYTES} bytes.
 *
 * @throws {@link RaftLogError} `BACKUP_MALFORMED`, `BACKUP_TRUNCATED`, or `RECORD_UNSUPPORTED_VERSION` for a later version.
 */
export function headerLength(start: Uint8Array): number {
  const cursor = byteCursor(
    start,
    () => new RaftLogError('BACKUP_TRUNCATED', 'backup ends in its header; use another backup'),
  )
  if (cursor.u32() !== MARK) throw malformed('does not begin with its mark')
  const version = cursor.u8()
  if (version !== BACKUP_VERSION) {
    throw new RaftLogError('RECORD_UNSUPPORTED_VERSION', `backup has version ${version}; use a release that knows it`)
  }
  const length = cursor.u32()
  if (length < FIXED_BYTES || length > MAX_HEADER_BYTES) throw malformed('states an impossible length')
  return length
}

/**
 * Reads what {@link encodeBackupHeader} wrote; nothing else has this form.
 *
 * @throws {@link RaftLogError} `BACKUP_MALFORMED`, `BACKUP_TRUNCATED`, or `RECORD_UNSUPPORTED_VERSION` for a later version.
 */
export function decodeBackupHeader(bytes: Uint8Array, suite: CipherSuite): BackupHeader {
  const length = headerLength(bytes)
  const cursor = byteCursor(bytes, () => malformed('ends too early'))
  cursor.bytes(HEADER_START_BYTES)
  const backupId = cursor.bytes(BACKUP_ID_BYTES)
  const madeAt = Number(cursor.u64())
  const last = { index: cursor.u64(), term: cursor.u64() }
  const from = { index: cursor.u64(), term: cursor.u64() }
  const readId = (): string => Array.from(cursor.bytes(cursor.u8()), (byte) => String.fromCharCode(byte)).join('')
  const ids = { clusterId: readId(), logId: readId(), wrapperId: readId() }
  const wrappedKey = cursor.bytes(cursor.u32())
  const covered = cursor.offset()
  if (cursor.u32() !== suite.crc32(bytes.subarray(0, covered))) throw malformed('does not match its checksum')
  if (cursor.remaining() !== 0 || cursor.offset() !== length) throw malformed('states a wrong length')
  const isNowhere = from.index === 0n && from.term === 0n
  const header: BackupHeader = {
    version: BACKUP_VERSION,
    ...{ backupId, madeAt, last, snapshot: isNowhere ? null : from, ...ids, wrappedKey },
  }
  if (!isProper(header)) throw malformed('holds a value that it may not hold')
  return header
}
