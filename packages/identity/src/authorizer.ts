import { IdentityError } from './errors.ts'
import { isEvicted, type Membership, nodeOf } from './membership-state.ts'
import type { ClusterId, Role } from './node-identity.ts'
import type { PeerIdentity } from './verify.ts'

/** Lets a proven peer pass, or throws a coded error that says why not. Ask it on each call, and again on open streams when membership changes. */
export type Authorizer = (peer: PeerIdentity) => void

/**
 * Passes whom every one of `authorizers` passes; the first refusal counts.
 *
 * @throws RangeError when there is none, because that would let everyone pass.
 */
export function allOf(...authorizers: readonly Authorizer[]): Authorizer {
  if (authorizers.length === 0) throw new RangeError('allOf needs at least one authorizer')
  return (peer) => {
    for (const authorize of authorizers) authorize(peer)
  }
}

/**
 * Passes peers of one of `roles`; others meet `PEER_WRONG_ROLE`.
 *
 * @throws RangeError when there is no role.
 */
export function allowRoles(...roles: readonly Role[]): Authorizer {
  if (roles.length === 0) throw new RangeError('allowRoles needs at least one role')
  return (peer) => {
    if (!roles.includes(peer.role)) {
      throw new IdentityError(
        'PEER_WRONG_ROLE',
        `this is open to ${roles.join(' and ')} nodes; the peer is a ${peer.role}`,
      )
    }
  }
}

/** Passes peers of one cluster; others meet `PEER_WRONG_CLUSTER`. */
export function inCluster(clusterId: ClusterId): Authorizer {
  return (peer) => {
    if (peer.clusterId !== clusterId) {
      throw new IdentityError(
        'PEER_WRONG_CLUSTER',
        'the peer belongs to another cluster; join this one with a join token of its own',
      )
    }
  }
}

/**
 * Passes nodes that are members now and have the role that is recorded for them now, whatever their certificate has outlived.
 *
 * @param readState - Gives the current membership; called once for each decision.
 * @returns An authorizer that throws `PEER_EVICTED`, `PEER_UNKNOWN` (never admitted, or no certificate was ever recorded
 * for it) or `PEER_WRONG_ROLE`.
 */
export function member(readState: () => Membership): Authorizer {
  return (peer) => {
    const state = readState()
    if (isEvicted(state, peer.nodeId)) {
      throw new IdentityError('PEER_EVICTED', 'the peer was removed from the cluster; it must join again as a new node')
    }
    const node = nodeOf(state, peer.nodeId)
    const everIssued = node?.latestNotAfter ?? null
    if (node === null || everIssued === null) {
      throw new IdentityError('PEER_UNKNOWN', 'the peer is not a node of this cluster; it must join with a join token')
    }
    if (node.role !== peer.role) {
      throw new IdentityError(
        'PEER_WRONG_ROLE',
        `the peer's certificate says ${peer.role} and its record says ${node.role}; it must renew`,
      )
    }
  }
}
