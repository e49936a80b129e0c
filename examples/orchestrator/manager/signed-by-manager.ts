import {
  type Certificate,
  type ClusterId,
  IdentityError,
  type PeerIdentity,
  parseCertificateChain,
  parseTrustBundle,
  verifyPeer,
} from '@leastwise/identity'
import { openSigner, systemVerifier } from '@leastwise/identity/node'
import type { ManagerIdentity } from './manager-keys.ts'

/** A statement with its proof. */
export interface Signed {
  readonly statement: Uint8Array
  readonly signature: Uint8Array
  /** PEM chain of the manager that signed, leaf first. */
  readonly chain: string
}

/** Signs a statement with the manager's node key. */
export function signed(statement: Uint8Array, { privateKey, certificateChain }: ManagerIdentity): Signed {
  return { statement, signature: openSigner(privateKey).sign(statement), chain: certificateChain ?? '' }
}

/**
 * The manager of this cluster that signed, by a certificate that is good now; null for anybody else.
 */
export async function managerBehind(
  { statement, signature, chain }: Signed,
  against: { readonly trustBundle: string; readonly clusterId: ClusterId; readonly now: number },
): Promise<PeerIdentity | null> {
  try {
    const certificates = parseCertificateChain(chain)
    const { roots } = parseTrustBundle(against.trustBundle)
    const { clusterId, now } = against
    const peer = await verifyPeer(certificates, { roots, clusterId, now, verifier: systemVerifier })
    const leaf = certificates[0]
    return peer.role === 'manager' && leaf !== undefined && isSigned(leaf, statement, signature) ? peer : null
  } catch (error) {
    if (error instanceof IdentityError) return null
    throw error
  }
}

/** Managers of this orchestrator have P-256 keys; a certificate over any other kind is none of theirs. */
const isSigned = ({ keyType, publicKey }: Certificate, statement: Uint8Array, signature: Uint8Array): boolean =>
  keyType === 'p256' && systemVerifier.verify({ keyType, publicKey }, 'ecdsa-sha256', statement, signature)
