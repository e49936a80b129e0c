import { hasCome, isUnderWay, lastAsked, progressOf } from './progress.ts'
import type { RotationMember } from './rotation-messages.ts'
import type { NodeProgress, Rotation } from './rotation-state.ts'

/** A member that has not presented a certificate under the aim. */
export type MemberBehind = NodeProgress & { readonly reachable: boolean }

/** The members that have not presented a certificate under the aim, at an instant. To be asked at once: it holds until something changes. */
export interface MembersBehind {
  readonly count: number
  /** Those who were asked and may still be about to answer, whether they can be reached or not. */
  readonly underWay: number
  /** Whom to ask next, so many at most: of those that can be reached and are not under way who was never asked, then who was asked longest ago. */
  readonly next: (most: number) => readonly string[]
  /** Each of them, in the order of the members. */
  readonly list: () => readonly MemberBehind[]
}

/** All members of a cluster, as a rotation wants to know them. */
export interface RotationMembers {
  /** How many there are. */
  readonly size: number
  readonly behind: (rotation: Rotation, aim: string, now: number) => MembersBehind
}

/** Members as they were given. */
export const membersOf = (given: readonly RotationMember[] | RotationMembers): RotationMembers =>
  'behind' in given ? given : memberList(given)

/** A list, all of which is walked each time. */
export const memberList = (members: readonly RotationMember[]): RotationMembers => ({
  size: members.length,
  behind: (rotation, aim, now) => {
    const behind: MemberBehind[] = []
    for (const { nodeId, reachable } of members) {
      const node = progressOf(rotation, nodeId)
      if (!hasCome(rotation, aim, node)) behind.push({ ...node, reachable })
    }
    return {
      count: behind.length,
      underWay: behind.filter((node) => isUnderWay(rotation, node, now)).length,
      next: (most) =>
        behind
          .filter((node) => node.reachable && !isUnderWay(rotation, node, now))
          .sort((a, b) => inTurn(lastAsked(rotation, a), lastAsked(rotation, b)))
          .slice(0, most)
          .map(({ nodeId }) => nodeId),
      list: () => behind,
    }
  },
})

/** By the instant at which they were asked; not by a difference, which of two that were never asked is no number. */
export const inTurn = (a: number, b: number): number => (a < b ? -1 : a > b ? 1 : 0)
