import {
  type ClusterId,
  formatCertificateChain,
  parseCertificateChain,
  parseNodeSubject,
  parseTrustBundle,
  type SignatureVerifier,
  type TrustBundle,
  verifyPeer,
  verifyTrustBundleRoots,
} from '@leastwise/identity'
import { SwarmError } from '../errors.ts'
import type { NodeRole } from '../node-description.ts'
import type { NodeCredentials } from './events.ts'

/** What a node expects of the certificate that it is given. */
export interface CertificateExpectation {
  /** The CSR's key: SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array
  readonly nodeId: string
  readonly bundle: TrustBundle
  /** `null` when any will do: the first certificate tells. */
  readonly clusterId: string | null
  readonly role: NodeRole | null
  /** Epoch milliseconds. */
  readonly now: number
  readonly verifier: SignatureVerifier
}

/** A certificate that passed. */
export type AcceptedCertificate = Omit<NodeCredentials, 'privateKey' | 'trustBundle'>

/** Whether two byte strings are the same. */
export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, index) => byte === b[index])

const unacceptable = (why: string, cause?: unknown): SwarmError =>
  new SwarmError('CERTIFICATE_UNACCEPTABLE', `certificate from the manager ${why}, join through another manager`, {
    cause,
  })

/**
 * Judges the certificate that a manager has issued: right key, right node, vouched for by the trust bundle, of the right
 * cluster and role. A node that took anything else would talk under a foreign name, or not at all.
 *
 * @throws {@link SwarmError} `CERTIFICATE_UNACCEPTABLE`
 */
export async function acceptCertificate(
  pem: Uint8Array,
  expected: CertificateExpectation,
): Promise<AcceptedCertificate> {
  const { bundle, now, verifier } = expected
  let chain: ReturnType<typeof parseCertificateChain>
  let peer: Awaited<ReturnType<typeof verifyPeer>>
  try {
    chain = parseCertificateChain(pem)
    const leaf = chain[0]
    if (leaf === undefined) throw unacceptable('is missing')
    const clusterId = (expected.clusterId ?? parseNodeSubject(leaf.subject).clusterId) as ClusterId
    peer = await verifyPeer(chain, { roots: bundle.roots, now, clusterId, verifier })
    if (!sameBytes(leaf.publicKey, expected.publicKey)) throw unacceptable('is for another key')
  } catch (error) {
    throw error instanceof SwarmError ? error : unacceptable('does not verify', error)
  }
  if (peer.nodeId !== expected.nodeId) throw unacceptable('is for another node')
  if (expected.role !== null && peer.role !== expected.role) throw unacceptable('is for another role')
  return {
    nodeId: peer.nodeId,
    clusterId: peer.clusterId,
    role: peer.role,
    certificateChain: formatCertificateChain(chain),
    notBefore: peer.notBefore,
    notAfter: peer.notAfter,
  }
}

/**
 * Judges a trust bundle that a manager pushes: taken only when every root is sound and the node's own certificate chains
 * to one of them, so that a push can extend trust but not replace it with somebody else's.
 *
 * @throws {@link SwarmError} `TRUST_BUNDLE_UNRELATED`
 */
export async function acceptTrustBundle(
  pem: Uint8Array,
  credentials: NodeCredentials,
  { now, verifier }: { readonly now: number; readonly verifier: SignatureVerifier },
): Promise<NodeCredentials> {
  try {
    const bundle = parseTrustBundle(pem)
    await verifyTrustBundleRoots(bundle, { now, verifier })
    const chain = parseCertificateChain(credentials.certificateChain)
    await verifyPeer(chain, { roots: bundle.roots, now, clusterId: credentials.clusterId as ClusterId, verifier })
    return { ...credentials, trustBundle: bundle.pem }
  } catch (error) {
    throw new SwarmError(
      'TRUST_BUNDLE_UNRELATED',
      'pushed trust bundle does not vouch for this node, the old one stays',
      { cause: error },
    )
  }
}
