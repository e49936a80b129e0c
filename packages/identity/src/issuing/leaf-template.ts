import type { NodeKeyType } from '../algorithms.ts'
import type { AltName } from '../certificate/alt-names.ts'
import type { NameConstraints } from '../certificate/name-constraints.ts'
import { allocate } from '../certificate/page.ts'
import type { Validity } from '../certificate/validity.ts'
import { explicit, SEQUENCE } from '../der/tags.ts'
import {
  elementLength,
  encodeElement,
  encodeSequence,
  encodeTime,
  encodeUnsigned,
  writeBytes,
  writeHeader,
  writeText,
} from '../der/writer.ts'
import { IdentityError } from '../errors.ts'
import { encodeNodeSubject, type NodeSubject, nodeName } from '../membership/node-identity.ts'
import { nodeDomain, nodeNames } from '../membership/node-names.ts'
import type { SpiffeId } from '../spiffe/spiffe-id.ts'
import { isNamePermitted } from '../verifying/name-constraints-match.ts'
import type { Zone } from '../zone.ts'
import {
  CONSTANT_EXTENSIONS,
  encodeAltNames,
  encodeSubjectKeyId,
  KEY_USAGE_AT,
  lastAltNameLength,
  SIGNING_ALONE,
} from './leaf-profile.ts'

/** The parts of the signed part of every leaf of one authority, role and cluster, with room for what differs. */
export interface LeafTemplate {
  /** Version, serial number, algorithm and issuer. */
  readonly head: Uint8Array
  /** The subject; the node id is at its end. */
  readonly subject: Uint8Array
  /** The extensions. */
  readonly tail: Uint8Array
  readonly usageAt: number
  readonly keyIdAt: number
  readonly nodeNameAt: number
  /** The last one that was asked for: its times are whole seconds, so that many leaves in a row share it. */
  validity: EncodedValidity | null
}

interface EncodedValidity extends Validity {
  readonly der: Uint8Array
}

/** What the authority gives to a template. */
export interface IssuerParts {
  readonly algorithmDer: Uint8Array
  readonly authorityKeyId: Uint8Array
  readonly issuer: Uint8Array
  /** What the issuer's certificate lets its subjects be called. */
  readonly nameConstraints: NameConstraints | null
}

/** Whom the leaves of a template are for; any node of that role, cluster and zone. */
export interface LeafSubject extends NodeSubject {
  readonly zone?: Zone
}

/** What differs between leaves of one template. */
export interface LeafParts extends Validity {
  /** {@link SERIAL_BYTES} whose first is between 1 and 0x7f. */
  readonly serial: Uint8Array
  readonly nodeId: string
  /** DER SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array
  readonly keyType: NodeKeyType
  /** At least {@link KEY_ID_BYTES}; the first ones count. */
  readonly keyId: Uint8Array
}

export const SERIAL_BYTES = 20
export const KEY_ID_BYTES = 20
const NODE_ID_LENGTH = 25

const VERSION_3 = encodeElement(explicit(0), encodeUnsigned(Uint8Array.of(2)))
// The first byte of a serial number is not zero, so that its integer takes no zero before it.
const SERIAL = encodeUnsigned(new Uint8Array(SERIAL_BYTES).fill(1))
const SERIAL_AT = VERSION_3.length + SERIAL.length - SERIAL_BYTES

/**
 * Encodes what is the same in all leaves of one authority, role and cluster.
 *
 * @param subject - Any node of that role and cluster.
 * @param spiffeId - For one leaf alone, whose template then serves no other.
 * @throws {@link IdentityError} `GRANT_OUTSIDE_ISSUER` if the issuer is bound to other names.
 * @throws TypeError if the node id was not made by the parser of node ids.
 */
export function compileLeaf(parts: IssuerParts, subject: LeafSubject, spiffeId?: SpiffeId): LeafTemplate {
  checkNodeId(subject.nodeId)
  const bound = parts.nameConstraints !== null || subject.zone !== undefined
  const domain = bound ? nodeDomain(subject.clusterId, subject.zone) : ''
  checkGrant(parts.nameConstraints, subject, domain, spiffeId)
  const { algorithmDer, authorityKeyId, issuer } = parts
  const head = new Uint8Array(VERSION_3.length + SERIAL.length + algorithmDer.length + issuer.length)
  let at = writeBytes(head, 0, VERSION_3)
  at = writeBytes(head, at, SERIAL)
  at = writeBytes(head, at, algorithmDer)
  writeBytes(head, at, issuer)
  const keyId = encodeSubjectKeyId(new Uint8Array(KEY_ID_BYTES))
  const altNames = encodeAltNames(subject, domain, spiffeId)
  const tail = encodeElement(explicit(3), encodeSequence(CONSTANT_EXTENSIONS, keyId, authorityKeyId, altNames))
  const extensionsLength = CONSTANT_EXTENSIONS.length + keyId.length + authorityKeyId.length + altNames.length
  return {
    head,
    subject: encodeNodeSubject(subject),
    tail,
    usageAt: tail.length - extensionsLength + KEY_USAGE_AT,
    keyIdAt: tail.length - altNames.length - authorityKeyId.length - KEY_ID_BYTES,
    nodeNameAt: tail.length - lastAltNameLength(subject.role, domain) - NODE_ID_LENGTH,
    validity: null,
  }
}

function checkGrant(
  constraints: NameConstraints | null,
  subject: NodeSubject,
  domain: string,
  spiffeId?: SpiffeId,
): void {
  if (constraints === null) return
  const names: AltName[] = nodeNames(subject, domain).map((value) => ({ kind: 'dns', value }))
  if (spiffeId !== undefined) names.push({ kind: 'uri', value: spiffeId })
  names.push({ kind: 'directory', value: nodeName(subject) })
  if (names.every((name) => isNamePermitted(name, constraints))) return
  throw new IdentityError(
    'GRANT_OUTSIDE_ISSUER',
    'issuer is bound to other clusters, roles, zones or trust domains than the grant names; ask an issuer that may grant this',
  )
}

function checkNodeId(nodeId: string): void {
  if (nodeId.length !== NODE_ID_LENGTH) throw new TypeError('nodeId must be one that parseNodeId gave')
}

/**
 * The signed part of one leaf (RFC 5280 section 4.1.1.1), in bytes of its own.
 *
 * @throws TypeError if the node id was not made by the parser of node ids.
 */
export function encodeLeaf(template: LeafTemplate, parts: LeafParts): Uint8Array<ArrayBuffer> {
  checkNodeId(parts.nodeId)
  const { head, subject, tail } = template
  const validity = encodeValidity(template, parts)
  const length = head.length + validity.length + subject.length + parts.publicKey.length + tail.length
  const out = allocate(elementLength(length))
  const headAt = writeHeader(out, 0, SEQUENCE, length)
  let at = writeBytes(out, headAt, head)
  writeBytes(out, headAt + SERIAL_AT, parts.serial)
  at = writeBytes(out, at, validity)
  at = writeBytes(out, at, subject)
  writeText(out, at - NODE_ID_LENGTH, parts.nodeId)
  at = writeBytes(out, at, parts.publicKey)
  writeBytes(out, at, tail)
  if (parts.keyType === 'ed25519') writeBytes(out, at + template.usageAt, SIGNING_ALONE)
  for (let index = 0; index < KEY_ID_BYTES; index += 1) out[at + template.keyIdAt + index] = parts.keyId[index] ?? 0
  writeText(out, at + template.nodeNameAt, parts.nodeId)
  return out
}

function encodeValidity(template: LeafTemplate, { notBefore, notAfter }: Validity): Uint8Array {
  const last = template.validity
  if (last?.notBefore === notBefore && last.notAfter === notAfter) return last.der
  const der = encodeSequence(encodeTime(notBefore), encodeTime(notAfter))
  template.validity = { notBefore, notAfter, der }
  return der
}
