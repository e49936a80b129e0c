import { type NodeSubject, roleName } from '../node-identity.ts'

// A manager also answers for the name under which nodes without a certificate look for the CA.
const CA_NAME = 'swarm-ca'

/** The DNS names that a node's certificate has, in the order of Docker Swarm. */
export const nodeNames = (subject: NodeSubject): readonly string[] => [
  roleName(subject.role),
  subject.nodeId,
  ...(subject.role === 'manager' ? [CA_NAME] : []),
]
