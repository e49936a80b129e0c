import { isZone, type Zone } from '../zone.ts'
import { type NodeSubject, roleName } from './node-identity.ts'

/** A manager also answers for the name under which nodes without a certificate look for the CA. */
export const CA_NAME = 'swarm-ca'

/** What stands behind the node id in its DNS name where an issuer is bound to cluster and zone: `.cluster` or `.zone.cluster`. */
export const nodeDomain = (clusterId: string, zone?: Zone): string =>
  zone === undefined ? `.${clusterId}` : `.${zone}.${clusterId}`

/** The DNS names of a node: role, node id with its domain, and the name of the CA for a manager. */
export const nodeNames = (subject: NodeSubject, domain: string): readonly string[] => [
  roleName(subject.role),
  subject.nodeId + domain,
  ...(subject.role === 'manager' ? [CA_NAME] : []),
]

/** What the DNS names of a certificate say beyond its subject. */
export interface NamedDomain {
  /** Whether the name of the node has cluster and zone in it, so that constraints on names reach them. */
  readonly qualified: boolean
  readonly zone: Zone | null
}

/** Reads the domain from names that are exactly those of {@link nodeNames} for this subject; `null` for any others. */
export function readNodeNames(names: readonly string[], subject: NodeSubject): NamedDomain | null {
  const [role, name = '', ca] = names
  if (role !== roleName(subject.role) || names.length !== (subject.role === 'manager' ? 3 : 2)) return null
  if (subject.role === 'manager' && ca !== CA_NAME) return null
  if (!name.startsWith(subject.nodeId)) return null
  const domain = name.slice(subject.nodeId.length)
  if (domain === '') return { qualified: false, zone: null }
  const end = `.${subject.clusterId}`
  if (!domain.endsWith(end)) return null
  const between = domain.slice(0, -end.length)
  if (between === '') return { qualified: true, zone: null }
  const zone = between.slice(1)
  return between.startsWith('.') && isZone(zone) ? { qualified: true, zone } : null
}
