import { equalBytes } from '../bytes.ts'
import type { Certificate } from '../certificate/certificate.ts'
import { IdentityError } from '../errors.ts'
import type { ClusterId } from '../membership/node-identity.ts'
import type { SyncSignatureVerifier } from '../ports.ts'
import { MAX_CHAIN_CERTIFICATES } from '../verifying/chain.ts'
import { verifyPeerSync } from '../verifying/verify.ts'
import { rootIdOf } from './root-id.ts'
import type { RootObservation } from './rotation-messages.ts'

/** TLS adds the root that it found at the end, which may be another one than is asked about. */
const isSelfIssued = (last: Certificate | undefined): boolean =>
  last !== undefined && equalBytes(last.subject.der, last.issuer.der)

/** Against what a presented chain is held. */
export interface ObserveOptions {
  /** {@link rotationRootsOf} the authority: the first under which the chain verifies alone counts. */
  readonly roots: readonly Certificate[]
  readonly clusterId: ClusterId
  /** The present, epoch milliseconds. */
  readonly now: number
  readonly verifier: SyncSignatureVerifier
}

/**
 * Proves under which root a node presents its certificate. What the node says of itself plays no part: only the chain from its handshake, whose key it has
 * proven there, and whether that root on its own would vouch for it.
 *
 * @param chain - As presented in TLS, leaf first.
 * @throws {@link IdentityError} with the codes of {@link verifyPeer} when none of the roots vouches for it.
 */
export function observePresented(chain: readonly Certificate[], options: ObserveOptions): RootObservation {
  const { clusterId, now, verifier } = options
  const presented = chain.length > MAX_CHAIN_CERTIFICATES && isSelfIssued(chain.at(-1)) ? chain.slice(0, -1) : chain
  let last: unknown = new IdentityError('PEER_UNTRUSTED', 'there is no root to hold the chain against; pass one or two')
  for (const root of options.roots) {
    try {
      const { nodeId, notAfter } = verifyPeerSync(presented, { roots: [root], clusterId, now, verifier })
      return { nodeId, rootId: rootIdOf(root), notAfter }
    } catch (error) {
      last = error
    }
  }
  throw last
}
