import { formatHex } from '../bytes.ts'
import { IdentityError } from '../errors.ts'
import { parseNodeId } from '../membership/node-identity.ts'
import type { Eviction, EvictionReason } from './eviction.ts'

/** The numbers of RFC 5280 section 5.3.1. */
export const REASON_CODES: Readonly<Record<EvictionReason, number>> = {
  unspecified: 0,
  'key-compromise': 1,
  'ca-compromise': 2,
  'affiliation-changed': 3,
  superseded: 4,
  'cessation-of-operation': 5,
  'privilege-withdrawn': 9,
}

const REASONS: ReadonlyMap<number, EvictionReason> = new Map(
  (Object.keys(REASON_CODES) as readonly EvictionReason[]).map((reason) => [REASON_CODES[reason], reason]),
)

const NODE = 1
const CERTIFICATE = 2
const NODE_ID_BYTES = 25
/** RFC 5280 section 4.1.2.2. */
const MAX_SERIAL_BYTES = 20
const MAX_KEY_ID_BYTES = 32
const HEX = /^(?:[0-9a-f]{2})+$/
const SECOND_MS = 1000
const MAX_SECONDS = 2 ** 40
/** Reason, beginning and end. */
const FACTS_BYTES = 1 + 5 + 5

/** A certificate's entry is the longest: kind, serial number, issuer, reason and two instants. */
export const MAX_ENTRY_BYTES: number = 1 + 1 + MAX_SERIAL_BYTES + 1 + MAX_KEY_ID_BYTES + FACTS_BYTES

/** A cursor over the bytes of a list. */
export interface Cursor {
  readonly bytes: Uint8Array
  at: number
}

/** The refusal of bytes that are no list. */
export const malformed = (problem: string): IdentityError =>
  new IdentityError('EVICTION_LIST_MALFORMED', `eviction list ${problem}; ask a manager for its current one`)

/** Steps over `length` bytes and gives where they begin. */
export function skip(cursor: Cursor, length: number): number {
  const start = cursor.at
  if (start + length > cursor.bytes.length) throw malformed('is cut off')
  cursor.at = start + length
  return start
}

/** A number in big-endian bytes, at most six. */
export function readNumber(cursor: Cursor, length: number): number {
  let value = 0
  for (let at = skip(cursor, length); at < cursor.at; at += 1) value = value * 256 + (cursor.bytes[at] ?? 0)
  return value
}

/** Writes a number in big-endian bytes. */
export function pushNumber(out: number[], value: number, length: number): void {
  for (let index = length - 1; index >= 0; index -= 1) out.push(Math.trunc(value / 2 ** (8 * index)) % 256)
}

/** Of a lower-case hexadecimal number. */
function digitAt(hex: string, at: number): number {
  const code = hex.charCodeAt(at)
  return code < 0x61 ? code - 0x30 : code - 0x57
}

function pushHex(out: number[], hex: string): void {
  out.push(hex.length / 2)
  for (let at = 0; at < hex.length; at += 2) out.push(16 * digitAt(hex, at) + digitAt(hex, at + 1))
}

function readHex(cursor: Cursor, most: number): string {
  const length = readNumber(cursor, 1)
  if (length > most) throw malformed('has a number or a key identifier that is too long')
  const start = skip(cursor, length)
  return formatHex(cursor.bytes, start, cursor.at)
}

const isSerial = (hex: string): boolean => HEX.test(hex) && !hex.startsWith('00') && hex.length <= 2 * MAX_SERIAL_BYTES

const isInstant = (ms: number): boolean =>
  Number.isSafeInteger(ms) && ms >= 0 && ms % SECOND_MS === 0 && ms / SECOND_MS < MAX_SECONDS

/**
 * Refuses what could not be written down.
 *
 * @throws RangeError if an instant is not in whole seconds or the end is not after the beginning.
 * @throws TypeError if a serial number or key identifier is not lower-case hexadecimal of its length.
 */
export function checkEviction(eviction: Eviction): void {
  const { at, until } = eviction
  if (!isInstant(at) || !isInstant(until) || until <= at)
    throw new RangeError('an eviction begins and ends at whole seconds, and ends after it begins')
  if (eviction.kind === 'node') {
    parseNodeId(eviction.nodeId)
    return
  }
  const { serial, issuerKeyId } = eviction
  const named = issuerKeyId === null || (HEX.test(issuerKeyId) && issuerKeyId.length <= 2 * MAX_KEY_ID_BYTES)
  if (!isSerial(serial) || !named)
    throw new TypeError('serial and issuerKeyId must be lower-case hexadecimal, as a certificate gives them')
}

/** The one encoding of an eviction that {@link checkEviction} passes. */
export function encodeEviction(eviction: Eviction): Uint8Array<ArrayBuffer> {
  const out: number[] = []
  if (eviction.kind === 'node') {
    out.push(NODE)
    for (let at = 0; at < NODE_ID_BYTES; at += 1) out.push(eviction.nodeId.charCodeAt(at))
  } else {
    out.push(CERTIFICATE)
    pushHex(out, eviction.serial)
    pushHex(out, eviction.issuerKeyId ?? '')
  }
  out.push(REASON_CODES[eviction.reason])
  pushNumber(out, eviction.at / SECOND_MS, 5)
  pushNumber(out, eviction.until / SECOND_MS, 5)
  return Uint8Array.from(out)
}

/** Reads one entry; refuses any that {@link encodeEviction} would write otherwise. */
export function readEviction(cursor: Cursor): Eviction {
  const kind = readNumber(cursor, 1)
  if (kind === NODE) {
    const start = skip(cursor, NODE_ID_BYTES)
    const nodeId = readNodeId(String.fromCharCode(...cursor.bytes.subarray(start, cursor.at)))
    return { kind: 'node', nodeId, ...readFacts(cursor) }
  }
  if (kind !== CERTIFICATE) throw malformed('has an entry of a kind that does not exist')
  const serial = readHex(cursor, MAX_SERIAL_BYTES)
  if (!isSerial(serial)) throw malformed('has a serial number that is not positive and minimal')
  const issuer = readHex(cursor, MAX_KEY_ID_BYTES)
  return { kind: 'certificate', serial, issuerKeyId: issuer === '' ? null : issuer, ...readFacts(cursor) }
}

/** Steps over one entry of a book, and gives its bytes. */
export function skipEviction(cursor: Cursor): Uint8Array {
  const start = cursor.at
  if (readNumber(cursor, 1) === NODE) skip(cursor, NODE_ID_BYTES)
  else for (const _ of ['serial', 'issuer']) skip(cursor, readNumber(cursor, 1))
  skip(cursor, FACTS_BYTES)
  return cursor.bytes.subarray(start, cursor.at)
}

function readNodeId(text: string): ReturnType<typeof parseNodeId> {
  try {
    return parseNodeId(text)
  } catch {
    throw malformed('names a node by something that is no node id')
  }
}

function readFacts(cursor: Cursor): Pick<Eviction, 'reason' | 'at' | 'until'> {
  const reason = REASONS.get(readNumber(cursor, 1))
  if (reason === undefined) throw malformed('has a reason that does not exist')
  const at = readNumber(cursor, 5) * SECOND_MS
  const until = readNumber(cursor, 5) * SECOND_MS
  if (until <= at) throw malformed('has an entry that ends before it begins')
  return { reason, at, until }
}
