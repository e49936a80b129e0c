import { DNS_NAME, URI } from '../certificate/alt-names.ts'
import {
  BASIC_CONSTRAINTS,
  CLIENT_AUTH,
  EXT_KEY_USAGE,
  KEY_USAGE,
  SERVER_AUTH,
  SUBJECT_ALT_NAME,
  SUBJECT_KEY_ID,
} from '../certificate/extensions.ts'
import { BIT_STRING } from '../der/tags.ts'
import { encodeElement, encodeOctets, encodeOid, encodeSequence, encodeText, TRUE } from '../der/writer.ts'
import type { NodeSubject, Role } from '../membership/node-identity.ts'
import { CA_NAME, nodeNames } from '../membership/node-names.ts'
import type { SpiffeId } from '../spiffe/spiffe-id.ts'

/** One extension that is not critical. */
export const encodeExtension = (type: string, value: Uint8Array): Uint8Array<ArrayBuffer> =>
  encodeSequence(encodeOid(type), encodeOctets(value))

/** One extension that must not be overlooked. */
export const encodeCritical = (type: string, value: Uint8Array): Uint8Array<ArrayBuffer> =>
  encodeSequence(encodeOid(type), TRUE, encodeOctets(value))

// digitalSignature and keyEncipherment, as Docker's leaves have them: bits 0 and 2, five unused.
const KEY_USAGE_BITS = encodeElement(BIT_STRING, Uint8Array.of(5, 0xa0))
const KEY_USAGE_EXTENSION = encodeCritical(KEY_USAGE, KEY_USAGE_BITS)

/** Where in {@link CONSTANT_EXTENSIONS} the bits of the key usage are, and how many of them do not count. */
export const KEY_USAGE_AT: number = KEY_USAGE_EXTENSION.length - 2
/** The bits for a key that cannot encipher: digitalSignature alone (RFC 9295 section 3). */
export const SIGNING_ALONE: Uint8Array = Uint8Array.of(7, 0x80)

const join = (...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> => {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

/** The extensions that every leaf has, ready to be put first: key usage, server and client authentication, no CA. */
export const CONSTANT_EXTENSIONS: Uint8Array<ArrayBuffer> = join(
  KEY_USAGE_EXTENSION,
  encodeExtension(EXT_KEY_USAGE, encodeSequence(encodeOid(SERVER_AUTH), encodeOid(CLIENT_AUTH))),
  encodeCritical(BASIC_CONSTRAINTS, encodeSequence()),
)

const ALT_NAME_TYPE = encodeOid(SUBJECT_ALT_NAME)
const KEY_ID_TYPE = encodeOid(SUBJECT_KEY_ID)

/** The leaf's own key identifier. */
export const encodeSubjectKeyId = (keyId: Uint8Array): Uint8Array<ArrayBuffer> =>
  encodeSequence(KEY_ID_TYPE, encodeOctets(encodeOctets(keyId)))

/** How many bytes stand after the node id at the end of {@link encodeAltNames}. */
export const lastAltNameLength = (role: Role, domain: string): number =>
  domain.length + (role === 'manager' ? 2 + CA_NAME.length : 0)

/**
 * The DNS names of Docker's node certificates: the role, the node id, and for a manager the name of the CA. A SPIFFE ID goes before them, so that what
 * stands after the node id stays the same.
 *
 * @param domain - What follows the node id in its name: nothing as with Docker, or cluster and zone where the issuer is bound to them.
 */
export function encodeAltNames(subject: NodeSubject, domain: string, spiffeId?: SpiffeId): Uint8Array<ArrayBuffer> {
  const uris = spiffeId === undefined ? [] : [encodeElement(URI, new TextEncoder().encode(spiffeId))]
  const names = nodeNames(subject, domain).map((name) => encodeText(DNS_NAME, name))
  return encodeSequence(ALT_NAME_TYPE, encodeOctets(encodeSequence(...uris, ...names)))
}
