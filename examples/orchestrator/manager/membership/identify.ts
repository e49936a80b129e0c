import type { TLSSocket } from 'node:tls'
import {
  type Authorizer,
  type Certificate,
  type ClusterId,
  IdentityError,
  nodeOf,
  type PeerIdentity,
  parseCertificateChain,
} from '@leastwise/identity'
import { type PeerTrust, peerOf, systemDigest } from '@leastwise/identity/node'
import { codeOf } from '../../errors.ts'
import type { ClusterState } from '../cluster-state.ts'
import { revokedIssuers } from '../eviction/revoked-issuers.ts'
import { spiffeIdOfNode } from '../spiffe/trust-domain.ts'

/** Who is behind a connection, and whether the issuer of his certificate still counts. */
export interface Identifying {
  /**
   * Proves who is there; null for somebody without a certificate.
   *
   * A node whose issuer was withdrawn comes in for a renewal, if it shows the very certificate that the log has for it: whoever has the key of that issuer
   * can sign another one for the node, and not this one. With an earlier certificate of its own it comes in as nobody, to fetch the one that
   * waits for it. @throws IdentityError whatever is wrong otherwise.
   */
  readonly identify: (socket: TLSSocket) => PeerIdentity | null
  /** @throws IdentityError `PEER_ISSUER_REVOKED` for a peer whose issuer was withdrawn, before he came or since. */
  readonly issuerCounts: Authorizer
}

export interface IdentifyingOptions {
  readonly state: () => ClusterState
  readonly clusterId: ClusterId
  /** The same array for as long as trust stays the same. */
  readonly trustedRoots: () => readonly Certificate[]
  readonly now: () => number
}

export function createIdentifying({ state, clusterId, trustedRoots, now }: IdentifyingOptions): Identifying {
  const isRevokedIssuer = revokedIssuers(state, now)
  const sockets = new WeakMap<PeerIdentity, TLSSocket>()
  const trust = (): PeerTrust => {
    const { spiffe } = state()
    return { roots: trustedRoots(), clusterId, now: now(), ...(spiffe === null ? {} : { trustDomain: spiffe }) }
  }
  /** An intermediate is bound to the trust domain and not to a path: the ID has to be that of the node. */
  const checkId = ({ spiffeId, nodeId }: PeerIdentity): void => {
    const { spiffe } = state()
    if (spiffe === null || spiffeId === undefined || spiffeId === spiffeIdOfNode(spiffe, nodeId)) return
    throw new IdentityError(
      'PEER_SPIFFE_ID_INVALID',
      'peer certificate carries the spiffe id of another workload than the node that it names; renew it',
    )
  }
  const isRevoked = (error: unknown): boolean => codeOf(error) === 'PEER_ISSUER_REVOKED'

  const renewing = (socket: TLSSocket, refusal: unknown): PeerIdentity | null => {
    const peer = peerOf(socket, trust())
    const node = peer === null ? null : nodeOf(state().membership, peer.nodeId)
    const recorded = node?.certificate ?? null
    const last = recorded === null ? undefined : parseCertificateChain(recorded)[0]
    const shown = peer?.fingerprint
    if (last !== undefined && shown === Buffer.from(systemDigest.sha256(last.der)).toString('hex')) return peer
    if (node?.certificates.some(({ serial }) => serial === peer?.serial) === true) return null
    throw refusal
  }

  return {
    identify: (socket) => {
      let peer: PeerIdentity | null
      try {
        peer = peerOf(socket, { ...trust(), isRevokedIssuer })
      } catch (error) {
        if (!isRevoked(error)) throw error
        peer = renewing(socket, error)
      }
      if (peer !== null) {
        checkId(peer)
        sockets.set(peer, socket)
      }
      return peer
    },
    issuerCounts: (peer) => {
      const socket = sockets.get(peer)
      if (socket === undefined) return
      try {
        peerOf(socket, { ...trust(), isRevokedIssuer })
      } catch (error) {
        // What else is amiss by now was for the moment when he came.
        if (isRevoked(error)) throw error
      }
    },
  }
}
