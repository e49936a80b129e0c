import { ascend, type DerReader, descend, fault, peekTag, skipContent } from './der/reader.ts'
import { IA5_STRING, PRINTABLE_STRING, SEQUENCE, SET, UTF8_STRING } from './der/tags.ts'
import { formatOid, skipOid } from './der/values.ts'
import type { IdentityError } from './errors.ts'

/** One attribute of a name, such as `2.5.4.3` (common name) and its text. */
export interface NameAttribute {
  /** The attribute's object identifier in dotted form. */
  readonly type: string
  readonly value: string
}

/** A distinguished name of a certificate. Two names are the same when their `der` is. */
export interface DistinguishedName {
  /** The DER Name as it stands in the certificate. */
  readonly der: Uint8Array<ArrayBuffer>
  /** The attributes in the order of the encoding; each stands in a set of its own. */
  readonly attributes: readonly NameAttribute[]
}

export const ORGANIZATION = '2.5.4.10'
export const ORGANIZATIONAL_UNIT = '2.5.4.11'
export const COMMON_NAME = '2.5.4.3'

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

// The letters of a PrintableString (X.680 section 41.4).
const PRINTABLE = new Uint8Array(128)
for (const letter of "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?") {
  PRINTABLE[letter.charCodeAt(0)] = 1
}

const wrongText = (reader: DerReader): IdentityError => fault(reader, 'has text that is not valid in its string type')

/** Steps over text that is valid in its string type, which is UTF-8, printable, or else IA5; gives where it begins. */
export function skipText(reader: DerReader, tag: number): number {
  const start = skipContent(reader, tag)
  const { bytes, at } = reader
  let seven = 0
  let printable = 1
  for (let index = start; index < at; index += 1) {
    const byte = bytes[index] ?? 0
    seven |= byte
    printable &= PRINTABLE[byte & 0x7f] ?? 0
  }
  if (seven < 0x80) {
    if (tag === PRINTABLE_STRING && printable === 0) throw wrongText(reader)
    return start
  }
  // Eight-bit letters have no place but in UTF-8.
  if (tag !== UTF8_STRING) throw wrongText(reader)
  try {
    utf8.decode(bytes.subarray(start, at))
  } catch {
    throw wrongText(reader)
  }
  return start
}

/** The text that {@link skipText} has stepped over. */
export const formatText = (bytes: Uint8Array, start: number, end: number): string =>
  utf8.decode(bytes.subarray(start, end))

/**
 * Walks a Name (RFC 5280 section 4.1.2.4) with one attribute in each set, in UTF-8, printable or IA5 text, and gives where it begins.
 *
 * @param places - Takes four numbers for each attribute: where its type and its text begin and end.
 */
function walkName(reader: DerReader, places: number[] | null): number {
  const start = reader.at
  const afterName = descend(reader, SEQUENCE)
  while (reader.at < reader.end) {
    const afterSet = descend(reader, SET)
    const afterAttribute = descend(reader, SEQUENCE)
    const typeAt = skipOid(reader)
    const typeEnd = reader.at
    const tag = peekTag(reader)
    if (tag !== UTF8_STRING && tag !== PRINTABLE_STRING && tag !== IA5_STRING) {
      throw fault(reader, 'has a name in a string type that is not accepted')
    }
    const valueAt = skipText(reader, tag)
    places?.push(typeAt, typeEnd, valueAt, reader.at)
    ascend(reader, afterAttribute)
    ascend(reader, afterSet)
  }
  ascend(reader, afterName)
  return start
}

// Joint-iso-itu-t(2) ds(5) attributeType(4), in the two bytes of its encoding.
const isAttributeType = (bytes: Uint8Array, start: number, end: number): boolean =>
  end - start === 3 && bytes[start] === 0x55 && bytes[start + 1] === 0x04

function attributeType(bytes: Uint8Array, start: number, end: number): string {
  if (isAttributeType(bytes, start, end)) {
    const last = bytes[start + 2]
    if (last === 3) return COMMON_NAME
    if (last === 10) return ORGANIZATION
    if (last === 11) return ORGANIZATIONAL_UNIT
  }
  return formatOid(bytes, start, end)
}

/** Steps over a Name which {@link readName} would read, and gives where it begins; it ends where the reader stands. */
export const skipName = (reader: DerReader): number => walkName(reader, null)

const isSevenBit = (bytes: Uint8Array, start: number, end: number): boolean => {
  let all = 0
  for (let index = start; index < end; index += 1) all |= bytes[index] ?? 0
  return all < 0x80
}

/** Reads a Name (RFC 5280 section 4.1.2.4) with one attribute in each set, in UTF-8, printable or IA5 text. */
export function readName(reader: DerReader): DistinguishedName {
  const places: number[] = []
  const start = walkName(reader, places)
  const { bytes, at: end } = reader
  // Decoding takes as long for a whole name as for a part of it. Where each byte is a letter, parts of the one text are those of the other.
  const whole = isSevenBit(bytes, start, end) ? formatText(bytes, start, end) : null
  const attributes: NameAttribute[] = []
  for (let index = 0; index < places.length; index += 4) {
    const valueAt = places[index + 2] ?? 0
    const valueEnd = places[index + 3] ?? 0
    attributes.push({
      type: attributeType(bytes, places[index] ?? 0, places[index + 1] ?? 0),
      value: whole === null ? formatText(bytes, valueAt, valueEnd) : whole.slice(valueAt - start, valueEnd - start),
    })
  }
  return { der: bytes.subarray(start, end), attributes }
}
