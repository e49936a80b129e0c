import { changedNodes, type Membership, nodeOf } from '@leastwise/identity'
import type { PresenceBoard } from '../presence-board.ts'
import type { Store } from '../store.ts'

export interface ForgettingPresence {
  readonly store: Store
  readonly presence: Pick<PresenceBoard, 'forget'>
  readonly signal: AbortSignal
}

/** Forgets where nodes were that are members no more, until the signal fires: in a cluster whose nodes come and go there would be more of them each day. */
export async function forgetPresence({ store, presence, signal }: ForgettingPresence): Promise<void> {
  let seen: Membership | null = null
  for await (const { membership } of store.watch({ signal })) {
    if (seen !== null)
      for (const nodeId of changedNodes(seen, membership))
        if (nodeOf(membership, nodeId) === null) presence.forget(nodeId)
    seen = membership
  }
}
