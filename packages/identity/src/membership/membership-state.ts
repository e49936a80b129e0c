import { changedKeys, emptyShardedMap, lookUp, perRow, type ShardedMap, valuesOf } from '../sharded-map.ts'
import type { EvictionRecord, NodeRecord } from './node-record.ts'

/** Who belongs to the cluster and who was thrown out. Read it with the queries of this module; its shape may change. */
export interface Membership {
  readonly nodes: ShardedMap<NodeRecord>
  readonly evictions: ShardedMap<EvictionRecord>
}

/** A cluster without nodes. */
export const noMembers: Membership = { nodes: emptyShardedMap(), evictions: emptyShardedMap() }

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** The node's record, or `null` when it was never admitted or was evicted. */
export const nodeOf = (state: Membership, nodeId: string): NodeRecord | null => lookUp(state.nodes, nodeId)

const byAge = (a: NodeRecord, b: NodeRecord): number => a.admittedAt - b.admittedAt || byText(a.nodeId, b.nodeId)

/** All nodes, the oldest first. It walks and sorts them, so it is for answers that need all of them. */
export const listNodes = (state: Membership): readonly NodeRecord[] => [...valuesOf(state.nodes)].sort(byAge)

const unsigned = perRow((nodes: readonly NodeRecord[]) =>
  nodes.filter(({ status }) => status === 'pending' || status === 'renew'),
)

/** The nodes whose CSR waits to be signed, the oldest first. Asked again after a change it looks only at what is new. */
export const unsignedNodes = (state: Membership): readonly NodeRecord[] => unsigned(state.nodes).flat().sort(byAge)

/**
 * The ids of the nodes whose records differ between two states, in no promised order. Costs as much as has changed between them, so whoever watches the membership
 * need not look at all nodes each time.
 */
export const changedNodes = (before: Membership, after: Membership): Generator<string, void, void> =>
  changedKeys(before.nodes, after.nodes)

/** Why and until when the node is refused, or `null`. */
export const evictionOf = (state: Membership, nodeId: string): EvictionRecord | null => lookUp(state.evictions, nodeId)

/** True while the eviction is remembered, that is at least as long as any certificate of the node is valid. */
export const isEvicted = (state: Membership, nodeId: string): boolean => evictionOf(state, nodeId) !== null

/** All remembered evictions, the oldest first. */
export const listEvictions = (state: Membership): readonly EvictionRecord[] =>
  [...valuesOf(state.evictions)].sort((a, b) => a.at - b.at || byText(a.nodeId, b.nodeId))
