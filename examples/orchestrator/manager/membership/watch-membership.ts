import { changedNodes, IdentityError, isEvicted, type Membership, nodeOf } from '@leastwise/identity'
import { OrchestratorError } from '../../errors.ts'
import type { Store } from '../store.ts'

export interface MembershipWatch {
  readonly store: Store
  readonly nodeId: string
  readonly signal: AbortSignal
  /** Judges every open connection anew and gives the number that was cut. */
  readonly recheck: () => number
}

/**
 * Whether anybody may have lost what let him in. That a node joins or renews takes nothing from anybody, and happens all the time.
 */
function tookAway(before: Membership, after: Membership): boolean {
  for (const nodeId of changedNodes(before, after)) {
    const [had, has] = [nodeOf(before, nodeId), nodeOf(after, nodeId)]
    if (had === null) continue
    if (has?.role !== had.role || has.roleEpoch !== had.roleEpoch) return true
    // Since its role has changed only certificates that are listed count.
    const isListed = (serial: string): boolean => has.certificates.some((each) => each.serial === serial)
    if (has.roleEpoch > 0 && !had.certificates.every(({ serial }) => isListed(serial))) return true
  }
  return false
}

/**
 * Cuts off whoever another manager threw out, until the signal fires.
 *
 * @throws {@link IdentityError} `NODE_EVICTED` when it was this manager itself, {@link OrchestratorError} `NODE_DEMOTED` when it is a manager no more.
 */
export async function watchMembership({ store, nodeId, signal, recheck }: MembershipWatch): Promise<void> {
  let seen: Membership | null = null
  for await (const { membership } of store.watch({ signal })) {
    if (membership === seen) continue
    const isAmiss = seen === null || tookAway(seen, membership)
    seen = membership
    if (!isAmiss) continue
    recheck()
    if (isEvicted(membership, nodeId))
      throw new IdentityError('NODE_EVICTED', 'this manager was removed from the cluster; wipe its data directory')
    if (nodeOf(membership, nodeId)?.role === 'worker')
      throw new OrchestratorError(
        'NODE_DEMOTED',
        'this manager was made a worker; wipe its data directory and join again',
      )
  }
}
