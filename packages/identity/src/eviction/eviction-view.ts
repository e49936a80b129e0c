import type { Certificate } from '../certificate/certificate.ts'
import { IdentityError } from '../errors.ts'
import { managerOfIntermediate } from '../intermediate/intermediate-manager.ts'
import type { EvictionSubject } from './eviction.ts'
import type { EvictionBook } from './eviction-book.ts'
import {
  type EvictionSet,
  emptyEvictionSet,
  evictionHitting,
  isNodeEvicted,
  isSerialEvicted,
  withEvictions,
} from './eviction-set.ts'
import type { EvictionList, ListHead } from './list-codec.ts'

/** What a peer knows of evictions, from signed lists or from the book itself. */
export interface EvictionView {
  /** Of the newest list; a number to use as the epoch of cached decisions. */
  readonly sequence: number
  /** Until when nothing newer is missed, epoch milliseconds; infinite for the book itself. */
  readonly validUntil: number
  readonly set: EvictionSet
}

/** The view of a peer that has heard nothing yet: stale from the beginning. */
export const noEvictions: EvictionView = { sequence: 0, validUntil: 0, set: emptyEvictionSet }

/** The view of a manager, which has the book. */
export const viewOf = (book: EvictionBook): EvictionView => ({
  sequence: book.sequence,
  validUntil: Number.POSITIVE_INFINITY,
  set: book.set,
})

/**
 * Takes over what a list says that {@link verifyEvictionList} has proven. A list that says no more but is younger prolongs the view.
 *
 * @throws {@link IdentityError} `EVICTION_LIST_ROLLED_BACK` if the view has heard of later evictions, `EVICTION_LIST_GAP` if the
 * list holds only what came after something that this view has not heard of: ask for the whole list then.
 */
export function withEvictionList(view: EvictionView, list: EvictionList): EvictionView {
  checkFollows(view, list)
  return grown(view, list, withEvictions(view.set, list.evictions))
}

/** The view after a list that {@link checkFollows} passes, with this set. */
export const grown = (view: EvictionView, { sequence, validUntil }: ListHead, set: EvictionSet): EvictionView => ({
  sequence,
  validUntil: Math.max(view.validUntil, validUntil),
  set,
})

/** Refuses a list that does not follow what the view has heard of. Throws as {@link withEvictionList}. */
export function checkFollows(view: EvictionView, list: ListHead): void {
  if (list.sequence < view.sequence) {
    throw new IdentityError(
      'EVICTION_LIST_ROLLED_BACK',
      `eviction list has number ${list.sequence} and ${view.sequence} was seen already; ask a manager for its current one`,
    )
  }
  if (list.base > view.sequence) {
    throw new IdentityError(
      'EVICTION_LIST_GAP',
      `eviction list continues number ${list.base} and ${view.sequence} was the last one seen; ask for the whole list`,
    )
  }
}

/** How {@link notEvicted} decides. */
export interface NotEvictedOptions {
  /** Gives the current view; called once for each decision. */
  readonly readView: () => EvictionView
  /** The present, epoch milliseconds. */
  readonly now: () => number
  /**
   * When no list has come for too long: `refuse` everyone (whoever withholds lists wins nothing), or let those `pass` that are not
   * known to be evicted, for the connections by which the next list comes.
   */
  readonly whenStale: 'refuse' | 'pass'
}

/**
 * Passes who is evicted neither by node nor by certificate.
 *
 * @returns An {@link Authorizer} that throws `PEER_EVICTED`, or `EVICTIONS_STALE` when the view has ended and that refuses.
 */
export function notEvicted({ readView, now, whenStale }: NotEvictedOptions): (peer: EvictionSubject) => void {
  return (peer) => {
    const view = readView()
    const at = now()
    const hit = evictionHitting(view.set, peer, at)
    if (hit !== null) {
      throw new IdentityError(
        'PEER_EVICTED',
        hit === 'node'
          ? 'the peer was removed from the cluster; it must join again as a new node'
          : "the peer's certificate was withdrawn; it must renew",
      )
    }
    if (whenStale === 'refuse' && at > view.validUntil) {
      throw new IdentityError(
        'EVICTIONS_STALE',
        'no eviction list has come for too long, so that nobody can be told from an evicted peer; fetch one from a manager',
      )
    }
  }
}

/**
 * Withdraws the issuing intermediates of evicted managers, and those that are evicted by serial number: for `isRevokedIssuer` of a verification.
 * What such a one has issued is no peer.
 *
 * @param from - As for {@link notEvicted}.
 */
export function listedIssuers(from: Pick<NotEvictedOptions, 'readView' | 'now'>): (issuer: Certificate) => boolean {
  return (issuer) => {
    const { set } = from.readView()
    const now = from.now()
    const managerId = managerOfIntermediate(issuer)
    return isSerialEvicted(set, issuer.serial, now) || (managerId !== null && isNodeEvicted(set, managerId, now))
  }
}
