import type { Availability } from './node-description.ts'

/** Where a node's certificate is in its life. `issued`, `failed` and `rotate` end a wait. */
export type IssuanceState = 'failed' | 'issued' | 'pending' | 'renew' | 'rotate'

/** A manager that nodes may dial. */
export interface ManagerPeer {
  readonly nodeId: string
  /** `host:port` */
  readonly address: string
  /** Preference among managers; 1 is ordinary. */
  readonly weight: number
}

/**
 * At least one manager: a stock engine that is once told of none forgets all it knew and never comes back, so the type
 * does not allow it.
 */
export type ManagerList = readonly [ManagerPeer, ...ManagerPeer[]]

/** A key of the network layer, passed on to nodes as it is. */
export interface NetworkKey {
  readonly subsystem: string
  readonly key: Uint8Array
  readonly lamportTime: bigint
}

/** What a node is told on its session stream, at the start and again at each change. */
export interface SessionUpdate {
  /** `rotate` asks the node to renew its certificate now. */
  readonly certificate: IssuanceState
  readonly availability: Availability
  readonly managers: ManagerList
  /** The cluster's trust bundle, PEM. */
  readonly trustBundle: Uint8Array
  /** Left out when the host runs no network layer. */
  readonly networkKeys?: readonly NetworkKey[]
}
