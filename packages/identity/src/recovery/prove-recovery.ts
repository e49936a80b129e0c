import type { Certificate } from '../certificate/certificate.ts'
import { IdentityError } from '../errors.ts'
import { type EvictionBook, findEviction } from '../eviction/eviction-book.ts'
import { parseCsr, verifyCsr } from '../issuing/csr.ts'
import { isEvicted, type Membership, nodeOf } from '../membership/membership-state.ts'
import type { ClusterId, NodeId } from '../membership/node-identity.ts'
import type { NodeRecord } from '../membership/node-record.ts'
import type { Digest, SignatureVerifier } from '../ports.ts'
import { parseCertificateChain } from '../verifying/chain.ts'
import type { RecoveryChallenges } from './recovery-challenge.ts'
import { verifyRecovery } from './recovery-statement.ts'

declare const proven: unique symbol

/** What a node whose certificate has expired sends. All of it is untrusted. */
export interface RecoveryRequest {
  readonly nodeId: string
  /** Of its last certificate, lower-case hexadecimal. */
  readonly serial: string
  /** For its new key: PEM, as received. */
  readonly csr: string
  readonly challenge: Uint8Array
  /** By the last certificate's key; see {@link signRecovery}. */
  readonly signature: Uint8Array
}

/** A recovery whose node holds the key of its last certificate. Only {@link proveRecovery} makes one. */
export interface ProvenRecovery {
  readonly [proven]: true
  readonly nodeId: NodeId
  readonly serial: string
  readonly csr: string
  /** DER SubjectPublicKeyInfo of the new key. */
  readonly publicKey: Uint8Array<ArrayBuffer>
}

/** What {@link proveRecovery} works with. */
export interface ProveRecoveryOptions {
  readonly membership: Membership
  readonly clusterId: ClusterId
  readonly challenges: RecoveryChallenges
  readonly verifier: SignatureVerifier
  readonly digest: Digest
  readonly now: number
  /** Where a host has a book of evictions: a certificate that stands there by itself does not come back. */
  readonly evictions?: EvictionBook
}

const superseded = (): IdentityError =>
  new IdentityError(
    'RECOVERY_KEY_SUPERSEDED',
    'a newer certificate was issued to this node than the one whose key asks; join again as a new node, with a token',
  )

/** A change of the node's role evicts its certificates as well, but only so that it gets one for the new role. */
function isRefused(evictions: EvictionBook, serial: string): boolean {
  const target = { kind: 'certificate', serial, issuerKeyId: null, reason: 'unspecified', at: 0, until: 0 } as const
  return (findEviction(evictions, target)?.reason ?? 'affiliation-changed') !== 'affiliation-changed'
}

/** Whether this very request was granted already, and its certificate is of use. */
export const isRepeated = (node: NodeRecord, csr: string, now: number): boolean =>
  node.csr === csr && (node.certificate === null || now <= (node.notAfter ?? 0))

/** The record of a member, when it may ask at all. */
export function recoverableNode(membership: Membership, nodeId: string): NodeRecord {
  const node = nodeOf(membership, nodeId)
  if (node !== null) return node
  if (isEvicted(membership, nodeId))
    throw new IdentityError('NODE_EVICTED', 'this node was removed from the cluster; join again as a new node')
  throw new IdentityError('NODE_UNKNOWN', 'no node of this cluster has that id; join with a token')
}

/**
 * The certificate whose key has to sign: the last one that was issued, from the cluster's own record. While a newer request waits to be
 * signed there is none, because then that is the last.
 */
export function lastCertificateOf(node: NodeRecord, serial: string, evictions: EvictionBook | undefined): Certificate {
  const leaf = node.certificate === null ? undefined : parseCertificateChain(node.certificate)[0]
  if (leaf === undefined || node.serial !== serial || leaf.serial !== serial) throw superseded()
  if (evictions !== undefined && isRefused(evictions, serial))
    throw new IdentityError('NODE_EVICTED', 'the last certificate of this node was evicted; join again as a new node')
  return leaf
}

/**
 * Proves that a recovery comes from the holder of the node's last key, just now, and that the sender holds the new one.
 *
 * What the request says is never the ground for a decision: the key that has to sign comes from the membership. A request that was granted
 * already passes again, since its answer may have been lost, and gains nothing but the certificate that it had.
 *
 * @throws {@link IdentityError} `RECOVERY_CHALLENGE_EXPIRED`, `RECOVERY_PROOF_INVALID`, `RECOVERY_KEY_SUPERSEDED` when it is not the last key of the node, `NODE_EVICTED` also for a certificate that was
 * evicted by itself, `NODE_UNKNOWN`, and the codes of {@link parseCsr} and {@link verifyCsr}.
 */
export async function proveRecovery(request: RecoveryRequest, options: ProveRecoveryOptions): Promise<ProvenRecovery> {
  const { nodeId, serial, csr: pem, challenge, signature } = request
  const { membership, clusterId, challenges, verifier, digest, now, evictions } = options
  // First what costs least: a stranger's request ends here, or with the look-up.
  challenges.check(challenge, now)
  const node = recoverableNode(membership, nodeId)
  const csr = parseCsr(pem)
  if (!isRepeated(node, pem, now)) {
    const key = lastCertificateOf(node, serial, evictions)
    await verifyRecovery({ clusterId, nodeId, serial, challenge, csr }, signature, { key, verifier, digest })
  }
  await verifyCsr(csr, verifier)
  return { nodeId: node.nodeId, serial, csr: pem, publicKey: csr.publicKey.slice() } as ProvenRecovery
}
