import { allocate } from '../certificate/page.ts'
import {
  BIT_STRING,
  BOOLEAN,
  GENERALIZED_TIME,
  INTEGER,
  OBJECT_IDENTIFIER,
  OCTET_STRING,
  SEQUENCE,
  UTC_TIME,
} from './tags.ts'

const SMALL = 48

/** How many bytes the length field of `length` bytes takes. */
const lengthBytesOf = (length: number): number => (length < 0x80 ? 1 : length < 0x100 ? 2 : length < 0x10000 ? 3 : 4)

/** How many bytes an element with so much content takes. */
export const elementLength = (length: number): number => 1 + lengthBytesOf(length) + length

/** Writes tag and minimal length of an element, and gives where its content goes. */
export function writeHeader(out: Uint8Array, at: number, tag: number, length: number): number {
  const count = lengthBytesOf(length) - 1
  out[at] = tag
  out[at + 1] = count === 0 ? length : 0x80 | count
  for (let index = 0; index < count; index += 1) out[at + 2 + index] = length >>> (8 * (count - 1 - index))
  return at + 2 + count
}

/** Writes bytes, and gives where the next ones go. */
export function writeBytes(out: Uint8Array, at: number, bytes: Uint8Array): number {
  // Most parts are a few bytes, for which a native copy costs more than it saves.
  if (bytes.length > SMALL) out.set(bytes, at)
  else for (let index = 0; index < bytes.length; index += 1) out[at + index] = bytes[index] ?? 0
  return at + bytes.length
}

/** Writes ASCII text, and gives where the next bytes go. */
export function writeText(out: Uint8Array, at: number, text: string): number {
  for (let index = 0; index < text.length; index += 1) out[at + index] = text.charCodeAt(index)
  return at + text.length
}

/** One element: tag, minimal length, and the parts one after the other. */
export function encodeElement(tag: number, ...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  let length = 0
  for (const part of parts) length += part.length
  const out = new Uint8Array(elementLength(length))
  let at = writeHeader(out, 0, tag, length)
  for (const part of parts) at = writeBytes(out, at, part)
  return out
}

/** What certificates and requests are: the signed part, the algorithm, and the signature as a BIT STRING. */
export function encodeSigned(tbs: Uint8Array, algorithm: Uint8Array, signature: Uint8Array): Uint8Array<ArrayBuffer> {
  const bits = 1 + signature.length
  const length = tbs.length + algorithm.length + elementLength(bits)
  const out = allocate(elementLength(length))
  let at = writeHeader(out, 0, SEQUENCE, length)
  at = writeBytes(out, at, tbs)
  at = writeBytes(out, at, algorithm)
  at = writeHeader(out, at, BIT_STRING, bits)
  // No unused bits, which the zero says that is there already.
  writeBytes(out, at + 1, signature)
  return out
}

/** A SEQUENCE of the parts. */
export const encodeSequence = (...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> =>
  encodeElement(SEQUENCE, ...parts)

/** The one true BOOLEAN of DER; false is a default and never written. */
export const TRUE: Uint8Array<ArrayBuffer> = encodeElement(BOOLEAN, Uint8Array.of(0xff))

/** A non-negative INTEGER from big-endian bytes without a leading zero. */
export function encodeUnsigned(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return (bytes[0] ?? 0) < 0x80 ? encodeElement(INTEGER, bytes) : encodeElement(INTEGER, Uint8Array.of(0), bytes)
}

/** A BIT STRING of whole bytes. */
export const encodeBitString = (bytes: Uint8Array): Uint8Array<ArrayBuffer> =>
  encodeElement(BIT_STRING, Uint8Array.of(0), bytes)

/** An OCTET STRING around the parts. */
export const encodeOctets = (...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> =>
  encodeElement(OCTET_STRING, ...parts)

/** ASCII text under the tag of a string type. */
export function encodeText(tag: number, text: string): Uint8Array<ArrayBuffer> {
  if (text.length >= 0x80) throw new RangeError('text of a certificate must be shorter than 128 letters')
  const out = new Uint8Array(2 + text.length)
  out[0] = tag
  out[1] = text.length
  writeText(out, 2, text)
  return out
}

/** An OBJECT IDENTIFIER from its dotted form. */
export function encodeOid(dotted: string): Uint8Array<ArrayBuffer> {
  const [root = 0, branch = 0, ...arcs] = dotted.split('.').map(Number)
  const content = [root * 40 + branch, ...arcs].flatMap((arc) => {
    const digits = [arc % 128]
    for (let rest = Math.trunc(arc / 128); rest > 0; rest = Math.trunc(rest / 128)) digits.unshift((rest % 128) | 0x80)
    return digits
  })
  return encodeElement(OBJECT_IDENTIFIER, Uint8Array.from(content))
}

function writePair(out: Uint8Array, at: number, value: number): number {
  out[at] = 0x30 + Math.trunc(value / 10)
  out[at + 1] = 0x30 + (value % 10)
  return at + 2
}

/** A Time in the form that its year asks for (RFC 5280 section 4.1.2.5); parts of a second are dropped. */
export function encodeTime(instant: number): Uint8Array<ArrayBuffer> {
  const time = new Date(instant)
  const year = time.getUTCFullYear()
  // RFC 5280 has two digits for the years from 1950 to 2049 and four for the later ones.
  if (!(year >= 1950 && year <= 9999)) throw new RangeError('the time of a certificate or a list is from 1950 to 9999')
  const long = year >= 2050
  const out = new Uint8Array(long ? 17 : 15)
  let at = writeHeader(out, 0, long ? GENERALIZED_TIME : UTC_TIME, out.length - 2)
  if (long) at = writePair(out, at, Math.trunc(year / 100))
  at = writePair(out, at, year % 100)
  at = writePair(out, at, time.getUTCMonth() + 1)
  at = writePair(out, at, time.getUTCDate())
  at = writePair(out, at, time.getUTCHours())
  at = writePair(out, at, time.getUTCMinutes())
  at = writePair(out, at, time.getUTCSeconds())
  out[at] = 0x5a
  return out
}
