import { type DerReader, enter, fault, finish, openDer, peekTag, readContent, readElement } from './der/reader.ts'
import { IA5_STRING, PRINTABLE_STRING, SEQUENCE, SET, UTF8_STRING } from './der/tags.ts'
import { readOid } from './der/values.ts'

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
const NOT_PRINTABLE = /[^A-Za-z0-9 '()+,\-./:=?]/u
// Eight-bit letters have no place in IA5; the check is on code points of the decoded text.
const NOT_IA5 = /[\u0080-\u{10ffff}]/u

/** Text of one of the accepted string types. */
export function readText(reader: DerReader, tag: number): string {
  const content = readContent(reader, tag)
  let text: string
  try {
    text = utf8.decode(content)
  } catch {
    throw fault(reader, 'has text that is not valid in its string type')
  }
  const wrong = tag === PRINTABLE_STRING ? NOT_PRINTABLE.test(text) : tag !== UTF8_STRING && NOT_IA5.test(text)
  if (wrong) throw fault(reader, 'has text that is not valid in its string type')
  return text
}

/** Reads a Name (RFC 5280 section 4.1.2.4) with one attribute in each set, in UTF-8, printable or IA5 text. */
export function readName(reader: DerReader): DistinguishedName {
  const der = readElement(reader, SEQUENCE)
  const sets = enter(openDer(der, reader.refusal), SEQUENCE)
  const attributes: NameAttribute[] = []
  while (sets.at < sets.end) {
    const set = enter(sets, SET)
    const attribute = enter(set, SEQUENCE)
    finish(set)
    const type = readOid(attribute)
    const tag = peekTag(attribute)
    if (tag !== UTF8_STRING && tag !== PRINTABLE_STRING && tag !== IA5_STRING) {
      throw fault(attribute, 'has a name in a string type that is not accepted')
    }
    attributes.push({ type, value: readText(attribute, tag) })
    finish(attribute)
  }
  return { der, attributes }
}
