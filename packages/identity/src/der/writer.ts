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

/** One element: tag, minimal length, and the parts one after the other. */
export function encodeElement(tag: number, ...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  let length = 0
  for (const part of parts) length += part.length
  const lengthBytes = length < 0x80 ? 0 : length < 0x100 ? 1 : length < 0x10000 ? 2 : 3
  const out = new Uint8Array(2 + lengthBytes + length)
  out[0] = tag
  out[1] = lengthBytes === 0 ? length : 0x80 | lengthBytes
  for (let index = 0; index < lengthBytes; index += 1) out[2 + index] = length >>> (8 * (lengthBytes - 1 - index))
  let at = 2 + lengthBytes
  for (const part of parts) {
    // Most parts are a few bytes, for which a native copy costs more than it saves.
    if (part.length > SMALL) out.set(part, at)
    else for (let index = 0; index < part.length; index += 1) out[at + index] = part[index] ?? 0
    at += part.length
  }
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
  for (let index = 0; index < text.length; index += 1) out[2 + index] = text.charCodeAt(index)
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

const pair = (value: number): string => (value < 10 ? `0${value}` : String(value))

/** A Time in the form that its year asks for (RFC 5280 section 4.1.2.5); parts of a second are dropped. */
export function encodeTime(instant: number): Uint8Array<ArrayBuffer> {
  const time = new Date(instant)
  const year = time.getUTCFullYear()
  const rest =
    pair(time.getUTCMonth() + 1) +
    pair(time.getUTCDate()) +
    pair(time.getUTCHours()) +
    pair(time.getUTCMinutes()) +
    pair(time.getUTCSeconds())
  if (year < 2050) return encodeText(UTC_TIME, `${pair(year % 100)}${rest}Z`)
  return encodeText(GENERALIZED_TIME, `${pair(Math.trunc(year / 100))}${pair(year % 100)}${rest}Z`)
}
