import { canSign, type KeyType, readPublicKey, readSignatureAlgorithm, type SignatureAlgorithm } from './algorithms.ts'
import { equalBytes, formatHex } from './bytes.ts'
import { type DerReader, enter, fault, finish, openDer, readElement } from './der/reader.ts'
import { explicit, SEQUENCE } from './der/tags.ts'
import { readBitString, readInteger, readSmallInteger, readTime } from './der/values.ts'
import { type DerText, readDocument } from './document.ts'
import { type Extensions, readExtensions } from './extensions.ts'
import { type DistinguishedName, readName } from './name.ts'
import { formatPem } from './pem.ts'

declare const certificate: unique symbol

/**
 * An X.509 version 3 certificate that was read. Reading proves its form alone; who signed it, and whether it is valid now,
 * is for verification. Only {@link parseCertificate} makes one.
 */
export interface Certificate extends Extensions {
  readonly [certificate]: true
  readonly der: Uint8Array<ArrayBuffer>
  /** The canonical PEM form. */
  readonly pem: string
  /** Lower-case hexadecimal without leading zeros beyond whole bytes. */
  readonly serial: string
  readonly issuer: DistinguishedName
  readonly subject: DistinguishedName
  /** First instant of validity, epoch milliseconds; both ends belong to the period (RFC 5280 section 4.1.2.5). */
  readonly notBefore: number
  /** Last instant of validity, epoch milliseconds. */
  readonly notAfter: number
  readonly keyType: KeyType
  /** DER SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array<ArrayBuffer>
  readonly signatureAlgorithm: SignatureAlgorithm
  /** What is signed: the DER TBSCertificate. */
  readonly tbs: Uint8Array<ArrayBuffer>
  readonly signature: Uint8Array<ArrayBuffer>
}

/** A node certificate has about 700 bytes, a root of RSA 8192 under 3 KiB. */
export const MAX_CERTIFICATE_BYTES: number = 16 * 1024

const DOCUMENT: DerText = {
  label: 'CERTIFICATE',
  maxBytes: MAX_CERTIFICATE_BYTES,
  tooLarge: 'CERTIFICATE_TOO_LARGE',
  refusal: { code: 'CERTIFICATE_MALFORMED', document: 'certificate' },
}

const VERSION_3 = 2
// RFC 5280 section 4.1.2.2: at most 20 octets, positive.
const MAX_SERIAL_BYTES = 20

/**
 * Reads a certificate from PEM (text or bytes) or from DER, strictly: version 3, DER in its one form, canonical PEM, nothing around it.
 *
 * @throws {@link IdentityError} `CERTIFICATE_MALFORMED` for anything that is not a certificate, `CERTIFICATE_TOO_LARGE` beyond
 * {@link MAX_CERTIFICATE_BYTES}, `CERTIFICATE_UNSUPPORTED` if its key or signature is of a kind that is not accepted.
 * @see RFC 5280 section 4.1
 */
export function parseCertificate(input: string | Uint8Array): Certificate {
  return readCertificate(readDocument(input, DOCUMENT))
}

/** Reads DER that nobody else holds; its length must have been checked. */
export function readCertificate(der: Uint8Array<ArrayBuffer>): Certificate {
  const outer = openDer(der, DOCUMENT.refusal)
  const signed = enter(outer, SEQUENCE)
  finish(outer)
  const tbs = readElement(signed, SEQUENCE)
  const algorithmAt = signed.at
  const signatureAlgorithm = readSignatureAlgorithm(signed, 'CERTIFICATE_UNSUPPORTED')
  const outerAlgorithm = der.subarray(algorithmAt, signed.at)
  const signature = readBitString(signed)
  finish(signed)

  const body = enter(openDer(tbs, DOCUMENT.refusal), SEQUENCE)
  readVersion(body)
  const serial = readSerial(body)
  if (!equalBytes(readElement(body, SEQUENCE), outerAlgorithm))
    throw fault(body, 'names two different signature algorithms')
  const issuer = readName(body)
  const validity = enter(body, SEQUENCE)
  const notBefore = readTime(validity)
  const notAfter = readTime(validity)
  finish(validity)
  const subject = readName(body)
  const { keyType, publicKey } = readPublicKey(body, 'CERTIFICATE_UNSUPPORTED')
  // Unique identifiers, [1] and [2], must not be used (RFC 5280 section 4.1.2.8), so extensions come next or nothing.
  const wrapper = enter(body, explicit(3))
  const extensions = readExtensions(wrapper)
  finish(wrapper)
  finish(body)
  return Object.defineProperty(
    {
      der,
      serial,
      issuer,
      subject,
      notBefore,
      notAfter,
      keyType,
      publicKey,
      signatureAlgorithm,
      tbs,
      signature,
      ...extensions,
    },
    'pem',
    PEM,
  ) as unknown as Certificate
}

const PEM = {
  enumerable: true,
  get(this: Certificate): string {
    return formatPem('CERTIFICATE', this.der)
  },
} as const

function readVersion(body: DerReader): void {
  const version = enter(body, explicit(0))
  if (readSmallInteger(version) !== VERSION_3) throw fault(body, 'has a version other than 3')
  finish(version)
}

function readSerial(body: DerReader): string {
  const content = readInteger(body)
  const first = content[0] ?? 0
  const magnitude = first === 0 ? content.subarray(1) : content
  if (first >= 0x80 || magnitude.length === 0 || content.length > MAX_SERIAL_BYTES) {
    throw fault(body, 'has a serial number that is not positive or longer than 20 bytes')
  }
  return formatHex(magnitude)
}

/** True when a key of the issuer's type can have made the certificate's signature. */
export const couldSign = (issuer: Certificate, subject: Certificate): boolean =>
  canSign(issuer.keyType, subject.signatureAlgorithm)
