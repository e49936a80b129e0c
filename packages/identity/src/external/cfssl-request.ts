import { encodeBase64 } from '../base64.ts'
import { formatHex } from '../bytes.ts'
import type { Certificate } from '../certificate/certificate.ts'
import { BASIC_CONSTRAINTS } from '../certificate/extensions.ts'
import { COMMON_NAME, ORGANIZATION, ORGANIZATIONAL_UNIT } from '../certificate/name.ts'
import type { Validity } from '../certificate/validity.ts'
import { encodeSequence, encodeUnsigned, TRUE } from '../der/writer.ts'
import { IdentityError } from '../errors.ts'
import type { Csr } from '../issuing/csr.ts'
import type { Grant } from '../issuing/issue.ts'
import { roleName } from '../membership/node-identity.ts'
import { type OperatorGrant, operatorValidity } from '../operator/issue-operator.ts'
import { OPERATOR_UNIT } from '../operator/operator-identity.ts'
import { askedValidity } from './asked-validity.ts'
import { nodeNames } from './node-names.ts'

/** Which of its ways to sign an external CA shall use. */
export interface CfsslRequestOptions {
  /** The present, epoch milliseconds. */
  readonly now: number
  /** A name in the external CA's configuration; empty for its default, as Docker Swarm asks. */
  readonly profile?: string
  /** Which of several keys, where the external CA has several. */
  readonly label?: string
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()
const base64 = (bytes: Uint8Array): string => decoder.decode(encodeBase64(bytes))

const encodeJson = (value: unknown): Uint8Array<ArrayBuffer> => encoder.encode(JSON.stringify(value))

// A signer takes its times from the request if it can, and a stock one from its profile: the answer is checked either way.
const times = ({ notBefore, notAfter }: Validity): Readonly<Record<'NotBefore' | 'NotAfter', string>> => ({
  NotBefore: new Date(notBefore).toISOString().replace('.000', ''),
  NotAfter: new Date(notAfter).toISOString().replace('.000', ''),
})

/**
 * The body that asks for a node's certificate, in the form in which Docker Swarm asks: the request for its public key, and subject and names
 * as the grant says, which take the place of what the request says.
 *
 * @throws {@link IdentityError} `LIFETIME_TOO_SHORT` if the grant is below the least lifetime.
 * @throws RangeError if a duration or instant is not a sensible number.
 */
export function encodeCfsslRequest(csr: Csr, grant: Grant, options: CfsslRequestOptions): Uint8Array<ArrayBuffer> {
  const hosts = [...nodeNames(grant), ...(grant.spiffeId === undefined ? [] : [grant.spiffeId])]
  const asked = { hosts, CN: grant.nodeId, O: grant.clusterId, OU: roleName(grant.role) }
  return encodeLeafRequest(csr, asked, askedValidity(grant, options.now), options)
}

/**
 * The body that asks for an operator's certificate: no names, and a profile of its own, since an operator is a client and nothing else.
 *
 * @throws RangeError if the lifetime is none of an operator.
 */
export function encodeOperatorRequest(
  csr: Csr,
  grant: OperatorGrant,
  options: CfsslRequestOptions,
): Uint8Array<ArrayBuffer> {
  const asked = { hosts: [], CN: grant.operatorId, O: grant.clusterId, OU: OPERATOR_UNIT }
  return encodeLeafRequest(csr, asked, operatorValidity(grant, options.now), options)
}

interface AskedLeaf {
  readonly hosts: readonly string[]
  readonly CN: string
  readonly O: string
  readonly OU: string
}

const encodeLeafRequest = (
  csr: Csr,
  { hosts, CN, O, OU }: AskedLeaf,
  validity: Validity,
  { profile = '', label = '' }: CfsslRequestOptions,
): Uint8Array<ArrayBuffer> =>
  encodeJson({
    hosts,
    certificate_request: csr.pem,
    subject: { CN, names: [{ O, OU }], SerialNumber: '' },
    profile,
    crl_override: '',
    label,
    ...times(validity),
  })

// What a subject of the protocol has fields for.
const FIELDS: ReadonlyMap<string, string> = new Map([
  ['2.5.4.6', 'C'],
  ['2.5.4.8', 'ST'],
  ['2.5.4.7', 'L'],
  [ORGANIZATION, 'O'],
  [ORGANIZATIONAL_UNIT, 'OU'],
])

/**
 * The body that asks the external CA of the old root to sign the new root's key and name once more, as an intermediate (Docker Swarm): the profile for
 * CAs, and the constraints of a CA spelled out for a signer that takes them from the request.
 *
 * @param csrPem - Signed with the key of the new root.
 * @throws {@link IdentityError} `AUTHORITY_UNFIT` if the root's subject is not one common name with country, state, place, organizations and units.
 */
export function encodeCrossSignRequest(
  root: Certificate,
  csrPem: string,
  options: Pick<CfsslRequestOptions, 'profile' | 'label'> = {},
): Uint8Array<ArrayBuffer> {
  const common = root.subject.attributes.filter(({ type }) => type === COMMON_NAME)
  const others = root.subject.attributes.filter(({ type }) => type !== COMMON_NAME)
  if (common.length !== 1 || others.some(({ type }) => !FIELDS.has(type))) {
    throw new IdentityError(
      'AUTHORITY_UNFIT',
      'subject of the new root cannot be asked for from an external ca; make a root with one common name, organization and unit at most beside it',
    )
  }
  const pathLength = root.pathLength === null ? [] : [encodeUnsigned(Uint8Array.of(root.pathLength))]
  const constraints = formatHex(encodeSequence(TRUE, ...pathLength))
  return encodeJson({
    hosts: [],
    certificate_request: csrPem,
    subject: {
      CN: common[0]?.value,
      names: others.map(({ type, value }) => ({ [FIELDS.get(type) ?? '']: value })),
      SerialNumber: '',
    },
    profile: options.profile ?? 'CA',
    crl_override: '',
    label: options.label ?? '',
    extensions: [{ id: BASIC_CONSTRAINTS, critical: true, value: constraints }],
    ...times(root),
  })
}

/** Puts a body and its token together for the endpoint that authenticates each request. */
export function encodeAuthenticatedRequest(request: Uint8Array, token: Uint8Array): Uint8Array<ArrayBuffer> {
  return encodeJson({ token: base64(token), request: base64(request) })
}
