import { IdentityError } from '../errors.ts'
import { type SpiffeId, spiffePathOf, type TrustDomain, trustDomainOf } from './spiffe-id.ts'

/** A proven peer, as far as these authorizers look at it: a node with a SPIFFE ID, or whoever an X509-SVID speaks for. */
export interface SpiffePeer {
  readonly spiffeId?: SpiffeId
}

/** Lets a proven peer pass, or throws a coded error that says why not. It stands wherever an {@link Authorizer} does. */
export type SpiffeAuthorizer = (peer: SpiffePeer) => void

const wrongId = (problem: string): IdentityError =>
  new IdentityError('PEER_WRONG_SPIFFE_ID', `${problem}; connect as a workload that is allowed here`)

function idOf({ spiffeId }: SpiffePeer): SpiffeId {
  if (spiffeId === undefined) throw wrongId('the peer has no spiffe id')
  return spiffeId
}

/** Passes peers of one trust domain; others meet `PEER_WRONG_TRUST_DOMAIN`, and peers without a SPIFFE ID `PEER_WRONG_SPIFFE_ID`. */
export function inTrustDomain(domain: TrustDomain): SpiffeAuthorizer {
  return (peer) => {
    if (trustDomainOf(idOf(peer)) !== domain) {
      throw new IdentityError(
        'PEER_WRONG_TRUST_DOMAIN',
        'the peer belongs to another trust domain; connect as a workload of the one that is allowed here',
      )
    }
  }
}

/**
 * Passes peers with one of these SPIFFE IDs; others meet `PEER_WRONG_SPIFFE_ID`.
 *
 * @throws RangeError when there is none.
 */
export function allowSpiffeIds(...ids: readonly SpiffeId[]): SpiffeAuthorizer {
  if (ids.length === 0) throw new RangeError('allowSpiffeIds needs at least one id')
  return (peer) => {
    if (!ids.includes(idOf(peer))) throw wrongId('this is not open to the spiffe id of the peer')
  }
}

/**
 * Passes the workload with this SPIFFE ID and all whose path goes on below it, by whole segments; others meet `PEER_WRONG_SPIFFE_ID`.
 *
 * @throws RangeError for the id of a trust domain: that is what {@link inTrustDomain} is for.
 */
export function underSpiffePath(id: SpiffeId): SpiffeAuthorizer {
  if (spiffePathOf(id) === '') throw new RangeError('underSpiffePath needs an id with a path')
  return (peer) => {
    const own = idOf(peer)
    if (own !== id && !own.startsWith(`${id}/`)) throw wrongId('this is open to other paths than that of the peer')
  }
}
