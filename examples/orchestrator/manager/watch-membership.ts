import { IdentityError, isEvicted, nodeOf } from '@leastwise/identity'
import { OrchestratorError } from '../errors.ts'
import type { Store } from './store.ts'

export interface MembershipWatch {
  readonly store: Store
  readonly nodeId: string
  readonly signal: AbortSignal
  /** Judges every open connection anew and gives the number that was cut. */
  readonly recheck: () => number
}

/**
 * Cuts off whoever another manager threw out, until the signal fires.
 *
 * @throws {@link IdentityError} `NODE_EVICTED` when it was this manager itself, {@link OrchestratorError} `NODE_DEMOTED` when it is a manager no more.
 */
export async function watchMembership({ store, nodeId, signal, recheck }: MembershipWatch): Promise<void> {
  let seen: unknown = null
  for await (const { membership } of store.watch({ signal })) {
    if (membership === seen) continue
    seen = membership
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
