import type { TLSSocket } from 'node:tls'
import { observePresented } from '../rotation/observe.ts'
import type { RootObservation } from '../rotation/rotation-messages.ts'
import { certificateOf, type PeerTrust, presentedChain } from './peer-of.ts'
import { systemVerifier } from './signer.ts'

/**
 * Under which root the peer of a connection presents its certificate: {@link observePresented} of the chain from its handshake.
 *
 * @param socket - A connection for which {@link peerOf} has proven who is there.
 * @param trust - `roots`: {@link rotationRootsOf} the authority.
 * @returns `null` when the peer has shown no certificate.
 * @throws {@link IdentityError} with the codes of {@link verifyPeer} when none of the roots vouches for it, `PEER_DISCONNECTED` if the connection is gone.
 */
export function observePeer(
  socket: TLSSocket,
  { roots, clusterId, now, verifier = systemVerifier }: PeerTrust,
): RootObservation | null {
  const first = certificateOf(socket)
  return first === null ? null : observePresented(presentedChain(first), { roots, clusterId, now, verifier })
}
