import { type Certificate, listedIssuers, ofEvictedManager, viewOf } from '@leastwise/identity'
import type { ClusterState } from '../cluster-state.ts'

/** True for an intermediate of a manager that was removed or demoted: what it issued is refused from then on. */
export function revokedIssuers(state: () => ClusterState, now: () => number): (issuer: Certificate) => boolean {
  const isListed = listedIssuers({ readView: () => viewOf(state().evictions), now })
  const isOfEvicted = ofEvictedManager(() => state().membership)
  return (issuer) => isListed(issuer) || isOfEvicted(issuer)
}
