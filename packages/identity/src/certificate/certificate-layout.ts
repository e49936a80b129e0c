import { type PublicKeyPlace, readSignatureAlgorithm, type SignatureAlgorithm, skipPublicKey } from '../algorithms.ts'
import { ascend, type DerReader, descend, fault, finish, openDer, type Refusal, skipContent } from '../der/reader.ts'
import { explicit, SEQUENCE } from '../der/tags.ts'
import { readSmallInteger, readTime, skipBitString, skipInteger } from '../der/values.ts'
import type { AltName } from './alt-names.ts'
import { type ExtensionsLayout, readExtensions } from './extensions.ts'
import { type DistinguishedName, readName, skipName } from './name.ts'

export const CERTIFICATE_REFUSAL: Refusal = { code: 'CERTIFICATE_MALFORMED', document: 'certificate' }

const VERSION_3 = 2
// RFC 5280 section 4.1.2.2: at most 20 octets, positive.
const MAX_SERIAL_BYTES = 20

/** What the certificate says, all of it checked; what is a view or a list is still where it stands. */
export interface Layout {
  readonly serialAt: number
  readonly serialEnd: number
  readonly issuerAt: number
  readonly issuerEnd: number
  readonly notBefore: number
  readonly notAfter: number
  // Made at once: hardly anybody reads a certificate without asking whose it is.
  readonly subject: DistinguishedName
  readonly key: PublicKeyPlace
  readonly tbsAt: number
  readonly tbsEnd: number
  readonly signatureAlgorithm: SignatureAlgorithm
  readonly signatureAt: number
  readonly signatureEnd: number
  readonly extensions: ExtensionsLayout
  /** What was made of it already. */
  issuer: DistinguishedName | null
  publicKey: Uint8Array<ArrayBuffer> | null
  altNames: readonly AltName[] | null
  critical: readonly string[] | null
}

/** Reads a whole certificate, strictly. */
export function readLayout(der: Uint8Array<ArrayBuffer>): Layout {
  const reader = openDer(der, CERTIFICATE_REFUSAL)
  const afterAll = descend(reader, SEQUENCE)
  const tbsAt = reader.at
  const afterBody = descend(reader, SEQUENCE)
  readVersion(reader)
  const serialAt = skipSerial(reader)
  const serialEnd = reader.at
  const innerAt = skipElement(reader)
  const innerEnd = reader.at
  const issuerAt = skipName(reader)
  const issuerEnd = reader.at
  const afterValidity = descend(reader, SEQUENCE)
  const notBefore = readTime(reader)
  const notAfter = readTime(reader)
  ascend(reader, afterValidity)
  const subject = readName(reader)
  const key = skipPublicKey(reader, 'CERTIFICATE_UNSUPPORTED')
  // Unique identifiers, [1] and [2], must not be used (RFC 5280 section 4.1.2.8), so extensions come next or nothing.
  const afterExtensions = descend(reader, explicit(3))
  const extensions = readExtensions(reader)
  ascend(reader, afterExtensions)
  ascend(reader, afterBody)

  const tbsEnd = reader.at
  const signatureAlgorithm = readSignatureAlgorithm(reader, 'CERTIFICATE_UNSUPPORTED')
  if (!sameBytes(der, innerAt, innerEnd, tbsEnd, reader.at))
    throw fault(reader, 'names two different signature algorithms')
  const signatureAt = skipBitString(reader)
  const signatureEnd = reader.at
  ascend(reader, afterAll)
  finish(reader)
  return {
    serialAt,
    serialEnd,
    issuerAt,
    issuerEnd,
    notBefore,
    notAfter,
    subject,
    key,
    tbsAt,
    tbsEnd,
    signatureAlgorithm,
    signatureAt,
    signatureEnd,
    extensions,
    issuer: null,
    publicKey: null,
    altNames: null,
    critical: null,
  }
}

function skipElement(reader: DerReader): number {
  const start = reader.at
  skipContent(reader, SEQUENCE)
  return start
}

function sameBytes(der: Uint8Array, left: number, leftEnd: number, right: number, rightEnd: number): boolean {
  if (leftEnd - left !== rightEnd - right) return false
  for (let index = left; index < leftEnd; index += 1) if (der[index] !== der[index - left + right]) return false
  return true
}

function readVersion(reader: DerReader): void {
  const outer = descend(reader, explicit(0))
  if (readSmallInteger(reader) !== VERSION_3) throw fault(reader, 'has a version other than 3')
  ascend(reader, outer)
}

/** Where the number stands, without the zero that keeps it positive; it ends where the reader stands. */
function skipSerial(reader: DerReader): number {
  const start = skipInteger(reader)
  const first = reader.bytes[start] ?? 0
  const magnitudeAt = first === 0 ? start + 1 : start
  if (first >= 0x80 || magnitudeAt === reader.at || reader.at - start > MAX_SERIAL_BYTES) {
    throw fault(reader, 'has a serial number that is not positive or longer than 20 bytes')
  }
  return magnitudeAt
}
