import { IdentityError } from '../errors.ts'
import { isEvicted, type Membership, nodeOf } from '../membership/membership-state.ts'
import type { ClusterId, Role } from '../membership/node-identity.ts'
import type { NodeRecord } from '../membership/node-record.ts'
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

/** The peer's record, if it is a member that was ever given a certificate. */
function memberRecord(state: Membership, peer: PeerIdentity): NodeRecord {
  if (isEvicted(state, peer.nodeId)) {
    throw new IdentityError('PEER_EVICTED', 'the peer was removed from the cluster; it must join again as a new node')
  }
  const node = nodeOf(state, peer.nodeId)
  const everIssued = node?.latestNotAfter ?? null
  if (node === null || everIssued === null) {
    throw new IdentityError('PEER_UNKNOWN', 'the peer is not a node of this cluster; it must join with a join token')
  }
  return node
}

/**
 * Passes nodes that are members now and show a certificate of their present role epoch: with the role that is recorded for
 * them now, and issued after that role was last changed.
 *
 * @param readState - Gives the current membership; called once for each decision.
 * @returns An authorizer that throws `PEER_EVICTED`, `PEER_UNKNOWN` (never admitted, or no certificate was ever recorded
 * for it), `PEER_WRONG_ROLE`, or `PEER_ROLE_STALE` (the right role, from an earlier epoch).
 */
export function member(readState: () => Membership): Authorizer {
  return (peer) => {
    const node = memberRecord(readState(), peer)
    if (node.role !== peer.role) {
      throw new IdentityError(
        'PEER_WRONG_ROLE',
        `the peer's certificate says ${peer.role} and its record says ${node.role}; it must renew`,
      )
    }
    // In the first epoch there is nothing earlier; so a cluster that never changes a role never depends on this list.
    if (node.roleEpoch > 0 && !node.certificates.some(({ serial }) => serial === peer.serial)) {
      throw new IdentityError(
        'PEER_ROLE_STALE',
        "the peer's certificate is from before its role was last changed; it must renew",
      )
    }
  }
}

/**
 * Passes every node that {@link member} passes, and those whose certificate is of an earlier role epoch. For the calls by which a
 * node learns that it must renew, and renews; for nothing else.
 *
 * @param readState - Gives the current membership; called once for each decision.
 * @returns An authorizer that throws `PEER_EVICTED` or `PEER_UNKNOWN`.
 */
export function mayRenew(readState: () => Membership): Authorizer {
  return (peer) => {
    memberRecord(readState(), peer)
  }
}
