import type { Id } from '../id.ts'
import { MIN_REDEMPTIONS_REMEMBERED } from '../limits.ts'
import { emptyMap, get, type PersistentMap, put } from '../persistent-map.ts'

/**
 * Who redeemed what, in two generations: when the young one is full it becomes the old one, and the old one is forgotten as a whole.
 * So forgetting costs nothing at any single event, and what was redeemed last is remembered longest.
 */
export interface Redemptions {
  readonly young: PersistentMap<Id>
  readonly old: PersistentMap<Id>
}

export const noRedemptions: Redemptions = { young: emptyMap(), old: emptyMap() }

// The hash comes first because it spreads evenly. The token is named by its serial number, which is never given twice, so that a new token
// under an old id does not inherit its redemptions.
const keyOf = (serial: number, publicKeyHash: string): string => `${publicKeyHash}:${serial}`

/** The node which that key became when it redeemed that token, or `null`. */
export function recall(memory: Redemptions, serial: number, publicKeyHash: string): Id | null {
  const key = keyOf(serial, publicKeyHash)
  return get(memory.young, key) ?? get(memory.old, key)
}

export function remember(memory: Redemptions, serial: number, publicKeyHash: string, nodeId: Id): Redemptions {
  const full = memory.young.size >= MIN_REDEMPTIONS_REMEMBERED
  const { young, old } = full ? { young: emptyMap<Id>(), old: memory.young } : memory
  return { young: put(young, keyOf(serial, publicKeyHash), nodeId), old }
}
