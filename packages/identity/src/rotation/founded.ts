import type { ClusterId } from '../membership/node-identity.ts'
import type { AuthorityRoot, RootBridge, Rotation } from './rotation-state.ts'

interface Founded {
  readonly clusterId: ClusterId
  readonly foundedAt: number
  /** The root in force. While another one is being brought in, {@link trustBundleOf} has both. */
  readonly roots: readonly [AuthorityRoot]
  /** Lifetime of the node certificates that are issued from now on, in milliseconds. */
  readonly lifetimeMs: number
  /** How many aims rotations have had, ever: a number that no earlier root of this cluster had. */
  readonly aims: number
  /** Roots that have gone, the latest first, for nodes that have not heard of it yet. */
  readonly bridges: readonly RootBridge[]
}

/** The authority of a cluster that exists. */
export type FoundedAuthority =
  | (Founded & { readonly phase: 'stable'; readonly rotation: null })
  | (Founded & { readonly phase: 'rotating'; readonly rotation: Rotation })

/** The same authority with another rotation, or none. */
export function withRotation(state: FoundedAuthority, rotation: Rotation | null): FoundedAuthority {
  const { clusterId, foundedAt, roots, lifetimeMs, aims, bridges } = state
  const founded = { clusterId, foundedAt, roots, lifetimeMs, aims, bridges }
  return rotation === null ? { ...founded, phase: 'stable', rotation } : { ...founded, phase: 'rotating', rotation }
}
