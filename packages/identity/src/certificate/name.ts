import { ascend, type DerReader, descend, enter, fault, openDer, peekTag, skipContent } from '../der/reader.ts'
import { IA5_STRING, OBJECT_IDENTIFIER, PRINTABLE_STRING, SEQUENCE, SET, UTF8_STRING } from '../der/tags.ts'
import { readOid, skipOid } from '../der/values.ts'
import type { IdentityError } from '../errors.ts'

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
const lenient = new TextDecoder('utf-8', { ignoreBOM: true })

// The letters of a PrintableString (X.680 section 41.4).
const PRINTABLE = new Uint8Array(128)
for (const letter of "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?") {
  PRINTABLE[letter.charCodeAt(0)] = 1
}

const wrongText = (reader: DerReader): IdentityError => fault(reader, 'has text that is not valid in its string type')

/** Steps over text that is valid in its string type, which is UTF-8, printable, or else IA5; gives where it begins. */
export function skipText(reader: DerReader, tag: number): number {
  const start = skipContent(reader, tag)
  checkText(reader, tag, start)
  return start
}

/** Refuses text, from `start` to where the reader stands, that is not valid in its string type. */
function checkText(reader: DerReader, tag: number, start: number): void {
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
    return
  }
  // Eight-bit letters have no place but in UTF-8.
  if (tag !== UTF8_STRING) throw wrongText(reader)
  try {
    utf8.decode(bytes.subarray(start, at))
  } catch {
    throw wrongText(reader)
  }
}

/** The text that {@link skipText} has stepped over. */
export const formatText = (bytes: Uint8Array, start: number, end: number): string =>
  utf8.decode(bytes.subarray(start, end))

/** The types that name a node, by the last arc of 2.5.4 (attributeType of the standard); `null` for others. */
const standardType = (arc: number): string | null =>
  arc === 3 ? COMMON_NAME : arc === 10 ? ORGANIZATION : arc === 11 ? ORGANIZATIONAL_UNIT : null

/** The type of an attribute that was stepped over. */
function typeOf(reader: DerReader, attributeAt: number): string {
  const set = openDer(reader.bytes, reader.refusal)
  set.at = attributeAt
  return readOid(enter(enter(set, SET), SEQUENCE))
}

/**
 * Steps over one attribute in a set of its own, and gives where its text begins; it ends where the reader stands.
 *
 * Exported for its own test.
 */
export function skipAttribute(reader: DerReader): number {
  const afterSet = descend(reader, SET)
  const afterAttribute = descend(reader, SEQUENCE)
  skipOid(reader)
  const valueAt = skipText(reader, textTag(reader))
  ascend(reader, afterAttribute)
  ascend(reader, afterSet)
  return valueAt
}

function textTag(reader: DerReader): number {
  const tag = peekTag(reader)
  if (tag !== UTF8_STRING && tag !== PRINTABLE_STRING && tag !== IA5_STRING)
    throw fault(reader, 'has a name in a string type that is not accepted')
  return tag
}

/** Where the text of a short attribute begins, after the start of its set: four headers, and three bytes of a standard type. */
const SHORT_HEAD = 11

/**
 * What {@link skipAttribute} does, for an attribute as nearly all are: shorter than 128 bytes, and of one of the standard's own types. All of its head is
 * compared at once then.
 *
 * Exported for its own test.
 *
 * @returns -1, and the reader stays where it was, for any other attribute.
 */
export function skipShortAttribute(reader: DerReader): number {
  const { bytes, at, end } = reader
  const length = bytes[at + 1] ?? 0
  const valueEnd = at + 2 + length
  if (
    length >= 0x80 ||
    valueEnd > end ||
    bytes[at] !== SET ||
    bytes[at + 2] !== SEQUENCE ||
    bytes[at + 3] !== length - 2 ||
    bytes[at + 4] !== OBJECT_IDENTIFIER ||
    bytes[at + 5] !== 3 ||
    bytes[at + 6] !== 0x55 ||
    bytes[at + 7] !== 0x04 ||
    (bytes[at + 8] ?? 0x80) >= 0x80 ||
    bytes[at + 10] !== valueEnd - at - SHORT_HEAD
  )
    return -1
  const valueAt = at + SHORT_HEAD
  reader.at = at + 9
  const tag = textTag(reader)
  reader.at = valueEnd
  checkText(reader, tag, valueAt)
  return valueAt
}

/** Steps over a Name which {@link readName} would read, and gives where it begins; it ends where the reader stands. */
export function skipName(reader: DerReader): number {
  const start = reader.at
  const afterName = descend(reader, SEQUENCE)
  while (reader.at < reader.end) if (skipShortAttribute(reader) < 0) skipAttribute(reader)
  ascend(reader, afterName)
  return start
}

/** Reads a Name (RFC 5280 section 4.1.2.4) with one attribute in each set, in UTF-8, printable or IA5 text. */
export function readName(reader: DerReader): DistinguishedName {
  const { bytes, at: start } = reader
  const afterName = descend(reader, SEQUENCE)
  const der = bytes.subarray(start, reader.end)
  // Decoding takes as long for a whole name as for a part of it. As many letters as bytes means that each byte is a letter, whatever they are.
  const letters = lenient.decode(der)
  const attributes: NameAttribute[] = []
  while (reader.at < reader.end) {
    const attributeAt = reader.at
    let valueAt = skipShortAttribute(reader)
    const type = valueAt < 0 ? null : standardType(bytes[attributeAt + 8] ?? 0)
    if (valueAt < 0) valueAt = skipAttribute(reader)
    const value =
      letters.length === der.length
        ? letters.slice(valueAt - start, reader.at - start)
        : formatText(bytes, valueAt, reader.at)
    attributes.push({ type: type ?? typeOf(reader, attributeAt), value })
  }
  ascend(reader, afterName)
  return { der, attributes }
}
