import {
  type Authorizer,
  allOf,
  type ClusterId,
  inCluster,
  type Membership,
  mayRenew,
  member,
  type PeerIdentity,
} from '@leastwise/identity'

/** Who may call, and whose connections stay open. */
export interface Standing {
  readonly authorize: Authorizer
  /** For the calls by which a node learns that it must renew, and renews. */
  readonly authorizeRenewal: Authorizer
  /** Told of each peer when its connection opens. */
  readonly arrived: (peer: PeerIdentity) => void
  /**
   * For connections that are judged anew. One that opened in good standing goes when that is lost, with its streams. One that opened with a
   * stale certificate was never good for more than a renewal, which must not be cut in the middle.
   */
  readonly authorizeConnection: Authorizer
}

/** @param issuerCounts - What else a certificate needs that is good for more than a renewal. */
export function createStanding(
  clusterId: ClusterId,
  members: () => Membership,
  issuerCounts: Authorizer = () => undefined,
): Standing {
  const authorize = allOf(inCluster(clusterId), member(members), issuerCounts)
  const authorizeRenewal = allOf(inCluster(clusterId), mayRenew(members))
  const renewing = new WeakSet<PeerIdentity>()
  return {
    authorize,
    authorizeRenewal,
    arrived: (peer) => {
      try {
        authorize(peer)
      } catch {
        renewing.add(peer)
      }
    },
    authorizeConnection: (peer) => {
      ;(renewing.has(peer) ? authorizeRenewal : authorize)(peer)
    },
  }
}
