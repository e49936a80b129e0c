import { type Certificate, ownCertificate } from '../certificate/certificate.ts'
import { BASIC_CONSTRAINTS, CLIENT_AUTH, EXT_KEY_USAGE, KEY_USAGE } from '../certificate/extensions.ts'
import type { Validity } from '../certificate/validity.ts'
import { BIT_STRING, explicit } from '../der/tags.ts'
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
import { type Authority, compiledOf } from '../issuing/authority.ts'
import { type Csr, verifyCsr } from '../issuing/csr.ts'
import { type IssueOptions, longestLifetimeMs } from '../issuing/issue.ts'
import { isSelfIssued } from '../issuing/issuer-rules.ts'
import { encodeExtension, encodeSubjectKeyId } from '../issuing/leaf-profile.ts'
import { KEY_ID_BYTES, SERIAL_BYTES } from '../issuing/leaf-template.ts'
import { backdateFor } from '../issuing/lifetime.ts'
import { encodeOperatorSubject, type OperatorSubject } from './operator-identity.ts'

const HOUR_MS = 3_600_000

/** A working day. */
export const DEFAULT_OPERATOR_LIFETIME_MS: number = 8 * HOUR_MS

/** A day: an operator's key lies on a desk, so that it should be worth little when it is found. */
export const MAX_OPERATOR_LIFETIME_MS: number = 24 * HOUR_MS

/** What was decided to grant to an operator. Nothing of it comes from the request. */
export interface OperatorGrant extends OperatorSubject {
  /** From now to the end, in milliseconds: at most {@link MAX_OPERATOR_LIFETIME_MS}. Default {@link DEFAULT_OPERATOR_LIFETIME_MS}. */
  readonly lifetimeMs?: number
}

const SECOND_MS = 1000
const VERSION_3 = encodeElement(explicit(0), encodeUnsigned(Uint8Array.of(2)))

const critical = (type: string, value: Uint8Array): Uint8Array =>
  encodeSequence(encodeOid(type), TRUE, encodeOctets(value))

// An operator signs handshakes as a client, and does nothing else: no server, no names to be met under.
const EXTENSIONS: readonly Uint8Array[] = [
  critical(KEY_USAGE, encodeElement(BIT_STRING, Uint8Array.of(7, 0x80))),
  encodeExtension(EXT_KEY_USAGE, encodeSequence(encodeOid(CLIENT_AUTH))),
  critical(BASIC_CONSTRAINTS, encodeSequence()),
]

/**
 * The period that a grant to an operator asks for.
 *
 * @throws RangeError if the lifetime is none of an operator.
 */
export function operatorValidity(
  { lifetimeMs = DEFAULT_OPERATOR_LIFETIME_MS }: Pick<OperatorGrant, 'lifetimeMs'>,
  now: number,
): Validity {
  if (!Number.isFinite(now) || !(lifetimeMs >= SECOND_MS && lifetimeMs <= MAX_OPERATOR_LIFETIME_MS))
    throw new RangeError(`an operator's certificate lives between one second and ${MAX_OPERATOR_LIFETIME_MS} ms`)
  return {
    notBefore: Math.floor((now - backdateFor(lifetimeMs)) / SECOND_MS) * SECOND_MS,
    notAfter: Math.floor((now + lifetimeMs) / SECOND_MS) * SECOND_MS,
  }
}

function validityUnder(authority: Authority, grant: OperatorGrant, now: number): Validity {
  const validity = operatorValidity(grant, now)
  if (validity.notAfter > authority.certificate.notAfter) {
    throw new IdentityError(
      'LIFETIME_EXCEEDS_ISSUER',
      `certificate would outlive its issuer, which ends in ${longestLifetimeMs(authority, now)} ms; grant less or renew the authority`,
    )
  }
  return validity
}

/**
 * Issues the certificate of an operator. The request supplies the public key and nothing else. Issue from a root: what an issuing intermediate
 * signs is no operator to anybody.
 *
 * @throws {@link IdentityError} `CSR_SIGNATURE_INVALID` if the request is not signed by the key it carries, `AUTHORITY_UNFIT` if the authority is no root,
 * `LIFETIME_EXCEEDS_ISSUER`.
 * @throws RangeError if the lifetime is none of an operator, or the random source gives too little.
 */
export async function issueOperatorCertificate(
  authority: Authority,
  csr: Csr,
  grant: OperatorGrant,
  options: IssueOptions,
): Promise<Certificate> {
  const { algorithmDer, issuer, authorityKeyId } = compiledOf(authority)
  if (!isSelfIssued(authority.certificate)) {
    throw new IdentityError(
      'AUTHORITY_UNFIT',
      'operators come from a root itself, and this authority is an intermediate; issue them with the root of the cluster',
    )
  }
  const { notBefore, notAfter } = validityUnder(authority, grant, options.now)
  await verifyCsr(csr, options.verifier)
  const serial = options.random.bytes(SERIAL_BYTES)
  if (serial.length !== SERIAL_BYTES)
    throw new RangeError(`random source gave ${serial.length} bytes instead of ${SERIAL_BYTES}`)
  // Positive, and the same length always: the top bit is off, the next one on.
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40
  const keyId = encodeSubjectKeyId(options.digest.sha256(csr.keyBits).subarray(0, KEY_ID_BYTES))
  const tbs = encodeSequence(
    VERSION_3,
    encodeUnsigned(serial),
    algorithmDer,
    issuer,
    encodeSequence(encodeTime(notBefore), encodeTime(notAfter)),
    encodeOperatorSubject(grant),
    csr.publicKey,
    encodeElement(explicit(3), encodeSequence(...EXTENSIONS, keyId, authorityKeyId)),
  )
  return ownCertificate(encodeSigned(tbs, algorithmDer, await authority.signer.sign(tbs)))
}
