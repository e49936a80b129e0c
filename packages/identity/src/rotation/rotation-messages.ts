import type { RotationMembers } from './members-behind.ts'
import type { RotationPolicy } from './policy.ts'
import type { AuthorityRoot, NodeProgress, RootBridge, Rotation } from './rotation-state.ts'

/** A member of the cluster, as far as a rotation is concerned. */
export interface RotationMember {
  readonly nodeId: string
  /** Whether it has a session now: who has none is not asked, and hears of the rotation when it comes back. */
  readonly reachable: boolean
}

/** How the issuing side fares, as measured by the host. */
export interface IssuingLoad {
  /** How long a request takes from arrival to certificate, as a high percentile of the last batch, in milliseconds. */
  readonly issueLatencyMs: number
  /** Requests that wait to be signed. */
  readonly queueDepth: number
}

/** Under which root a node was seen to present a certificate. Made by {@link observePresented}, which proves it. */
export interface RootObservation {
  readonly nodeId: string
  /** {@link rootIdOf} of the root. */
  readonly rootId: string
  /** Last instant of the presented certificate, epoch milliseconds. */
  readonly notAfter: number
}

/** What may be asked of a root rotation. Instants are epoch milliseconds. */
export type RotationCommand =
  /** Sets pace and policies; nothing else changes. May be sent again at any time to change them. */
  | { readonly type: 'plan-rotation'; readonly policy: RotationPolicy; readonly now: number }
  /**
   * Brings the new root. From then on all are to trust both. During a rotation this sets another target. `crossSigned` must have been proven by
   * {@link verifyCrossSigned} against the root in force, which is always the one that signs it.
   */
  | {
      readonly type: 'start-rotation'
      readonly root: AuthorityRoot
      readonly crossSigned: string
      readonly now: number
    }
  /** From now on the new root issues. */
  | { readonly type: 'begin-reissue'; readonly now: number }
  /** Chooses the nodes that are asked next. All members are passed, each time: as a list, which is walked, or from a {@link RotationRoster}. */
  | {
      readonly type: 'next-batch'
      readonly members: readonly RotationMember[] | RotationMembers
      readonly load: IssuingLoad
      readonly now: number
    }
  /** Nodes were seen with certificates; many at once make one event. */
  | { readonly type: 'observe'; readonly nodes: readonly RootObservation[]; readonly now: number }
  /** Gives the new root up. The old one was in force all the time. */
  | { readonly type: 'abort-rotation'; readonly now: number }
  /** Ends the trust in the old root, and its key. Passed all members, of whom none may be behind. */
  | {
      readonly type: 'finish-rotation'
      readonly members: readonly string[] | RotationMembers
      readonly now: number
    }
  /** Ends the time in which tokens of the old root are good. */
  | { readonly type: 'close-rotation'; readonly now: number; readonly early?: true }

/** What happened in a root rotation. `rotation-started` and `rotation-restored` may hold a private key: keep them in a sealed log. */
export type RotationEvent =
  | { readonly type: 'rotation-planned'; readonly policy: RotationPolicy; readonly at: number }
  | {
      readonly type: 'rotation-started'
      readonly root: AuthorityRoot
      readonly rootId: string
      readonly crossSigned: string
      readonly at: number
    }
  | { readonly type: 'reissue-begun'; readonly at: number }
  /** These nodes are asked to renew, once this is durable. */
  | { readonly type: 'batch-asked'; readonly nodes: readonly string[]; readonly window: number; readonly at: number }
  | { readonly type: 'nodes-observed'; readonly nodes: readonly RootObservation[]; readonly at: number }
  | { readonly type: 'rotation-aborted'; readonly at: number }
  | {
      readonly type: 'rotation-finished'
      readonly at: number
      readonly bridgeUntil: number
      readonly tokensUntil: number
    }
  /** Everything is as it was before the rotation. */
  | { readonly type: 'rotation-reverted'; readonly at: number }
  | { readonly type: 'rotation-closed'; readonly at: number }
  /** In snapshots: the rotation without its nodes, which follow. */
  | {
      readonly type: 'rotation-restored'
      readonly aims: number
      readonly bridges: readonly RootBridge[]
      readonly rotation: Omit<Rotation, 'progress'> | null
    }
  /** In snapshots. */
  | { readonly type: 'rotation-nodes-restored'; readonly nodes: readonly NodeProgress[] }
