import { equalBytes } from '../bytes.ts'
import { type Certificate, ownCertificate } from '../certificate/certificate.ts'
import { isDnsName } from '../certificate/certified-names.ts'
import type { Validity } from '../certificate/validity.ts'
import { encodeSigned } from '../der/writer.ts'
import { IdentityError } from '../errors.ts'
import { type Authority, compiledOf } from '../issuing/authority.ts'
import { type Csr, verifyCsr } from '../issuing/csr.ts'
import type { IssueOptions } from '../issuing/issue.ts'
import { KEY_ID_BYTES, SERIAL_BYTES } from '../issuing/leaf-template.ts'
import { backdateFor, MIN_LIFETIME_MS } from '../issuing/lifetime.ts'
import { type NodeSubject, parseNodeSubject } from '../membership/node-identity.ts'
import {
  DEFAULT_INTERMEDIATE_LIFETIME_MS,
  type IntermediateGrant,
  MAX_INTERMEDIATE_LIFETIME_MS,
  MAX_INTERMEDIATE_ZONES,
  rolesOf,
} from './intermediate-grant.ts'
import { encodeIntermediate } from './intermediate-profile.ts'

const SECOND_MS = 1000

/**
 * Makes the issuing intermediate of a manager: the root signs that this key may issue for some days, for nodes of this cluster, in these roles and zones, and
 * that there is no CA below it. The request supplies the public key and the proof that somebody holds it, and nothing else.
 *
 * The root's key is needed for this alone; it may stay offline, or in a device behind its `Signer`. The manager puts the result and its key
 * together with `openAuthority`, itself as its only intermediate, and issues from there.
 *
 * @param root - An authority that is not an intermediate of this kind itself.
 * @returns The intermediate. Its times are in whole seconds, rounded down.
 * @throws {@link IdentityError} `CSR_SIGNATURE_INVALID` if the request is not signed by the key it carries, `INTERMEDIATE_KEY_REUSED` if that key is the one that the manager shows in TLS or
 * that of the root, `PEER_SUBJECT_INVALID` or `PEER_WRONG_ROLE` if the certificate in the grant is not that of a manager, `AUTHORITY_UNFIT` if the authority may have no CA below
 * it, `LIFETIME_TOO_SHORT` below one hour, `LIFETIME_EXCEEDS_ISSUER` if the intermediate would outlive the root.
 * @throws TypeError if the trust domain is not a host name.
 * @throws RangeError if a duration, instant or the number of zones is out of range.
 * @see RFC 5280 section 4.2.1.10
 */
export async function issueIntermediate(
  root: Authority,
  csr: Csr,
  grant: IntermediateGrant,
  options: IssueOptions,
): Promise<Certificate> {
  const { algorithmDer, issuer } = compiledOf(root)
  const { zones = [], trustDomain = null } = grant
  const issuerKeyId = checkRoot(root)
  const { clusterId, nodeId } = managerOf(grant)
  if (grant.zones !== undefined && (zones.length === 0 || zones.length > MAX_INTERMEDIATE_ZONES))
    throw new RangeError(`zones must be 1 to ${MAX_INTERMEDIATE_ZONES}, or absent for the whole cluster`)
  // A trust domain may have underscores in its name, and a constraint on hosts may not.
  if (trustDomain !== null && !isDnsName(trustDomain)) throw new TypeError('trustDomain must be a host name')
  const validity = validityOf(root, grant, options.now)
  if (equalBytes(csr.publicKey, grant.manager.publicKey) || equalBytes(csr.publicKey, root.certificate.publicKey)) {
    throw new IdentityError(
      'INTERMEDIATE_KEY_REUSED',
      'request has the key that the manager shows in tls, or that of the root; make a key for issuing alone',
    )
  }
  await verifyCsr(csr, options.verifier)
  const serial = options.random.bytes(SERIAL_BYTES)
  if (serial.length !== SERIAL_BYTES)
    throw new RangeError(`random source gave ${serial.length} bytes instead of ${SERIAL_BYTES}`)
  // Positive, and the same length always: the top bit is off, the next one on.
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40
  const tbs = encodeIntermediate({
    ...validity,
    algorithmDer,
    issuer,
    issuerKeyId,
    serial,
    clusterId,
    managerId: nodeId,
    roles: rolesOf(grant),
    zones,
    trustDomain,
    publicKey: csr.publicKey,
    keyId: options.digest.sha256(csr.keyBits).subarray(0, KEY_ID_BYTES),
  })
  return ownCertificate(encodeSigned(tbs, algorithmDer, await root.signer.sign(tbs)))
}

/** The root's key identifier; a root that is bound, or that may have no CA below it, makes no intermediate. */
function checkRoot({ certificate, intermediates }: Authority): Uint8Array {
  const { nameConstraints, pathLength, subjectKeyId } = certificate
  // Leaf, intermediate, and one more for a root that is being replaced: a longer chain is refused by every peer.
  if (nameConstraints === null && pathLength !== 0 && subjectKeyId !== null && intermediates.length <= 1)
    return subjectKeyId
  throw new IdentityError(
    'AUTHORITY_UNFIT',
    'authority may have no ca below it; make intermediates with the root of the cluster',
  )
}

function managerOf({ manager }: IntermediateGrant): NodeSubject {
  const subject = parseNodeSubject(manager.subject)
  if (subject.role === 'manager') return subject
  throw new IdentityError('PEER_WRONG_ROLE', 'certificate in the grant is not that of a manager; only managers issue')
}

function validityOf({ certificate }: Authority, grant: IntermediateGrant, now: number): Validity {
  const { lifetimeMs = DEFAULT_INTERMEDIATE_LIFETIME_MS } = grant
  if (!Number.isFinite(now) || !(lifetimeMs > 0 && lifetimeMs <= MAX_INTERMEDIATE_LIFETIME_MS))
    throw new RangeError(`now must be a number, and lifetimeMs between 0 and ${MAX_INTERMEDIATE_LIFETIME_MS}`)
  if (lifetimeMs < MIN_LIFETIME_MS)
    throw new IdentityError('LIFETIME_TOO_SHORT', `lifetime is under ${MIN_LIFETIME_MS} ms; grant at least that`)
  const notBefore = Math.floor((now - backdateFor(lifetimeMs)) / SECOND_MS) * SECOND_MS
  const notAfter = Math.floor((now + lifetimeMs) / SECOND_MS) * SECOND_MS
  if (notAfter <= certificate.notAfter) return { notBefore, notAfter }
  throw new IdentityError(
    'LIFETIME_EXCEEDS_ISSUER',
    'intermediate would outlive the root that signs it; grant less, or renew the root',
  )
}
