import { type DerReader, enter, fault, finish, openDer, peekTag, readContent, skipAny } from './der/reader.ts'
import { BOOLEAN, explicit, INTEGER, implicit, OCTET_STRING, SEQUENCE } from './der/tags.ts'
import { readDefaultFalse, readNamedBits, readOid, readSmallInteger } from './der/values.ts'
import { readText } from './name.ts'

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

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] }

/** Reads the extensions field of a certificate (RFC 5280 section 4.1.2.9); each extension may occur once. */
export function readExtensions(reader: DerReader): Extensions {
  const unknownCritical: string[] = []
  const found: Mutable<Extensions> = {
    isCa: false,
    pathLength: null,
    keyUsage: null,
    extKeyUsage: null,
    dnsNames: [],
    subjectKeyId: null,
    authorityKeyId: null,
    unknownCritical,
  }
  const seen: string[] = []
  const list = enter(reader, SEQUENCE)
  do {
    const extension = enter(list, SEQUENCE)
    const type = readOid(extension)
    if (seen.includes(type)) throw fault(extension, 'has the same extension twice')
    if (seen.push(type) > MAX_EXTENSIONS) throw fault(extension, `has more than ${MAX_EXTENSIONS} extensions`)
    const critical = readDefaultFalse(extension)
    const value = openDer(readContent(extension, OCTET_STRING), reader.refusal)
    finish(extension)
    if (readKnown(found, type, value)) finish(value)
    else if (critical) unknownCritical.push(type)
  } while (list.at < list.end)
  if (found.pathLength !== null && !found.isCa) throw fault(reader, 'has a path length without being a CA')
  return found
}

function readKnown(found: Mutable<Extensions>, type: string, value: DerReader): boolean {
  switch (type) {
    case SUBJECT_KEY_ID:
      found.subjectKeyId = readKeyId(value, OCTET_STRING)
      return true
    case KEY_USAGE: {
      const bits = readNamedBits(value)
      if (bits >= 1 << KEY_USAGES.length) throw fault(value, 'has a key usage that does not exist')
      found.keyUsage = KEY_USAGES.filter((_, bit) => (bits & (1 << bit)) !== 0)
      return true
    }
    case SUBJECT_ALT_NAME:
      found.dnsNames = readDnsNames(value)
      return true
    case BASIC_CONSTRAINTS: {
      const constraints = enter(value, SEQUENCE)
      if (peekTag(constraints) === BOOLEAN) found.isCa = readDefaultFalse(constraints)
      if (peekTag(constraints) === INTEGER) found.pathLength = readSmallInteger(constraints)
      finish(constraints)
      return true
    }
    case AUTHORITY_KEY_ID:
      found.authorityKeyId = readAuthorityKeyId(value)
      return true
    case EXT_KEY_USAGE: {
      const usages = enter(value, SEQUENCE)
      const list: string[] = []
      do list.push(readOid(usages))
      while (usages.at < usages.end)
      found.extKeyUsage = list
      return true
    }
    default:
      return false
  }
}

function readKeyId(reader: DerReader, tag: number): Uint8Array<ArrayBuffer> {
  const id = readContent(reader, tag)
  if (id.length === 0) throw fault(reader, 'has an empty key identifier')
  return id
}

function readAuthorityKeyId(value: DerReader): Uint8Array<ArrayBuffer> | null {
  const fields = enter(value, SEQUENCE)
  const keyId = peekTag(fields) === KEY_ID ? readKeyId(fields, KEY_ID) : null
  // Issuer and serial may follow, both or neither (RFC 5280 section 4.2.1.1); the key identifier alone is used.
  if (peekTag(fields) === explicit(1)) {
    skipAny(fields)
    readContent(fields, implicit(2))
  }
  finish(fields)
  return keyId
}

function readDnsNames(value: DerReader): readonly string[] {
  const names = enter(value, SEQUENCE)
  const list: string[] = []
  do {
    if (peekTag(names) === DNS_NAME) list.push(readText(names, DNS_NAME))
    else if ((peekTag(names) & 0xc0) === 0x80) skipAny(names)
    else throw fault(names, 'has an alternative name of no known kind')
  } while (names.at < names.end)
  return list
}
