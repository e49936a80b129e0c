import { ascend, type DerReader, descend, fault, peekTag, skipAny, skipContent } from './der/reader.ts'
import { BOOLEAN, explicit, INTEGER, implicit, OCTET_STRING, SEQUENCE } from './der/tags.ts'
import { formatOid, readDefaultFalse, readNamedBits, readOid, readSmallInteger, skipOid } from './der/values.ts'
import { formatText, skipText } from './name.ts'

/** What a key may be used for (RFC 5280 section 4.2.1.3). */
export type KeyUsage =
  | 'digitalSignature'
  | 'nonRepudiation'
  | 'keyEncipherment'
  | 'dataEncipherment'
  | 'keyAgreement'
  | 'keyCertSign'
  | 'cRLSign'
  | 'encipherOnly'
  | 'decipherOnly'

/** The extensions of a certificate that this package understands; `null` stands for an absent one. */
export interface Extensions {
  readonly isCa: boolean
  /** How many intermediates may follow below a CA; `null` when it says nothing. */
  readonly pathLength: number | null
  readonly keyUsage: readonly KeyUsage[] | null
  /** Object identifiers in dotted form. */
  readonly extKeyUsage: readonly string[] | null
  /** DNS names of the subject alternative name; names of other kinds are checked for form and left out. */
  readonly dnsNames: readonly string[]
  readonly subjectKeyId: Uint8Array<ArrayBuffer> | null
  readonly authorityKeyId: Uint8Array<ArrayBuffer> | null
  /** Critical extensions that this package does not understand, in dotted form. Verification refuses them. */
  readonly unknownCritical: readonly string[]
}

export const SUBJECT_KEY_ID = '2.5.29.14'
export const KEY_USAGE = '2.5.29.15'
export const SUBJECT_ALT_NAME = '2.5.29.17'
export const BASIC_CONSTRAINTS = '2.5.29.19'
export const AUTHORITY_KEY_ID = '2.5.29.35'
export const EXT_KEY_USAGE = '2.5.29.37'
export const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'
export const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'

/** Bit n of the list is name n (RFC 5280 section 4.2.1.3). */
export const KEY_USAGES: readonly KeyUsage[] = [
  'digitalSignature',
  'nonRepudiation',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
  'encipherOnly',
  'decipherOnly',
]

const DNS_NAME = implicit(2)
const KEY_ID = implicit(0)
// Docker's leaves carry six. Each one costs a look through those before it for duplicates.
const MAX_EXTENSIONS = 32

/** What the extensions field says, checked; lists are still where they stand in the certificate. */
export interface ExtensionsLayout {
  isCa: boolean
  pathLength: number | null
  /** Bit n is name n; -1 when absent. */
  keyUsage: number
  /** Where lists and identifiers begin and end; 0 when absent, as no extension is the first of a certificate. */
  extKeyUsageAt: number
  extKeyUsageEnd: number
  altNamesAt: number
  altNamesEnd: number
  subjectKeyIdAt: number
  subjectKeyIdEnd: number
  authorityKeyIdAt: number
  authorityKeyIdEnd: number
  unknownCritical: readonly string[]
}

const NONE: readonly string[] = Object.freeze([])

/** Reads the extensions field of a certificate (RFC 5280 section 4.1.2.9); each extension may occur once. */
export function readExtensions(reader: DerReader): ExtensionsLayout {
  const found: ExtensionsLayout = {
    isCa: false,
    pathLength: null,
    keyUsage: -1,
    extKeyUsageAt: 0,
    extKeyUsageEnd: 0,
    altNamesAt: 0,
    altNamesEnd: 0,
    subjectKeyIdAt: 0,
    subjectKeyIdEnd: 0,
    authorityKeyIdAt: 0,
    authorityKeyIdEnd: 0,
    unknownCritical: NONE,
  }
  const seen: (number | string)[] = []
  const afterList = descend(reader, SEQUENCE)
  do {
    const afterExtension = descend(reader, SEQUENCE)
    const type = readType(reader)
    if (seen.includes(type)) throw fault(reader, 'has the same extension twice')
    if (seen.push(type) > MAX_EXTENSIONS) throw fault(reader, `has more than ${MAX_EXTENSIONS} extensions`)
    const critical = readDefaultFalse(reader)
    const afterValue = descend(reader, OCTET_STRING)
    if (!readKnown(found, type, reader)) {
      reader.at = reader.end
      if (critical) {
        const dotted = typeof type === 'number' ? `${CERTIFICATE_EXTENSION}.${type}` : type
        found.unknownCritical = [...found.unknownCritical, dotted]
      }
    }
    ascend(reader, afterValue)
    ascend(reader, afterExtension)
  } while (reader.at < reader.end)
  ascend(reader, afterList)
  if (found.pathLength !== null && !found.isCa) throw fault(reader, 'has a path length without being a CA')
  return found
}

// Joint-iso-itu-t(2) ds(5) certificateExtension(29): the arc of the standard's own extensions.
const CERTIFICATE_EXTENSION = '2.5.29'

/** The last arc of one of the standard's own extensions, or else the whole identifier in dotted form. */
function readType(reader: DerReader): number | string {
  const start = skipOid(reader)
  const { bytes, at } = reader
  const standard = at - start === 3 && bytes[start] === 0x55 && bytes[start + 1] === 0x1d
  return standard ? (bytes[start + 2] ?? 0) : formatOid(bytes, start, at)
}

function readKnown(found: ExtensionsLayout, type: number | string, reader: DerReader): boolean {
  switch (type) {
    case 14:
      found.subjectKeyIdAt = skipKeyId(reader, OCTET_STRING)
      found.subjectKeyIdEnd = reader.at
      return true
    case 15: {
      const bits = readNamedBits(reader)
      if (bits >= 1 << KEY_USAGES.length) throw fault(reader, 'has a key usage that does not exist')
      found.keyUsage = bits
      return true
    }
    case 17:
      found.altNamesAt = skipList(reader, skipAltName)
      found.altNamesEnd = reader.at
      return true
    case 19: {
      const outer = descend(reader, SEQUENCE)
      if (peekTag(reader) === BOOLEAN) found.isCa = readDefaultFalse(reader)
      if (peekTag(reader) === INTEGER) found.pathLength = readSmallInteger(reader)
      ascend(reader, outer)
      return true
    }
    case 35:
      readAuthorityKeyId(found, reader)
      return true
    case 37:
      found.extKeyUsageAt = skipList(reader, skipOid)
      found.extKeyUsageEnd = reader.at
      return true
    default:
      return false
  }
}

function skipKeyId(reader: DerReader, tag: number): number {
  const start = skipContent(reader, tag)
  if (reader.at === start) throw fault(reader, 'has an empty key identifier')
  return start
}

function readAuthorityKeyId(found: ExtensionsLayout, reader: DerReader): void {
  const outer = descend(reader, SEQUENCE)
  if (peekTag(reader) === KEY_ID) {
    found.authorityKeyIdAt = skipKeyId(reader, KEY_ID)
    found.authorityKeyIdEnd = reader.at
  }
  // Issuer and serial may follow, both or neither (RFC 5280 section 4.2.1.1); the key identifier alone is used.
  if (peekTag(reader) === explicit(1)) {
    skipAny(reader)
    skipContent(reader, implicit(2))
  }
  ascend(reader, outer)
}

/** A sequence of at least one element, each of which `skip` checks and steps over. */
function skipList(reader: DerReader, skip: (reader: DerReader) => unknown): number {
  const outer = descend(reader, SEQUENCE)
  const start = reader.at
  do skip(reader)
  while (reader.at < reader.end)
  ascend(reader, outer)
  return start
}

function skipAltName(reader: DerReader): void {
  if (peekTag(reader) === DNS_NAME) skipText(reader, DNS_NAME)
  else if ((peekTag(reader) & 0xc0) === 0x80) skipAny(reader)
  else throw fault(reader, 'has an alternative name of no known kind')
}

/** The names of the bits of a {@link ExtensionsLayout}. */
export const keyUsagesOf = (bits: number): readonly KeyUsage[] | null =>
  bits < 0 ? null : KEY_USAGES.filter((_, bit) => (bits & (1 << bit)) !== 0)

/** The identifiers in a list that was checked. */
export function listOids(reader: DerReader): readonly string[] {
  const list: string[] = []
  while (reader.at < reader.end) list.push(readOid(reader))
  return list
}

/** The DNS names in a list of alternative names that was checked. */
export function listDnsNames(reader: DerReader): readonly string[] {
  const list: string[] = []
  while (reader.at < reader.end) {
    if (peekTag(reader) === DNS_NAME) {
      const start = skipText(reader, DNS_NAME)
      list.push(formatText(reader.bytes, start, reader.at))
    } else skipAny(reader)
  }
  return list
}
