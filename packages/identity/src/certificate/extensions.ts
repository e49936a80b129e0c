import { ascend, type DerReader, descend, fault, peekTag, skipAny, skipContent } from '../der/reader.ts'
import { BOOLEAN, explicit, INTEGER, implicit, OCTET_STRING, SEQUENCE } from '../der/tags.ts'
import { readDefaultFalse, readNamedBits, readOid, readSmallInteger, skipOid } from '../der/values.ts'
import type { IdentityError } from '../errors.ts'
import { type AltName, skipAltName } from './alt-names.ts'
import { ARC, enterExtension, enterShortExtension, enterValue } from './extension-head.ts'
import { type NameConstraints, readNameConstraints } from './name-constraints.ts'

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
  /** All names of the subject alternative name, in their order. */
  readonly altNames: readonly AltName[]
  /** What a CA lets its subjects be called; `null` when it says nothing. */
  readonly nameConstraints: NameConstraints | null
  readonly subjectKeyId: Uint8Array<ArrayBuffer> | null
  readonly authorityKeyId: Uint8Array<ArrayBuffer> | null
  /** How the issuer's key is named: not at all, by its identifier alone, or in another way (with an issuer and a serial number, or by nothing). */
  readonly authorityKeyIdForm: 'none' | 'key' | 'other'
  /** Critical extensions that this package does understand, in dotted form. */
  readonly critical: readonly string[]
  /**
   * Extensions that this package does not understand and must not pass over, in dotted form: critical ones, policy constraints however they are marked, and name
   * constraints that it cannot apply. Verification refuses them.
   */
  readonly unknownCritical: readonly string[]
}

export const SUBJECT_KEY_ID = '2.5.29.14'
export const KEY_USAGE = '2.5.29.15'
export const SUBJECT_ALT_NAME = '2.5.29.17'
export const BASIC_CONSTRAINTS = '2.5.29.19'
export const NAME_CONSTRAINTS = '2.5.29.30'
export const AUTHORITY_KEY_ID = '2.5.29.35'
export const EXT_KEY_USAGE = '2.5.29.37'
export const ANY_USE = '2.5.29.37.0'
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
  authorityKeyIdForm: 'none' | 'key' | 'other'
  nameConstraints: NameConstraints | null
  /** Bit n is the standard's extension of number {@link FIRST_KNOWN} + n. */
  critical: number
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
    authorityKeyIdForm: 'none',
    nameConstraints: null,
    critical: 0,
    unknownCritical: NONE,
  }
  // Bit n is the standard's extension of number FIRST_KNOWN + n; others, which are seldom, stand in the list.
  let seen = 0
  let others: (number | string)[] | null = null
  let count = 0
  const afterList = descend(reader, SEQUENCE)
  do {
    const afterExtension = reader.end
    const short = enterShortExtension(reader)
    const type = short < 0 ? enterExtension(reader) : short & ARC
    const critical = short < 0 ? enterValue(reader) : short > ARC
    if (typeof type === 'number' && type >= FIRST_KNOWN && type <= LAST_KNOWN) {
      const bit = 1 << (type - FIRST_KNOWN)
      if ((seen & bit) !== 0) throw twice(reader)
      seen |= bit
    } else {
      others ??= []
      if (others.includes(type)) throw twice(reader)
      others.push(type)
    }
    count += 1
    if (count > MAX_EXTENSIONS) throw fault(reader, `has more than ${MAX_EXTENSIONS} extensions`)
    if (readKnown(found, type, reader)) {
      if (critical) found.critical |= 1 << (Number(type) - FIRST_KNOWN)
    } else {
      if (type !== NAME_CONSTRAINTS_TYPE && isStandard(type)) skipAny(reader)
      else reader.at = reader.end
      if (critical || MUST_BE_CRITICAL.includes(type)) {
        const dotted = typeof type === 'number' ? `${CERTIFICATE_EXTENSION}.${type}` : type
        found.unknownCritical = [...found.unknownCritical, dotted]
      }
    }
    ascend(reader, afterExtension)
  } while (reader.at < reader.end)
  ascend(reader, afterList)
  if (found.pathLength !== null && !found.isCa) throw fault(reader, 'has a path length without being a CA')
  return found
}

const twice = (reader: DerReader): IdentityError => fault(reader, 'has the same extension twice')

// Joint-iso-itu-t(2) ds(5) certificateExtension(29): the arc of the standard's own extensions.
const CERTIFICATE_EXTENSION = '2.5.29'
/** The subject key identifier is the lowest of those that are understood, the extended key usage the highest. */
const FIRST_KNOWN = 14
const LAST_KNOWN = 37
const NAME_CONSTRAINTS_TYPE = 30
// Policy mappings, policy constraints, inhibition of any policy: RFC 5280 sections 4.2.1.5, 4.2.1.11 and 4.2.1.14. A CA that restricts its
// subjects in a way that is not understood is refused, also if it forgot to say that this matters.
const MUST_BE_CRITICAL: readonly (number | string)[] = [NAME_CONSTRAINTS_TYPE, 33, 36, 54]

// Id-pe of RFC 5280 section 4.2.2: where lists and issuers are found, and the like.
const PRIVATE_INTERNET = '1.3.6.1.5.5.7.1.'

/** What a standard defines is one value in DER, whether or not it is understood (RFC 5280 section 4.2); others may put there what they like. */
const isStandard = (type: number | string): boolean => typeof type === 'number' || type.startsWith(PRIVATE_INTERNET)

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
    case NAME_CONSTRAINTS_TYPE:
      found.nameConstraints = readNameConstraints(reader)
      return found.nameConstraints !== null
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
  found.authorityKeyIdForm = 'other'
  if (peekTag(reader) === KEY_ID) {
    found.authorityKeyIdAt = skipKeyId(reader, KEY_ID)
    found.authorityKeyIdEnd = reader.at
    if (reader.at === reader.end) found.authorityKeyIdForm = 'key'
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

/** The names of the bits of a {@link ExtensionsLayout}. */
export const keyUsagesOf = (bits: number): readonly KeyUsage[] | null =>
  bits < 0 ? null : KEY_USAGES.filter((_, bit) => (bits & (1 << bit)) !== 0)

/** The identifiers in a list that was checked. */
export function listOids(reader: DerReader): readonly string[] {
  const list: string[] = []
  while (reader.at < reader.end) list.push(readOid(reader))
  return list
}

/** The critical ones of the extensions that are understood, from {@link ExtensionsLayout}. */
export function criticalOf(bits: number): readonly string[] {
  const list: string[] = []
  for (let type = FIRST_KNOWN; type <= LAST_KNOWN; type += 1)
    if ((bits & (1 << (type - FIRST_KNOWN))) !== 0) list.push(`${CERTIFICATE_EXTENSION}.${type}`)
  return list
}
