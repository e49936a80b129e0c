import { COMMON_NAME, type DistinguishedName, ORGANIZATION, ORGANIZATIONAL_UNIT } from '../certificate/name.ts'
import { PRINTABLE_STRING, SET } from '../der/tags.ts'
import { encodeElement, encodeOid, encodeSequence, encodeText } from '../der/writer.ts'
import { IdentityError } from '../errors.ts'

declare const nodeId: unique symbol
declare const clusterId: unique symbol

/** 25 characters of `0-9a-z`. Only {@link parseNodeId} makes one. */
export type NodeId = string & { readonly [nodeId]: true }

/** 25 characters of `0-9a-z`, with `FIPS.` before them in a FIPS cluster of Docker. Only {@link parseClusterId} makes one. */
export type ClusterId = string & { readonly [clusterId]: true }

/** What a node is there for. */
export type Role = 'worker' | 'manager'

/** Whom a node certificate speaks for: `O=cluster, OU=role, CN=node` (Docker Swarm). */
export interface NodeSubject {
  readonly clusterId: ClusterId
  readonly role: Role
  readonly nodeId: NodeId
}

const NODE_ID = /^[0-9a-z]{25}$/u
const CLUSTER_ID = /^(?:FIPS\.)?[0-9a-z]{25}$/u

export const isNodeId = (text: string): text is NodeId => NODE_ID.test(text)

/**
 * Reads a node id.
 *
 * @throws {@link IdentityError} `NODE_ID_MALFORMED` if it is not 25 characters of `0-9a-z`.
 */
export function parseNodeId(text: string): NodeId {
  if (!NODE_ID.test(text))
    throw new IdentityError(
      'NODE_ID_MALFORMED',
      'node id is not 25 characters of 0-9 and a-z; pass the id as it was issued',
    )
  return text as NodeId
}

/**
 * Reads a cluster id.
 *
 * @throws {@link IdentityError} `CLUSTER_ID_MALFORMED` if it is not 25 characters of `0-9a-z`, with or without `FIPS.` before them.
 */
export function parseClusterId(text: string): ClusterId {
  if (!CLUSTER_ID.test(text)) {
    throw new IdentityError(
      'CLUSTER_ID_MALFORMED',
      'cluster id is not 25 characters of 0-9 and a-z; pass the id as it was made',
    )
  }
  return text as ClusterId
}

/** The organizational unit and first DNS name of a role, as Docker spells it. */
export const roleName = (role: Role): 'swarm-worker' | 'swarm-manager' => `swarm-${role}`

const WORKER = roleName('worker')
const MANAGER = roleName('manager')

/**
 * Reads the subject of a node certificate: exactly one `O`, one `OU` and one `CN` in this order, and nothing else.
 *
 * A second `OU` or `CN` would let two readers see two nodes in one certificate.
 *
 * @throws {@link IdentityError} `PEER_SUBJECT_INVALID` for any other shape, role or id.
 */
export function parseNodeSubject(name: DistinguishedName): NodeSubject {
  const { attributes } = name
  const organization = attributes[0]
  const unit = attributes[1]
  const common = attributes[2]
  const shaped =
    attributes.length === 3 &&
    organization?.type === ORGANIZATION &&
    unit?.type === ORGANIZATIONAL_UNIT &&
    common?.type === COMMON_NAME
  if (!shaped) {
    throw new IdentityError(
      'PEER_SUBJECT_INVALID',
      'subject is not exactly one O, one OU and one CN; use a certificate that the cluster issued to a node',
    )
  }
  const role = unit.value === WORKER ? 'worker' : unit.value === MANAGER ? 'manager' : null
  if (role === null || !CLUSTER_ID.test(organization.value) || !NODE_ID.test(common.value)) {
    throw new IdentityError(
      'PEER_SUBJECT_INVALID',
      'subject names no cluster, role and node of their forms; use a certificate that the cluster issued to a node',
    )
  }
  return { clusterId: organization.value as ClusterId, role, nodeId: common.value as NodeId }
}

const O = encodeOid(ORGANIZATION)
const OU = encodeOid(ORGANIZATIONAL_UNIT)
const CN = encodeOid(COMMON_NAME)

const attribute = (type: Uint8Array, value: string): Uint8Array =>
  encodeElement(SET, encodeSequence(type, encodeText(PRINTABLE_STRING, value)))

/** The DER Name of a node, in printable strings as Docker's managers write it. */
export function encodeNodeSubject(subject: NodeSubject): Uint8Array<ArrayBuffer> {
  return encodeSequence(
    attribute(O, subject.clusterId),
    attribute(OU, roleName(subject.role)),
    attribute(CN, subject.nodeId),
  )
}

/** The same name as {@link encodeNodeSubject}, as it is read. */
export const nodeName = (subject: NodeSubject): DistinguishedName => ({
  der: encodeNodeSubject(subject),
  attributes: [
    { type: ORGANIZATION, value: subject.clusterId },
    { type: ORGANIZATIONAL_UNIT, value: roleName(subject.role) },
    { type: COMMON_NAME, value: subject.nodeId },
  ],
})
