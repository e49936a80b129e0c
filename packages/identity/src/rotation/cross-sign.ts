import { encodeSignatureAlgorithm, signatureAlgorithmOf } from '../algorithms.ts'
import { equalBytes } from '../bytes.ts'
import { type Certificate, parseCertificate } from '../certificate/certificate.ts'
import { AUTHORITY_KEY_ID, BASIC_CONSTRAINTS, KEY_USAGE, SUBJECT_KEY_ID } from '../certificate/extensions.ts'
import { BIT_STRING, explicit, implicit } from '../der/tags.ts'
import {
  encodeElement,
  encodeOctets,
  encodeOid,
  encodeSequence,
  encodeSigned,
  encodeTime,
  encodeUnsigned,
  TRUE,
} from '../der/writer.ts'
import { IdentityError } from '../errors.ts'
import { verifyCrossSigned } from '../external/verify-cross-signed.ts'
import type { SignatureVerifier, Signer } from '../ports.ts'
import { mayVouchForRoots } from './check-target.ts'

/** What signing a new root with the old one's key takes. */
export interface CrossSignOptions {
  /** The new root, as it signed itself. */
  readonly root: Certificate
  /** The root in force, and its key. */
  readonly issuer: Certificate
  readonly signer: Signer
  /** 20 strong random bytes; the serial number is made of them. */
  readonly serial: Uint8Array
  /** The present, epoch milliseconds. */
  readonly now: number
  /** Milliseconds from `now`; default {@link CROSS_SIGNED_LIFETIME_MS}. Cut at the end of either root. */
  readonly lifetimeMs?: number
  readonly verifier: SignatureVerifier
}

/**
 * 400 days: four lives of a node's certificate, more than a rotation and its bridge take. Not the life of a root: if the rotation is given up, the new key can still
 * speak under the old root for so long.
 */
export const CROSS_SIGNED_LIFETIME_MS: number = 400 * 24 * 60 * 60 * 1000

const SERIAL_BYTES = 20
// Certificate and CRL signing: bits 5 and 6, one unused.
const SIGNING_USAGES = encodeElement(BIT_STRING, Uint8Array.of(1, 0x06))
const HOUR_MS = 3_600_000

const extension = (type: string, critical: boolean, value: Uint8Array): Uint8Array =>
  encodeSequence(encodeOid(type), ...(critical ? [TRUE] : []), encodeOctets(value))

/**
 * Signs the name and key of a new root with the key of the root in force: what nodes present behind their leaf while the root rotates, so that peers which trust
 * only the old root verify it.
 *
 * Name and key of its own together with an authority key identifier are the shape that the TLS of Go, OpenSSL and Node verifies alike.
 *
 * @returns The certificate, proven by {@link verifyCrossSigned}.
 * @throws {@link IdentityError} `AUTHORITY_UNFIT` if one of the roots may not sign or lacks a key identifier, both have one name or key, or the root in force may have no CA below it,
 * `AUTHORITY_KEY_MISMATCH` if the signer is not the issuer's, and the `ISSUED_…` codes of {@link verifyCrossSigned}.
 * @throws RangeError if the serial is not of 20 bytes.
 * @see RFC 5280 sections 4.2.1.1 and 4.2.1.2
 */
export async function crossSignRoot(options: CrossSignOptions): Promise<Certificate> {
  const { root, issuer, signer, now, verifier, lifetimeMs = CROSS_SIGNED_LIFETIME_MS } = options
  if (options.serial.length !== SERIAL_BYTES)
    throw new RangeError(`serial must be ${SERIAL_BYTES} bytes, got ${options.serial.length}`)
  const apart = !equalBytes(root.subject.der, issuer.subject.der) && !equalBytes(root.publicKey, issuer.publicKey)
  if (!mayVouchForRoots(issuer)) {
    throw new IdentityError(
      'AUTHORITY_UNFIT',
      'the root in force may have no ca below it, or binds names, so that it cannot vouch for another root; found a cluster on the new one',
    )
  }
  if (!canIssue(root) || !canIssue(issuer) || !apart || root.subjectKeyId === null || issuer.subjectKeyId === null) {
    throw new IdentityError(
      'AUTHORITY_UNFIT',
      'a root may not sign or has no key identifier, or both roots have one name or key; make a root with a name and key of its own',
    )
  }
  if (!equalBytes(signer.publicKey, issuer.publicKey)) {
    throw new IdentityError(
      'AUTHORITY_KEY_MISMATCH',
      'private key does not belong to the root in force; use the pair that was made together',
    )
  }
  const serial = Uint8Array.from(options.serial)
  // Positive, and the same length always: the top bit is off, the next one on.
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40
  const notBefore = Math.max(root.notBefore, issuer.notBefore, now - HOUR_MS)
  const notAfter = Math.min(root.notAfter, issuer.notAfter, now + lifetimeMs)
  const constraints = [TRUE, ...(root.pathLength === null ? [] : [encodeUnsigned(Uint8Array.of(root.pathLength))])]
  const algorithm = encodeSignatureAlgorithm(signatureAlgorithmOf(signer.keyType))
  const tbs = encodeSequence(
    encodeElement(explicit(0), encodeUnsigned(Uint8Array.of(2))),
    encodeUnsigned(serial),
    algorithm,
    issuer.subject.der,
    encodeSequence(encodeTime(notBefore), encodeTime(notAfter)),
    root.subject.der,
    root.publicKey,
    encodeElement(
      explicit(3),
      encodeSequence(
        extension(KEY_USAGE, true, SIGNING_USAGES),
        extension(BASIC_CONSTRAINTS, true, encodeSequence(...constraints)),
        extension(SUBJECT_KEY_ID, false, encodeOctets(root.subjectKeyId)),
        extension(AUTHORITY_KEY_ID, false, encodeSequence(encodeElement(implicit(0), issuer.subjectKeyId))),
      ),
    ),
  )
  const signed = parseCertificate(encodeSigned(tbs, algorithm, await signer.sign(tbs)))
  return await verifyCrossSigned(signed, { root, roots: [issuer], now, verifier })
}

const canIssue = ({ isCa, keyUsage, unknownCritical }: Certificate): boolean =>
  isCa && keyUsage?.includes('keyCertSign') === true && unknownCritical.length === 0
