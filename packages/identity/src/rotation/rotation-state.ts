import type { ShardedMap } from '../sharded-map.ts'
import type { RotationPolicy } from './policy.ts'

/** A root of the cluster. */
export interface AuthorityRoot {
  /** PEM of the self-signed certificate. */
  readonly certificate: string
  /**
   * PKCS #8 DER, to be kept in a sealed log only; `null` when the key is somewhere else (an HSM, an external CA). The key is that of the first
   * of `intermediates` when there are some.
   */
  readonly privateKey: Uint8Array | null
  /** PEM, lowest first: what stands between the key and the root when an intermediate of somebody else's root was imported. */
  readonly intermediates?: readonly string[]
}

/** The root that a rotation leads to. */
export interface RotationTarget {
  readonly root: AuthorityRoot
  /** PEM of the new root's name and key, signed by the old root: what nodes present behind their leaf meanwhile. */
  readonly crossSigned: string
  /** {@link rootIdOf} of the new root. */
  readonly rootId: string
}

/** What is known of one node in a rotation. Instants are epoch milliseconds. */
export interface NodeProgress {
  readonly nodeId: string
  /** {@link rootIdOf} of the root under which it last presented a certificate; `null` before the first time. */
  readonly presents: string | null
  /** Number of the aim at that time: what was presented before counts for nothing afterwards. */
  readonly presentedFor: number
  readonly presentedAt: number | null
  /** Number of the aim for which it was last asked, when, and how often; a new aim starts anew. */
  readonly askedFor: number
  readonly askedAt: number | null
  readonly asks: number
}

/**
 * Where a rotation stands.
 *
 * - `planned`: pace and policies are set, nothing has changed yet.
 *
 * - `cross-signed`: the new root exists, all are to trust both, the old root still issues.
 *
 * - `reissuing`: the new root issues, nodes are asked in batches to renew.
 *
 * - `reverting`: the rotation was aborted after certificates were issued under the new root; the old root issues, and those nodes are asked to come back.
 *
 * - `finishing`: every member presented a certificate under the new root, which alone is trusted now; join tokens of the old root are still good.
 */
export type RotationPhase = 'planned' | 'cross-signed' | 'reissuing' | 'reverting' | 'finishing'

/** So many given-up targets are remembered: a rotation with more has another problem. */
export const MAX_GIVEN_UP = 16

/** A rotation under way. */
export interface Rotation {
  readonly phase: RotationPhase
  readonly policy: RotationPolicy
  readonly plannedAt: number
  /** `null` while it is only planned, and while it goes back. */
  readonly target: RotationTarget | null
  /** PEM of the roots that were the target and are not any more, after certificates were issued under them; the last {@link MAX_GIVEN_UP}. */
  readonly givenUp: readonly string[]
  /** Grows with each change of the aim: start, another target, going back. */
  readonly aim: number
  /** Whether any certificate can have been issued under a new root. */
  readonly hasReissued: boolean
  /** When nodes began to be asked for the present aim, epoch milliseconds. */
  readonly reissuingSince: number | null
  /** How many nodes may be under way at once now. */
  readonly window: number
  readonly progress: ShardedMap<NodeProgress>
  /** How many nodes have presented a certificate under the aim. */
  readonly converged: number
  /** Latest end of a certificate that was presented under the aim. */
  readonly latestNotAfter: number
  /** Until when join tokens of the old root are good; `null` before `finishing`. */
  readonly tokensUntil: number | null
}

/** A root that has gone, and the certificate by which nodes that still trust it alone can verify those of its successor. */
export interface RootBridge {
  /** PEM of the root that has gone. Its key is gone, too. */
  readonly certificate: string
  /** PEM of the successor's name and key, signed by it. */
  readonly crossSigned: string
  /** Presented until then, epoch milliseconds: no certificate that was issued before the end of the rotation lives longer. */
  readonly until: number
}
