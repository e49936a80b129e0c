import { setTimeout as sleep } from 'node:timers/promises'
import { isOverlong, nextToShorten, nodeOf } from '@leastwise/identity'
import type { Announce } from '../../announce.ts'
import { codeOf } from '../../errors.ts'
import type { ClusterCommand, ClusterState } from '../cluster-state.ts'
import type { PresenceBoard } from '../presence-board.ts'
import type { Store } from '../store.ts'
import { foundedCluster } from './issuing.ts'

export interface ShorteningOptions {
  readonly nodeId: string
  readonly store: Store
  readonly presence: Pick<PresenceBoard, 'get'>
  /** Renews this manager's own certificate, in the turn of its other renewals. */
  readonly renewSelf: () => void
  readonly now: () => number
  readonly announce: Announce
}

const STEP_MS = 500

/**
 * Brings a shorter lifetime to the nodes that have a longer certificate, those of this manager's own sessions, some at a time. What is left
 * to do can be seen from the log alone, so that it goes on after a restart, and with nodes that come back later.
 */
export async function keepLivesShort(options: ShorteningOptions, signal: AbortSignal): Promise<void> {
  const { nodeId: self, store, presence, renewSelf, now, announce } = options
  const isReachable = (nodeId: string): boolean => nodeId !== self && presence.get(nodeId) === 'ready'
  const next = (state: ClusterState): readonly ClusterCommand[] => {
    const { lifetimeMs } = foundedCluster(state)
    return nextToShorten(state.membership, { lifetimeMs, now: now(), isReachable }).map((nodeId) => ({
      part: 'membership',
      command: { type: 'request-renewal', nodeId },
    }))
  }
  // Once for each lifetime: when that fails, the renewals have pauses of their own.
  let renewedFor: number | null = null
  while (!signal.aborted) {
    try {
      const state = store.state()
      if (next(state).length > 0) await store.commit(next)
      const { lifetimeMs } = foundedCluster(state)
      const own = nodeOf(state.membership, self)
      if (renewedFor !== lifetimeMs && own !== null && isOverlong(own, { lifetimeMs, now: now() })) {
        renewedFor = lifetimeMs
        renewSelf()
      }
    } catch (error) {
      announce({ event: 'lifetime-delayed', code: codeOf(error) ?? 'INTERNAL' })
    }
    await sleep(STEP_MS, undefined, { signal }).catch(() => undefined)
  }
}
