import { type DerReader, fault, peekTag, readContent } from './reader.ts'
import { BIT_STRING, BOOLEAN, GENERALIZED_TIME, INTEGER, OBJECT_IDENTIFIER, UTC_TIME } from './tags.ts'

/** An INTEGER's content, in the fewest bytes (X.690 section 8.3.2). */
export function readInteger(reader: DerReader): Uint8Array<ArrayBuffer> {
  const content = readContent(reader, INTEGER)
  const first = content[0]
  if (first === undefined) throw fault(reader, 'has an empty integer')
  const second = content[1]
  if (second !== undefined && ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80))) {
    throw fault(reader, 'has an integer that is not minimal')
  }
  return content
}

/** A small number, 0 to 127: versions and path lengths are no larger. */
export function readSmallInteger(reader: DerReader): number {
  const content = readInteger(reader)
  const value = content[0] ?? 0
  if (content.length !== 1 || value > 127) throw fault(reader, 'has a number that is out of range')
  return value
}

/** BOOLEAN as DER has it: all bits or none (X.690 section 11.1). */
export function readBoolean(reader: DerReader): boolean {
  const content = readContent(reader, BOOLEAN)
  const value = content[0]
  if (content.length !== 1 || (value !== 0 && value !== 0xff))
    throw fault(reader, 'has a boolean that is neither 00 nor FF')
  return value === 0xff
}

/** An optional `BOOLEAN DEFAULT FALSE`: absent, or true; a written false is not DER (X.690 section 11.5). */
export function readDefaultFalse(reader: DerReader): boolean {
  if (peekTag(reader) !== BOOLEAN) return false
  if (!readBoolean(reader)) throw fault(reader, 'writes out a default value')
  return true
}

/** A BIT STRING that holds whole bytes. */
export function readBitString(reader: DerReader): Uint8Array<ArrayBuffer> {
  const content = readContent(reader, BIT_STRING)
  if (content[0] !== 0) throw fault(reader, 'has a bit string that does not hold whole bytes')
  return content.subarray(1)
}

/** A named bit list of up to nine bits; bit n of the standard is bit n of the result. Trailing zero bits are not DER (X.690 section 11.2.2). */
export function readNamedBits(reader: DerReader): number {
  const content = readContent(reader, BIT_STRING)
  const unused = content[0] ?? 8
  const last = content.length > 1 ? (content[content.length - 1] ?? 0) : 0
  // The lowest set bit of the last byte must be the first used one: this refuses empty lists and padding at once.
  if (unused > 7 || content.length > 3 || (last & -last) !== 1 << unused)
    throw fault(reader, 'has a bit list that is not canonical')
  let bits = 0
  for (let bit = 0; bit < (content.length - 1) * 8; bit += 1) {
    if (((content[1 + (bit >> 3)] ?? 0) & (0x80 >> (bit & 7))) !== 0) bits |= 1 << bit
  }
  return bits
}

/** An OBJECT IDENTIFIER in dotted form; arcs beyond 2^42 do not occur in what this package reads. */
export function readOid(reader: DerReader): string {
  const content = readContent(reader, OBJECT_IDENTIFIER)
  let text = ''
  let arc = 0
  let fresh = true
  for (const byte of content) {
    if ((fresh && byte === 0x80) || arc > 2 ** 35) throw fault(reader, 'has an object identifier that is not minimal')
    arc = arc * 128 + (byte & 0x7f)
    fresh = byte < 0x80
    if (!fresh) continue
    if (text === '') {
      const root = Math.min(Math.trunc(arc / 40), 2)
      text = `${root}.${arc - root * 40}`
    } else {
      text += `.${arc}`
    }
    arc = 0
  }
  if (content.length === 0 || !fresh) throw fault(reader, 'has an object identifier that is cut off')
  return text
}

/**
 * A Time of a certificate as epoch milliseconds: UTCTime up to 2049, GeneralizedTime from 2050, in whole seconds and UTC
 * (RFC 5280 section 4.1.2.5).
 */
export function readTime(reader: DerReader): number {
  const generalized = peekTag(reader) === GENERALIZED_TIME
  const content = readContent(reader, generalized ? GENERALIZED_TIME : UTC_TIME)
  const digits = generalized ? 14 : 12
  if (content.length !== digits + 1 || content[digits] !== 0x5a)
    throw fault(reader, 'has a time that is not in whole seconds of UTC')
  const pair = (at: number): number => {
    const high = (content[at] ?? 0) - 0x30
    const low = (content[at + 1] ?? 0) - 0x30
    if (high < 0 || high > 9 || low < 0 || low > 9) throw fault(reader, 'has a time with something else than digits')
    return high * 10 + low
  }
  const short = pair(digits - 10 - 2)
  const year = generalized ? pair(0) * 100 + pair(2) : short + (short < 50 ? 2000 : 1900)
  const at = digits - 10
  const [month, day, hour, minute, second] = [pair(at), pair(at + 2), pair(at + 4), pair(at + 6), pair(at + 8)]
  if (generalized && year < 2050) throw fault(reader, 'has a time before 2050 in the long form')
  const instant = Date.UTC(year, month - 1, day, hour, minute, second)
  // Date.UTC rolls over what is out of range (month 13, 30 February, second 60), which moves the day or the length of the hour.
  const inRange = month >= 1 && month <= 12 && hour < 24 && minute < 60 && second < 60 && day >= 1
  if (!inRange || new Date(instant).getUTCDate() !== day) throw fault(reader, 'has a time that is in no calendar')
  return instant
}
