import { DNS_NAME, EMAIL, IP_ADDRESS, URI } from '../certificate/alt-names.ts'
import {
  AUTHORITY_KEY_ID,
  BASIC_CONSTRAINTS,
  CLIENT_AUTH,
  EXT_KEY_USAGE,
  KEY_USAGE,
  NAME_CONSTRAINTS,
  SERVER_AUTH,
  SUBJECT_KEY_ID,
} from '../certificate/extensions.ts'
import { COMMON_NAME, ORGANIZATION, ORGANIZATIONAL_UNIT } from '../certificate/name.ts'
import type { Validity } from '../certificate/validity.ts'
import { BIT_STRING, explicit, implicit, PRINTABLE_STRING, SET } from '../der/tags.ts'
import {
  encodeElement,
  encodeOctets,
  encodeOid,
  encodeSequence,
  encodeText,
  encodeTime,
  encodeUnsigned,
  TRUE,
} from '../der/writer.ts'
import { encodeCritical, encodeExtension } from '../issuing/leaf-profile.ts'
import { type ClusterId, type NodeId, type Role, roleName } from '../membership/node-identity.ts'
import { CA_NAME, nodeDomain } from '../membership/node-names.ts'
import type { TrustDomain } from '../spiffe/spiffe-id.ts'
import type { Zone } from '../zone.ts'

/** The organizational unit of an issuing intermediate: no role of a node, so that it is nobody's identity. */
export const INTERMEDIATE_UNIT = 'swarm-issuer'

// RFC 6761 section 6.4: never a name of anything. A permitted subtree that nothing is in closes a kind of name, and every TLS library reads it.
const NOWHERE = 'invalid'

const VERSION_3 = encodeElement(explicit(0), encodeUnsigned(Uint8Array.of(2)))
// keyCertSign and cRLSign, bits 5 and 6, one unused: whoever may issue may also say what of that is over.
const SIGNS_CERTIFICATES = encodeElement(BIT_STRING, Uint8Array.of(1, 0x06))
// A CA below which there are leaves alone.
const NO_CA_BELOW = encodeSequence(TRUE, encodeUnsigned(Uint8Array.of(0)))
const USES = encodeSequence(encodeOid(SERVER_AUTH), encodeOid(CLIENT_AUTH))

/** To what an intermediate is bound. */
export interface IntermediateBounds {
  readonly clusterId: ClusterId
  readonly roles: readonly Role[]
  /** None for the whole cluster. */
  readonly zones: readonly Zone[]
  readonly trustDomain: TrustDomain | null
}

/** What an intermediate is made of. */
export interface IntermediateParts extends Validity, IntermediateBounds {
  readonly algorithmDer: Uint8Array
  readonly issuer: Uint8Array
  readonly issuerKeyId: Uint8Array
  readonly serial: Uint8Array
  readonly managerId: NodeId
  /** DER SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array
  readonly keyId: Uint8Array
}

const subtree = (base: Uint8Array): Uint8Array => encodeSequence(base)

/**
 * The names that leaves may have, in the kinds that OpenSSL and Go both understand (Go refuses the rest when it is critical): DNS names for role, cluster and zone; the host
 * of URIs for the trust domain; no mail addresses; no IP addresses.
 */
export function encodeNameConstraints({
  clusterId,
  roles,
  zones,
  trustDomain,
}: IntermediateBounds): Uint8Array<ArrayBuffer> {
  const domains = zones.length === 0 ? [nodeDomain(clusterId)] : zones.map((zone) => nodeDomain(clusterId, zone))
  const dns = [
    ...roles.map(roleName),
    ...(roles.includes('manager') ? [CA_NAME] : []),
    ...domains.map((domain) => domain.slice(1)),
  ]
  const permitted = [
    ...dns.map((name) => encodeText(DNS_NAME, name)),
    encodeElement(URI, new TextEncoder().encode(trustDomain ?? NOWHERE)),
    encodeText(EMAIL, NOWHERE),
  ]
  const everyAddress = [4, 16].map((size) => encodeElement(IP_ADDRESS, new Uint8Array(2 * size)))
  return encodeSequence(
    encodeElement(explicit(0), ...permitted.map(subtree)),
    encodeElement(explicit(1), ...everyAddress.map(subtree)),
  )
}

const attribute = (type: string, value: string): Uint8Array =>
  encodeElement(SET, encodeSequence(encodeOid(type), encodeText(PRINTABLE_STRING, value)))

/** The signed part of an intermediate (RFC 5280 section 4.1.1.1). */
export function encodeIntermediate(parts: IntermediateParts): Uint8Array<ArrayBuffer> {
  const { clusterId, managerId, keyId, issuerKeyId } = parts
  const subject = encodeSequence(
    attribute(ORGANIZATION, clusterId),
    attribute(ORGANIZATIONAL_UNIT, INTERMEDIATE_UNIT),
    attribute(COMMON_NAME, managerId),
  )
  const extensions = encodeSequence(
    encodeCritical(KEY_USAGE, SIGNS_CERTIFICATES),
    encodeExtension(EXT_KEY_USAGE, USES),
    encodeCritical(BASIC_CONSTRAINTS, NO_CA_BELOW),
    encodeExtension(SUBJECT_KEY_ID, encodeOctets(keyId)),
    encodeExtension(AUTHORITY_KEY_ID, encodeSequence(encodeElement(implicit(0), issuerKeyId))),
    encodeCritical(NAME_CONSTRAINTS, encodeNameConstraints(parts)),
  )
  return encodeSequence(
    VERSION_3,
    encodeUnsigned(parts.serial),
    parts.algorithmDer,
    parts.issuer,
    encodeSequence(encodeTime(parts.notBefore), encodeTime(parts.notAfter)),
    subject,
    parts.publicKey,
    encodeElement(explicit(3), extensions),
  )
}
