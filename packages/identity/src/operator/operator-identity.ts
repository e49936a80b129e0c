import { COMMON_NAME, type DistinguishedName, ORGANIZATION, ORGANIZATIONAL_UNIT } from '../certificate/name.ts'
import { PRINTABLE_STRING, SET } from '../der/tags.ts'
import { encodeElement, encodeOid, encodeSequence, encodeText } from '../der/writer.ts'
import { IdentityError } from '../errors.ts'
import { type ClusterId, type NodeId, parseClusterId, parseNodeId } from '../membership/node-identity.ts'

/** Whom an operator certificate speaks for: `O=cluster, OU=leastwise-operator, CN=operator`. */
export interface OperatorSubject {
  readonly clusterId: ClusterId
  /** Of the form of a node id, and drawn like one, so that evictions and lists treat both alike. */
  readonly operatorId: NodeId
}

/**
 * The organizational unit of operators. It is no role of Docker Swarm, so that its managers and ours give it no right of a node.
 */
export const OPERATOR_UNIT = 'leastwise-operator'

const invalid = (): IdentityError =>
  new IdentityError(
    'PEER_SUBJECT_INVALID',
    'subject is not exactly a cluster, the unit of operators and an operator; use a certificate that was issued to an operator',
  )

/**
 * Reads the subject of an operator certificate: exactly one `O`, one `OU` and one `CN` in this order, and nothing else.
 *
 * @throws {@link IdentityError} `PEER_SUBJECT_INVALID` for any other subject, also that of a node.
 */
export function parseOperatorSubject(name: DistinguishedName): OperatorSubject {
  const [organization, unit, common, ...more] = name.attributes
  const shaped =
    organization?.type === ORGANIZATION &&
    unit?.type === ORGANIZATIONAL_UNIT &&
    unit.value === OPERATOR_UNIT &&
    common?.type === COMMON_NAME &&
    more.length === 0
  if (!shaped) throw invalid()
  try {
    return { clusterId: parseClusterId(organization.value), operatorId: parseNodeId(common.value) }
  } catch {
    throw invalid()
  }
}

const attribute = (type: string, value: string): Uint8Array =>
  encodeElement(SET, encodeSequence(encodeOid(type), encodeText(PRINTABLE_STRING, value)))

/** The DER Name of an operator. */
export const encodeOperatorSubject = ({ clusterId, operatorId }: OperatorSubject): Uint8Array<ArrayBuffer> =>
  encodeSequence(
    attribute(ORGANIZATION, clusterId),
    attribute(ORGANIZATIONAL_UNIT, OPERATOR_UNIT),
    attribute(COMMON_NAME, operatorId),
  )
