import { canSign, type KeyType, type SignatureAlgorithm } from '../algorithms.ts'
import { formatHex } from '../bytes.ts'
import type { DerReader } from '../der/reader.ts'
import { formatPem } from '../pem.ts'
import { type AltName, listAltNames } from './alt-names.ts'
import { CERTIFICATE_REFUSAL, type Layout, readLayout } from './certificate-layout.ts'
import { type DerText, readDocument } from './document.ts'
import {
  criticalOf,
  type Extensions,
  type ExtensionsLayout,
  type KeyUsage,
  keyUsagesOf,
  listOids,
} from './extensions.ts'
import { type DistinguishedName, readName } from './name.ts'
import type { NameConstraints } from './name-constraints.ts'

declare const certificate: unique symbol

/**
 * An X.509 version 3 certificate that was read. Reading proves its form alone; who signed it, and whether it is valid now,
 * is for verification. Only {@link parseCertificate} makes one.
 */
export interface Certificate extends Extensions {
  readonly [certificate]: true
  /** A view, as all bytes of a certificate are: its buffer may hold others too, so copy it rather than give the buffer away. */
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
  refusal: CERTIFICATE_REFUSAL,
}

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
  return new LazyCertificate(der, readLayout(der)) as unknown as Certificate
}

/** A certificate that was just made here in the form that {@link readCertificate} reads; it is read when somebody asks for what it says. */
export function ownCertificate(der: Uint8Array<ArrayBuffer>): Certificate {
  return new LazyCertificate(der, null) as unknown as Certificate
}

const readerAt = (bytes: Uint8Array<ArrayBuffer>, at: number, end: number): DerReader => ({
  bytes,
  at,
  end,
  refusal: CERTIFICATE_REFUSAL,
})

/**
 * All that a certificate says follows from its DER, so that is all it holds as a property of its own. Views, names and lists are made
 * when they are asked for: most decisions need few of them.
 */
class LazyCertificate implements Omit<Certificate, typeof certificate> {
  readonly der: Uint8Array<ArrayBuffer>
  #layout: Layout | null

  constructor(der: Uint8Array<ArrayBuffer>, layout: Layout | null) {
    this.der = der
    this.#layout = layout
  }

  get pem(): string {
    return formatPem('CERTIFICATE', this.der)
  }

  get serial(): string {
    const { serialAt, serialEnd } = (this.#layout ??= readLayout(this.der))
    return formatHex(this.der, serialAt, serialEnd)
  }

  get issuer(): DistinguishedName {
    const layout = (this.#layout ??= readLayout(this.der))
    return (layout.issuer ??= readName(readerAt(this.der, layout.issuerAt, layout.issuerEnd)))
  }

  get subject(): DistinguishedName {
    return (this.#layout ??= readLayout(this.der)).subject
  }

  get notBefore(): number {
    return (this.#layout ??= readLayout(this.der)).notBefore
  }

  get notAfter(): number {
    return (this.#layout ??= readLayout(this.der)).notAfter
  }

  get keyType(): KeyType {
    return (this.#layout ??= readLayout(this.der)).key.keyType
  }

  // The same view each time: a verifier remembers the imported key by it.
  get publicKey(): Uint8Array<ArrayBuffer> {
    const layout = (this.#layout ??= readLayout(this.der))
    return (layout.publicKey ??= this.der.subarray(layout.key.start, layout.key.end))
  }

  get signatureAlgorithm(): SignatureAlgorithm {
    return (this.#layout ??= readLayout(this.der)).signatureAlgorithm
  }

  get tbs(): Uint8Array<ArrayBuffer> {
    const { tbsAt, tbsEnd } = (this.#layout ??= readLayout(this.der))
    return this.der.subarray(tbsAt, tbsEnd)
  }

  get signature(): Uint8Array<ArrayBuffer> {
    const { signatureAt, signatureEnd } = (this.#layout ??= readLayout(this.der))
    return this.der.subarray(signatureAt, signatureEnd)
  }

  get #extensions(): ExtensionsLayout {
    return (this.#layout ??= readLayout(this.der)).extensions
  }

  get isCa(): boolean {
    return this.#extensions.isCa
  }

  get pathLength(): number | null {
    return this.#extensions.pathLength
  }

  get keyUsage(): readonly KeyUsage[] | null {
    return keyUsagesOf(this.#extensions.keyUsage)
  }

  get extKeyUsage(): readonly string[] | null {
    const { extKeyUsageAt, extKeyUsageEnd } = this.#extensions
    return extKeyUsageAt === 0 ? null : listOids(readerAt(this.der, extKeyUsageAt, extKeyUsageEnd))
  }

  get dnsNames(): readonly string[] {
    return this.altNames.flatMap((name) => (name.kind === 'dns' ? [name.value] : []))
  }

  get altNames(): readonly AltName[] {
    const layout = (this.#layout ??= readLayout(this.der))
    const { altNamesAt, altNamesEnd } = layout.extensions
    return (layout.altNames ??= listAltNames(readerAt(this.der, altNamesAt, altNamesEnd)))
  }

  get nameConstraints(): NameConstraints | null {
    return this.#extensions.nameConstraints
  }

  get subjectKeyId(): Uint8Array<ArrayBuffer> | null {
    const { subjectKeyIdAt, subjectKeyIdEnd } = this.#extensions
    return subjectKeyIdAt === 0 ? null : this.der.subarray(subjectKeyIdAt, subjectKeyIdEnd)
  }

  get authorityKeyId(): Uint8Array<ArrayBuffer> | null {
    const { authorityKeyIdAt, authorityKeyIdEnd } = this.#extensions
    return authorityKeyIdAt === 0 ? null : this.der.subarray(authorityKeyIdAt, authorityKeyIdEnd)
  }

  get authorityKeyIdForm(): 'none' | 'key' | 'other' {
    return this.#extensions.authorityKeyIdForm
  }

  get critical(): readonly string[] {
    const layout = (this.#layout ??= readLayout(this.der))
    return (layout.critical ??= criticalOf(layout.extensions.critical))
  }

  get unknownCritical(): readonly string[] {
    return this.#extensions.unknownCritical
  }
}

/** True when a key of the issuer's type can have made the certificate's signature. */
export const couldSign = (issuer: Certificate, subject: Certificate): boolean =>
  canSign(issuer.keyType, subject.signatureAlgorithm)
