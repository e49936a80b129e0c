import type { FoundedAuthority } from './founded.ts'
import { type MembersBehind, membersOf, type RotationMembers } from './members-behind.ts'
import type { RotationPolicy } from './policy.ts'
import { aimOf, asksNodes, isUnderWay } from './progress.ts'
import type { RotationMember } from './rotation-messages.ts'
import type { NodeProgress, Rotation } from './rotation-state.ts'

/**
 * Why a member is behind.
 *
 * - `offline`: it has no session; it hears of the rotation when it comes back.
 *
 * - `waiting`: its turn has not come.
 *
 * - `asked`: it was asked a short while ago.
 *
 * - `silent`: it was asked, is there, and still shows its old certificate.
 */
export type StragglerReason = 'offline' | 'waiting' | 'asked' | 'silent'

/** A member that has not come over. Instants are epoch milliseconds. */
export interface Straggler {
  readonly nodeId: string
  readonly reason: StragglerReason
  /** Root id under which it last presented a certificate since the rotation began; `null` if it did not. */
  readonly presents: string | null
  readonly askedAt: number | null
  /** How often it was asked. */
  readonly asks: number
  /** From when on it is to be evicted; `null` when the policy is to wait. */
  readonly evictAt: number | null
}

/** When members that are behind are to be evicted; `null` when they are waited for, or nobody is asked yet. */
export function evictionDeadline(rotation: Rotation): number | null {
  const { stragglers } = rotation.policy
  // Going back needs no eviction: the root in force vouches for those that are behind, too.
  const counts = rotation.phase === 'reissuing' && stragglers.mode === 'evict' && rotation.reissuingSince !== null
  return counts ? rotation.reissuingSince + stragglers.afterMs : null
}

function reasonOf(
  rotation: Rotation,
  node: NodeProgress & { readonly reachable: boolean },
  now: number,
): StragglerReason {
  if (!node.reachable) return 'offline'
  if (node.askedFor !== rotation.aim || node.askedAt === null) return 'waiting'
  return isUnderWay(rotation, node, now) ? 'asked' : 'silent'
}

const behindIn = (
  { rotation, roots }: FoundedAuthority,
  members: readonly RotationMember[] | RotationMembers,
  now: number,
): MembersBehind | null =>
  rotation !== null && asksNodes(rotation) ? membersOf(members).behind(rotation, aimOf(rotation, roots[0]), now) : null

/** How many members have not presented a certificate under the root that nodes are to come to; 0 when no rotation asks nodes. */
export const countBehind = (
  state: FoundedAuthority,
  members: readonly RotationMember[] | RotationMembers,
  now: number,
): number => behindIn(state, members, now)?.count ?? 0

/** The members that have not presented a certificate under the root that nodes are to come to, each with the reason; none when no rotation asks nodes. */
export function stragglersOf(
  state: FoundedAuthority,
  members: readonly RotationMember[] | RotationMembers,
  now: number,
): readonly Straggler[] {
  const { rotation } = state
  const behind = behindIn(state, members, now)
  if (rotation === null || behind === null) return []
  const evictAt = evictionDeadline(rotation)
  return behind.list().map((node) => {
    const asked = node.askedFor === rotation.aim
    return {
      nodeId: node.nodeId,
      reason: reasonOf(rotation, node, now),
      presents: node.presents,
      askedAt: asked ? node.askedAt : null,
      asks: asked ? node.asks : 0,
      evictAt,
    }
  })
}

/** More are behind at the deadline than the policy lets evictions hit: then something else is wrong, and somebody should look. */
export const areTooMany = (behind: number, members: number, { maxEvictPercent }: RotationPolicy): boolean =>
  behind * 100 > members * maxEvictPercent

/** Is there, and was never given the time that an answer takes: the managers may have been away until the deadline. */
const hadNoTurn = ({ reason, asks }: Straggler): boolean => reason === 'waiting' || (reason === 'asked' && asks === 1)

/**
 * The members whom the policy wants evicted now. None before the deadline, none that is there and was not asked for `retryMs`, and none at all while
 * more members are behind than the policy lets evictions hit.
 */
export function evictionsDue(
  state: FoundedAuthority,
  members: readonly RotationMember[] | RotationMembers,
  now: number,
): readonly string[] {
  const { rotation } = state
  const deadline = rotation === null ? null : evictionDeadline(rotation)
  if (rotation === null || deadline === null || now < deadline) return []
  if (areTooMany(countBehind(state, members, now), membersOf(members).size, rotation.policy)) return []
  return stragglersOf(state, members, now)
    .filter((straggler) => !hadNoTurn(straggler))
    .map(({ nodeId }) => nodeId)
}
