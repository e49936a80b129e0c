import { encodeSignatureAlgorithm, signatureAlgorithmOf } from '../algorithms.ts'
import { formatHex } from '../bytes.ts'
import { AUTHORITY_KEY_ID } from '../certificate/extensions.ts'
import { explicit, implicit, SEQUENCE } from '../der/tags.ts'
import { encodeElement, encodeSequence, encodeSigned, encodeTime, encodeUnsigned } from '../der/writer.ts'
import { IdentityError } from '../errors.ts'
import type { CertificateEviction, Eviction } from '../eviction/eviction.ts'
import { checkEviction, REASON_CODES } from '../eviction/eviction-codec.ts'
import type { Authority } from '../issuing/authority.ts'
import { encodeExtension } from '../issuing/leaf-profile.ts'
import { formatPem } from '../pem.ts'

/** What a CRL says besides its entries. */
export interface CrlOptions {
  /** Grows with each CRL of the issuer, also where nothing new is in it (RFC 5280 section 5.2.3): the sequence of the eviction book does not, and neither does the second of `thisUpdate`, which two lists may share. The millisecond does, or one more than the last number if that is higher. */
  readonly number: number
  /** Epoch milliseconds. */
  readonly thisUpdate: number
  /** When the next one is out at the latest; epoch milliseconds. */
  readonly nextUpdate: number
}

/** A certificate revocation list. */
export interface Crl {
  readonly der: Uint8Array<ArrayBuffer>
  /** With the boundary that OpenSSL and Node read, `X509 CRL`. */
  readonly pem: string
  readonly entries: number
}

/** What a length of three bytes holds, at some 40 bytes an entry. Whoever needs more has the eviction lists. */
export const MAX_CRL_ENTRIES = 250_000

const CRL_NUMBER = '2.5.29.20'
const REASON_CODE = '2.5.29.21'
const VERSION_2 = encodeUnsigned(Uint8Array.of(1))
const ENUMERATED = 0x0a

function bytesOfHex(hex: string): Uint8Array {
  const out = new Uint8Array(hex.length / 2)
  for (let at = 0; at < out.length; at += 1) out[at] = Number.parseInt(hex.slice(2 * at, 2 * at + 2), 16)
  return out
}

function encodeNumber(value: number): Uint8Array {
  const hex = value.toString(16)
  return encodeUnsigned(bytesOfHex(hex.length % 2 === 0 ? hex : `0${hex}`))
}

// RFC 5280 section 5.3.1: the code is left out where it would say "unspecified".
function encodeEntry({ serial, at, reason }: CertificateEviction): Uint8Array {
  const code = encodeElement(ENUMERATED, Uint8Array.of(REASON_CODES[reason]))
  const extensions = reason === 'unspecified' ? [] : [encodeSequence(encodeExtension(REASON_CODE, code))]
  return encodeSequence(encodeUnsigned(bytesOfHex(serial)), encodeTime(at), ...extensions)
}

function encodeEntries(entries: readonly CertificateEviction[]): Uint8Array {
  const parts = entries.map(encodeEntry)
  const content = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    content.set(part, at)
    at += part.length
  }
  return encodeElement(SEQUENCE, content)
}

/** One entry a serial number, in the order of the numbers, so that equal books give equal lists. */
function entriesFor(evictions: Iterable<Eviction>, issuerKeyId: string, thisUpdate: number): CertificateEviction[] {
  const entries = new Map<string, CertificateEviction>()
  for (const eviction of evictions) {
    checkEviction(eviction)
    if (eviction.kind !== 'certificate' || eviction.until < thisUpdate) continue
    if (eviction.issuerKeyId === null || eviction.issuerKeyId === issuerKeyId) entries.set(eviction.serial, eviction)
  }
  return [...entries.values()].sort((a, b) => (a.serial < b.serial ? -1 : 1))
}

/**
 * Makes the CRL of one issuer, a root or an intermediate, for software that knows no other form: version 2 with number, authority
 * key identifier and reasons. It lists the evicted certificates of this issuer, and those whose issuer is not known. Evictions of
 * nodes have no place in it; {@link evictionsFrom} gives their certificates beside them.
 *
 * @throws {@link IdentityError} `CRL_ISSUER_UNFIT` if the authority's certificate may not sign CRLs, `CRL_TOO_LARGE` beyond
 * {@link MAX_CRL_ENTRIES}.
 * @throws RangeError if the number or an instant is none, or `nextUpdate` is not after `thisUpdate`.
 * @see RFC 5280 section 5
 */
export async function createCrl(
  authority: Authority,
  evictions: Iterable<Eviction>,
  options: CrlOptions,
): Promise<Crl> {
  const { certificate, signer } = authority
  const { number, thisUpdate, nextUpdate } = options
  if (!Number.isSafeInteger(number) || number < 0) throw new RangeError('number must be a whole number')
  if (!(nextUpdate > thisUpdate) || !Number.isFinite(nextUpdate))
    throw new RangeError('nextUpdate must be after thisUpdate')
  const { subjectKeyId } = certificate
  if (subjectKeyId === null || certificate.keyUsage?.includes('cRLSign') !== true) {
    throw new IdentityError(
      'CRL_ISSUER_UNFIT',
      'the authority may not sign CRLs; use a root or intermediate with that key usage',
    )
  }
  const entries = entriesFor(evictions, formatHex(subjectKeyId), thisUpdate)
  if (entries.length > MAX_CRL_ENTRIES) {
    throw new IdentityError(
      'CRL_TOO_LARGE',
      `a CRL has at most ${MAX_CRL_ENTRIES} entries; use the signed eviction lists`,
    )
  }
  const algorithm = encodeSignatureAlgorithm(signatureAlgorithmOf(signer.keyType))
  const extensions = encodeSequence(
    encodeExtension(AUTHORITY_KEY_ID, encodeSequence(encodeElement(implicit(0), subjectKeyId))),
    encodeExtension(CRL_NUMBER, encodeNumber(number)),
  )
  const tbs = encodeSequence(
    VERSION_2,
    algorithm,
    certificate.subject.der,
    encodeTime(thisUpdate),
    encodeTime(nextUpdate),
    // RFC 5280 section 5.1.2.6: absent when nothing is revoked.
    ...(entries.length === 0 ? [] : [encodeEntries(entries)]),
    encodeElement(explicit(0), extensions),
  )
  const der = encodeSigned(tbs, algorithm, await signer.sign(tbs))
  return { der, pem: formatPem('X509 CRL', der), entries: entries.length }
}
