import type { LeafSubject } from '../issuing/leaf-template.ts'
import { nodeNames as namesIn, nodeDomain } from '../membership/node-names.ts'

/** The DNS names that a node's certificate has, in the order of Docker Swarm; with a zone, the node id has its domain behind it. */
export const nodeNames = (subject: LeafSubject): readonly string[] =>
  namesIn(subject, subject.zone === undefined ? '' : nodeDomain(subject.clusterId, subject.zone))
