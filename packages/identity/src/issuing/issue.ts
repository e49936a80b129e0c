import { type Certificate, ownCertificate } from '../certificate/certificate.ts'
import { encodeSigned } from '../der/writer.ts'
import { IdentityError } from '../errors.ts'
import type { ClusterId, NodeId, Role } from '../membership/node-identity.ts'
import type { Digest, RandomSource, SignatureVerifier } from '../ports.ts'
import { type SpiffeId, spiffePathOf } from '../spiffe/spiffe-id.ts'
import type { Zone } from '../zone.ts'
import { type Authority, compiledOf } from './authority.ts'
import { type Csr, verifyCsr } from './csr.ts'
import { encodeLeaf, SERIAL_BYTES } from './leaf-template.ts'
import { backdateFor, MAX_BACKDATE_MS, MIN_LIFETIME_MS } from './lifetime.ts'

/**
 * **Warning**: lets a {@link Grant} live less than {@link MIN_LIFETIME_MS}. A stock Docker engine with such a certificate
 * renews many times a second for ever; give it to nodes of one's own alone.
 */
export const allowShortLifetime: unique symbol = Symbol('allowShortLifetime')

/** What the issuer decided to grant. Nothing of it comes from the request. */
export interface Grant {
  readonly nodeId: NodeId
  readonly role: Role
  readonly clusterId: ClusterId
  /** The part of the cluster that the node belongs to; written into the DNS name of the node. Default is none. */
  readonly zone?: Zone
  /** From now to the end, in milliseconds: at least {@link MIN_LIFETIME_MS}, as a rule {@link DEFAULT_LIFETIME_MS}. */
  readonly lifetimeMs: number
  /**
   * How far the start lies back, in milliseconds, 0 to {@link MAX_BACKDATE_MS}. Default: one hour, or a quarter of
   * the lifetime if that is less.
   */
  readonly backdateMs?: number
  /** The workload that the node is in the world of SPIFFE, with a path: the one URI among its names. Default is none. */
  readonly spiffeId?: SpiffeId
  readonly [allowShortLifetime]?: true
}

/** What issuing needs besides the decision. */
export interface IssueOptions {
  /** Gives the serial number. */
  readonly random: RandomSource
  /** The present, epoch milliseconds. */
  readonly now: number
  readonly verifier: SignatureVerifier
  readonly digest: Digest
}

const SECOND_MS = 1000

/** The longest lifetime that an authority can grant at `now`, in milliseconds; zero when it has ended. */
export const longestLifetimeMs = (authority: Authority, now: number): number =>
  Math.max(0, authority.certificate.notAfter - now)

/**
 * Issues the certificate of a node. The request supplies the public key and nothing else; subject, names, usages,
 * lifetime and serial number come from the grant and the authority, in the shape of Docker Swarm.
 *
 * A lifetime beyond the issuer's own end is refused, not cut: whoever wants the rest asks for {@link longestLifetimeMs}.
 *
 * @returns The signed leaf. Its times are in whole seconds, rounded down.
 * @throws {@link IdentityError} `CSR_SIGNATURE_INVALID` if the request is not signed by the key it carries,
 * `LIFETIME_TOO_SHORT` below {@link MIN_LIFETIME_MS}, `LIFETIME_EXCEEDS_ISSUER` if the leaf would outlive its issuer, `GRANT_OUTSIDE_ISSUER` if the issuer is an
 * intermediate that is bound to other names.
 * @throws RangeError if a duration or instant is not a sensible number.
 * @see RFC 5280 section 4.1
 */
export async function issueCertificate(
  authority: Authority,
  csr: Csr,
  grant: Grant,
  options: IssueOptions,
): Promise<Certificate> {
  const { algorithmDer, leafOf } = compiledOf(authority)
  const validity = validityOf(authority, grant, options.now)
  await verifyCsr(csr, options.verifier)
  const serial = options.random.bytes(SERIAL_BYTES)
  if (serial.length !== SERIAL_BYTES)
    throw new RangeError(`random source gave ${serial.length} bytes instead of ${SERIAL_BYTES}`)
  // Positive, and the same length always: the top bit is off, the next one on.
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40
  // RFC 7093 section 2, method 1: the first 160 bits of SHA-256 over the key bits.
  const keyId = options.digest.sha256(csr.keyBits)
  const { notBefore, notAfter } = validity
  const { nodeId } = grant
  const tbs = encodeLeaf(leafOf(grant, grant.spiffeId), {
    serial,
    notBefore,
    notAfter,
    nodeId,
    publicKey: csr.publicKey,
    keyType: csr.keyType,
    keyId,
  })
  const signed = authority.signer.sign(tbs)
  return ownCertificate(encodeSigned(tbs, algorithmDer, signed instanceof Uint8Array ? signed : await signed))
}

function validityOf(
  authority: Authority,
  grant: Grant,
  now: number,
): { readonly notBefore: number; readonly notAfter: number } {
  const { lifetimeMs, backdateMs = backdateFor(lifetimeMs), spiffeId } = grant
  if (spiffeId !== undefined && spiffePathOf(spiffeId) === '')
    throw new TypeError('spiffeId must name a workload, not a trust domain')
  if (!Number.isFinite(now) || !(lifetimeMs > 0) || !Number.isFinite(lifetimeMs))
    throw new RangeError('now and lifetimeMs must be numbers, lifetimeMs above zero')
  if (!(backdateMs >= 0 && backdateMs <= MAX_BACKDATE_MS))
    throw new RangeError(`backdateMs must be between 0 and ${MAX_BACKDATE_MS}`)
  if (lifetimeMs < MIN_LIFETIME_MS && grant[allowShortLifetime] !== true) {
    throw new IdentityError('LIFETIME_TOO_SHORT', `lifetime is under ${MIN_LIFETIME_MS} ms; grant at least that`)
  }
  const notBefore = Math.floor((now - backdateMs) / SECOND_MS) * SECOND_MS
  const notAfter = Math.floor((now + lifetimeMs) / SECOND_MS) * SECOND_MS
  if (notAfter > authority.certificate.notAfter) {
    throw new IdentityError(
      'LIFETIME_EXCEEDS_ISSUER',
      `certificate would outlive its issuer, which ends in ${longestLifetimeMs(authority, now)} ms; grant less or renew the authority`,
    )
  }
  return { notBefore, notAfter }
}
