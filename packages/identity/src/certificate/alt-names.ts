import { ascend, type DerReader, descend, fault, peekTag, readContent, skipAny, skipContent } from '../der/reader.ts'
import { explicit, implicit } from '../der/tags.ts'
import { skipOid } from '../der/values.ts'
import { type DistinguishedName, readName, skipName, skipText } from './name.ts'

/** One alternative name of a certificate (RFC 5280 section 4.2.1.6). Kinds that this package does not interpret are `other`. */
export type AltName =
  | { readonly kind: 'dns' | 'email' | 'uri'; readonly value: string }
  | { readonly kind: 'ip'; readonly value: Uint8Array<ArrayBuffer> }
  | { readonly kind: 'directory'; readonly value: DistinguishedName }
  | { readonly kind: 'other' }

// GeneralName of RFC 5280 section 4.2.1.6: the number of the choice is the tag.
export const EMAIL: number = implicit(1)
export const DNS_NAME: number = implicit(2)
export const DIRECTORY_NAME: number = explicit(4)
export const URI: number = implicit(6)
export const IP_ADDRESS: number = implicit(7)
const REGISTERED_ID = implicit(8)
// Other name, X.400 address and EDI party name are structures; what they are made of is not interpreted.
const OTHER_NAMES: readonly number[] = [explicit(0), explicit(3), explicit(5)]

const textKind = (tag: number): 'dns' | 'email' | 'uri' | null =>
  tag === DNS_NAME ? 'dns' : tag === URI ? 'uri' : tag === EMAIL ? 'email' : null

/** Steps over one GeneralName, checking its form. */
export function skipAltName(reader: DerReader): void {
  const tag = peekTag(reader)
  if (tag === DNS_NAME || tag === EMAIL || tag === URI) skipText(reader, tag)
  else if (tag === DIRECTORY_NAME) {
    const outer = descend(reader, DIRECTORY_NAME)
    skipName(reader)
    ascend(reader, outer)
  } else if (tag === IP_ADDRESS) {
    const { length } = readContent(reader, IP_ADDRESS)
    if (length !== 4 && length !== 16) throw fault(reader, 'has an address that is neither IPv4 nor IPv6')
  } else if (OTHER_NAMES.includes(tag)) skipAny(reader)
  else if (tag === REGISTERED_ID) skipOid(reader, REGISTERED_ID)
  else throw fault(reader, 'has an alternative name of no known kind')
}

/** Reads one GeneralName that {@link skipAltName} has accepted. */
function readAltName(reader: DerReader): AltName {
  const tag = peekTag(reader)
  const kind = textKind(tag)
  if (kind !== null) {
    const start = skipContent(reader, tag)
    // Seven-bit letters, as was checked: for a name's few this is faster than a decoder.
    let value = ''
    for (let at = start; at < reader.at; at += 1) value += String.fromCharCode(reader.bytes[at] ?? 0)
    return { kind, value }
  }
  if (tag === IP_ADDRESS) return { kind: 'ip', value: readContent(reader, tag) }
  if (tag === DIRECTORY_NAME) {
    const outer = descend(reader, tag)
    const value = readName(reader)
    ascend(reader, outer)
    return { kind: 'directory', value }
  }
  skipAny(reader)
  return { kind: 'other' }
}

/** The names in a list that was checked. */
export function listAltNames(reader: DerReader): readonly AltName[] {
  const list: AltName[] = []
  while (reader.at < reader.end) list.push(readAltName(reader))
  return list
}
