import { parseCertificate } from '../certificate/certificate.ts'
import { lookUp } from '../sharded-map.ts'
import { rootIdOf } from './root-id.ts'
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
  mayAnswer(rotation, lastAsked(rotation, node), now)

/** Whether who was asked then may still be about to answer. */
export const mayAnswer = (rotation: Rotation, asked: number, now: number): boolean =>
  now < asked + rotation.policy.retryMs

/** Whether the node has presented a certificate under the present aim since that is the aim. */
export const hasCome = (rotation: Rotation, aim: string, node: NodeProgress): boolean =>
  node.presents === aim && node.presentedFor === rotation.aim

/** Whether nodes are asked at all in this phase. */
export const asksNodes = (rotation: Rotation): boolean =>
  rotation.phase === 'reissuing' || rotation.phase === 'reverting'

/** When the node was asked for the present aim. Who was not comes before everybody who was. */
export const lastAsked = (rotation: Rotation, node: NodeProgress): number =>
  node.askedFor === rotation.aim && node.askedAt !== null ? node.askedAt : Number.NEGATIVE_INFINITY
