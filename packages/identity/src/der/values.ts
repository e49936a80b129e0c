import { type DerReader, fault, peekTag, skipContent } from './reader.ts'
import { BIT_STRING, BOOLEAN, GENERALIZED_TIME, INTEGER, OBJECT_IDENTIFIER, UTC_TIME } from './tags.ts'

/** Steps over an INTEGER in the fewest bytes (X.690 section 8.3.2), and gives where its content begins. */
export function skipInteger(reader: DerReader): number {
  const start = skipContent(reader, INTEGER)
  const { bytes, at } = reader
  if (at === start) throw fault(reader, 'has an empty integer')
  if (at - start > 1) {
    const first = bytes[start] ?? 0
    const second = bytes[start + 1] ?? 0
    if ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80))
      throw fault(reader, 'has an integer that is not minimal')
  }
  return start
}

/** An INTEGER's content, as a view. */
export function readInteger(reader: DerReader): Uint8Array<ArrayBuffer> {
  const start = skipInteger(reader)
  return reader.bytes.subarray(start, reader.at)
}

/** A small number, 0 to 127: versions and path lengths are no larger. */
export function readSmallInteger(reader: DerReader): number {
  const start = skipContent(reader, INTEGER)
  const value = reader.bytes[start] ?? 0
  if (reader.at !== start + 1 || value > 127) throw fault(reader, 'has a number that is out of range')
  return value
}

/** BOOLEAN as DER has it: all bits or none (X.690 section 11.1). */
export function readBoolean(reader: DerReader): boolean {
  const start = skipContent(reader, BOOLEAN)
  const value = reader.bytes[start]
  if (reader.at !== start + 1 || (value !== 0 && value !== 0xff))
    throw fault(reader, 'has a boolean that is neither 00 nor FF')
  return value === 0xff
}

/** An optional `BOOLEAN DEFAULT FALSE`: absent, or true; a written false is not DER (X.690 section 11.5). */
export function readDefaultFalse(reader: DerReader): boolean {
  if (peekTag(reader) !== BOOLEAN) return false
  if (!readBoolean(reader)) throw fault(reader, 'writes out a default value')
  return true
}

/** Steps over a BIT STRING that holds whole bytes, and gives where they begin; they end where the reader stands. */
export function skipBitString(reader: DerReader): number {
  const start = skipContent(reader, BIT_STRING)
  if (reader.at === start || reader.bytes[start] !== 0)
    throw fault(reader, 'has a bit string that does not hold whole bytes')
  return start + 1
}

/** A named bit list of up to nine bits; bit n of the standard is bit n of the result. Trailing zero bits are not DER (X.690 section 11.2.2). */
export function readNamedBits(reader: DerReader): number {
  const start = skipContent(reader, BIT_STRING)
  const { bytes, at } = reader
  const length = at - start
  const unused = length > 0 ? (bytes[start] ?? 8) : 8
  const last = length > 1 ? (bytes[at - 1] ?? 0) : 0
  // The lowest set bit of the last byte must be the first used one: this refuses empty lists and padding at once.
  if (unused > 7 || length > 3 || (last & -last) !== 1 << unused)
    throw fault(reader, 'has a bit list that is not canonical')
  let bits = 0
  for (let bit = 0; bit < (length - 1) * 8; bit += 1) {
    if (((bytes[start + 1 + (bit >> 3)] ?? 0) & (0x80 >> (bit & 7))) !== 0) bits |= 1 << bit
  }
  return bits
}

/** Steps over an OBJECT IDENTIFIER in its one form, and gives where its content begins; arcs beyond 2^42 do not occur in what this package reads. */
export function skipOid(reader: DerReader, tag: number = OBJECT_IDENTIFIER): number {
  const start = skipContent(reader, tag)
  const { bytes, at } = reader
  let arc = 0
  for (let index = start; index < at; index += 1) {
    const byte = bytes[index] ?? 0
    // Nearly all arcs are one byte. In a longer one the first is not 0x80, so what was read of it is never zero.
    if (arc === 0 && byte < 0x80) continue
    if ((arc === 0 && byte === 0x80) || arc > 2 ** 35)
      throw fault(reader, 'has an object identifier that is not minimal')
    arc = byte < 0x80 ? 0 : arc * 128 + (byte & 0x7f)
  }
  if (at === start || arc !== 0) throw fault(reader, 'has an object identifier that is cut off')
  return start
}

/** The dotted form of an identifier that {@link skipOid} has stepped over. */
export function formatOid(bytes: Uint8Array, start: number, end: number): string {
  let text = ''
  let arc = 0
  for (let index = start; index < end; index += 1) {
    const byte = bytes[index] ?? 0
    arc = arc * 128 + (byte & 0x7f)
    if (byte >= 0x80) continue
    if (text === '') {
      const root = Math.min(Math.trunc(arc / 40), 2)
      text = `${root}.${arc - root * 40}`
    } else {
      text += `.${arc}`
    }
    arc = 0
  }
  return text
}

/** An OBJECT IDENTIFIER in dotted form. */
export function readOid(reader: DerReader): string {
  const start = skipOid(reader)
  return formatOid(reader.bytes, start, reader.at)
}

// Not a digit, and too large to be repaired by whatever stands beside it.
const NO_DIGITS = 100_000_000

/** Two decimal digits, or at least {@link NO_DIGITS} in their place. */
function pair(bytes: Uint8Array, at: number): number {
  const high = (bytes[at] ?? 0) - 0x30
  const low = (bytes[at + 1] ?? 0) - 0x30
  return high >= 0 && high <= 9 && low >= 0 && low <= 9 ? high * 10 + low : NO_DIGITS
}

const DAYS: readonly number[] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
const isLeap = (year: number): boolean => year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)

/**
 * A Time of a certificate as epoch milliseconds: UTCTime up to 2049, GeneralizedTime from 2050, in whole seconds and UTC
 * (RFC 5280 section 4.1.2.5).
 */
export function readTime(reader: DerReader): number {
  const generalized = peekTag(reader) === GENERALIZED_TIME
  const start = skipContent(reader, generalized ? GENERALIZED_TIME : UTC_TIME)
  const { bytes } = reader
  const at = start + (generalized ? 4 : 2)
  if (reader.at !== at + 11 || bytes[at + 10] !== 0x5a)
    throw fault(reader, 'has a time that is not in whole seconds of UTC')
  const short = pair(bytes, at - 2)
  const year = generalized ? pair(bytes, start) * 100 + short : short + (short < 50 ? 2000 : 1900)
  const month = pair(bytes, at)
  const day = pair(bytes, at + 2)
  const hour = pair(bytes, at + 4)
  const minute = pair(bytes, at + 6)
  const second = pair(bytes, at + 8)
  if (year + month + day + hour + minute + second >= NO_DIGITS)
    throw fault(reader, 'has a time with something else than digits')
  if (generalized && year < 2050) throw fault(reader, 'has a time before 2050 in the long form')
  const days = month === 2 && isLeap(year) ? 29 : (DAYS[month - 1] ?? 0)
  if (day < 1 || day > days || hour >= 24 || minute >= 60 || second >= 60)
    throw fault(reader, 'has a time that is in no calendar')
  return ((daysTo(year, month, day) * 24 + hour) * 60 + minute) * 60_000 + second * 1000
}

/** Days from 1970 to a day of the Gregorian calendar, which begins its years with March here; the platform's own way takes ten times as long. */
function daysTo(year: number, month: number, day: number): number {
  const years = month > 2 ? year : year - 1
  const months = month > 2 ? month - 3 : month + 9
  const leapDays = Math.floor(years / 4) - Math.floor(years / 100) + Math.floor(years / 400)
  // 153 days in five months, beginning with March. Days count from 1, and 719,468 lie between the first of March of the year 0 and 1970.
  return years * 365 + leapDays + Math.floor((153 * months + 2) / 5) + day - 719_469
}
