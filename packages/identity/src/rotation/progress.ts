import { parseCertificate } from '../certificate.ts'
import { lookUp } from '../sharded-map.ts'
import { rootIdOf } from './root-id.ts'
import type { RotationMember } from './rotation-messages.ts'
import type { AuthorityRoot, NodeProgress, Rotation } from './rotation-state.ts'

/** The root that nodes are to come to. */
export const aimOf = (rotation: Rotation, current: AuthorityRoot): string =>
  rotation.target?.rootId ?? rootIdOf(parseCertificate(current.certificate))

/** What is known of a node. */
export const progressOf = (rotation: Rotation, nodeId: string): NodeProgress =>
  lookUp(rotation.progress, nodeId) ?? {
    nodeId,
    presents: null,
    presentedFor: 0,
    presentedAt: null,
    askedFor: 0,
    askedAt: null,
    asks: 0,
  }

/** Whether the node was asked for the present aim, and may still be about to answer. */
export const isUnderWay = (rotation: Rotation, node: NodeProgress, now: number): boolean =>
  node.askedFor === rotation.aim && node.askedAt !== null && now < node.askedAt + rotation.policy.retryMs

/** Whether the node has presented a certificate under the present aim since that is the aim. */
export const hasCome = (rotation: Rotation, aim: string, node: NodeProgress): boolean =>
  node.presents === aim && node.presentedFor === rotation.aim

/** Whether nodes are asked at all in this phase. */
export const asksNodes = (rotation: Rotation): boolean =>
  rotation.phase === 'reissuing' || rotation.phase === 'reverting'

/** Members that have not presented a certificate under the aim, in the order of `members`. */
export function membersBehind(
  rotation: Rotation,
  aim: string,
  members: readonly RotationMember[],
): readonly (NodeProgress & { readonly reachable: boolean })[] {
  const behind: (NodeProgress & { readonly reachable: boolean })[] = []
  for (const { nodeId, reachable } of members) {
    const node = progressOf(rotation, nodeId)
    if (!hasCome(rotation, aim, node)) behind.push({ ...node, reachable })
  }
  return behind
}
