import type { Membership } from '../membership/membership-state.ts'
import type { NodeRecord } from '../membership/node-record.ts'
import { changedKeys, emptyShardedMap, lookUp, type ShardedMap } from '../sharded-map.ts'
import { createSortedSet } from '../sorted-set.ts'
import { inTurn, type MembersBehind, type RotationMembers } from './members-behind.ts'
import { hasCome, lastAsked, mayAnswer, progressOf } from './progress.ts'
import type { NodeProgress, Rotation } from './rotation-state.ts'

/** What a roster goes by besides the state. */
export interface RosterOptions {
  /** Whether the node has a session now. Asked when it may be its turn, so it may change at any time. */
  readonly isReachable: (nodeId: string) => boolean
}

/**
 * Remembers who of the members is behind in a rotation, from one question to the next, and looks only at nodes of which something has changed since: a step over ten
 * thousand members costs what it asks and hears, not ten thousand looks.
 *
 * It holds nothing that the states do not say, so a fresh one after a restart answers the same; and any state may be asked about, also an earlier one. Only the first
 * question after a change of the aim looks at all members.
 */
export interface RotationRoster {
  /** The members of this state: for `next-batch`, `finish-rotation`, {@link stragglersOf}, {@link evictionsDue} and {@link countBehind}. */
  readonly of: (membership: Membership) => RotationMembers
}

/** When it is a node's turn. */
interface Turn {
  readonly nodeId: string
  readonly asked: number
  readonly admittedAt: number
}

/** The oldest member first, as members are listed. */
const byAge = (a: Turn, b: Turn): number =>
  a.admittedAt - b.admittedAt || (a.nodeId < b.nodeId ? -1 : a.nodeId > b.nodeId ? 1 : 0)

/** A roster for one cluster, in memory alone. */
export function createRotationRoster({ isReachable }: RosterOptions): RotationRoster {
  const turns = new Map<string, Turn>()
  const order = createSortedSet<Turn>((a, b) => inTurn(a.asked, b.asked) || byAge(a, b))
  // What `turns` and `order` were made from.
  let goal = ''
  let nodes: ShardedMap<NodeRecord> = emptyShardedMap()
  let progress: ShardedMap<NodeProgress> = emptyShardedMap()

  const place = (nodeId: string, rotation: Rotation, aim: string): void => {
    const member = lookUp(nodes, nodeId)
    const node = progressOf(rotation, nodeId)
    const known = turns.get(nodeId)
    const turn =
      member === null || hasCome(rotation, aim, node)
        ? undefined
        : { nodeId, asked: lastAsked(rotation, node), admittedAt: member.admittedAt }
    if (known?.asked === turn?.asked && known?.admittedAt === turn?.admittedAt) return
    if (known !== undefined) order.remove(known)
    turns.delete(nodeId)
    if (turn === undefined) return
    turns.set(nodeId, turn)
    order.add(turn)
  }

  const follow = (membership: Membership, rotation: Rotation, aim: string): void => {
    const wanted = `${rotation.aim} ${aim}`
    if (wanted !== goal) {
      turns.clear()
      order.clear()
      nodes = emptyShardedMap()
      progress = emptyShardedMap()
    }
    const before = { nodes, progress }
    goal = wanted
    nodes = membership.nodes
    progress = rotation.progress
    for (const nodeId of changedKeys(before.nodes, nodes)) place(nodeId, rotation, aim)
    for (const nodeId of changedKeys(before.progress, progress)) place(nodeId, rotation, aim)
  }

  const behind = (rotation: Rotation, now: number): MembersBehind => ({
    count: order.size(),
    underWay: order.countLast(({ asked }) => mayAnswer(rotation, asked, now)),
    next: (most) => {
      const next: string[] = []
      if (most === 0) return next
      for (const { nodeId, asked } of order.values()) {
        // Those after it were asked even later.
        if (mayAnswer(rotation, asked, now)) break
        if (isReachable(nodeId)) next.push(nodeId)
        if (next.length === most) break
      }
      return next
    },
    list: () =>
      [...order.values()]
        .sort(byAge)
        .map(({ nodeId }) => ({ ...progressOf(rotation, nodeId), reachable: isReachable(nodeId) })),
  })

  return {
    of: (membership) => ({
      size: membership.nodes.size,
      behind: (rotation, aim, now) => {
        follow(membership, rotation, aim)
        return behind(rotation, now)
      },
    }),
  }
}
