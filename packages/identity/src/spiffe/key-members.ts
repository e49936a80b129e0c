import { encodeBase64 } from '../base64.ts'
import type { Certificate } from '../certificate/certificate.ts'
import { CERTIFICATE_REFUSAL } from '../certificate/certificate-layout.ts'
import { descend, openDer, skipContent } from '../der/reader.ts'
import { BIT_STRING, SEQUENCE } from '../der/tags.ts'
import { readInteger } from '../der/values.ts'

// RFC 7518 section 6.2.1 and RFC 8037 section 2.
const CURVES = {
  p256: { crv: 'P-256', size: 32 },
  p384: { crv: 'P-384', size: 48 },
  p521: { crv: 'P-521', size: 66 },
} as const

const ED25519_BYTES = 32

const decoder = new TextDecoder()

/** RFC 4648 section 5, without padding. */
const base64url = (bytes: Uint8Array): string =>
  decoder.decode(encodeBase64(bytes)).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/u, '')

function rsaMembers(publicKey: Uint8Array<ArrayBuffer>): readonly (readonly [string, string])[] {
  const reader = openDer(publicKey, CERTIFICATE_REFUSAL)
  descend(reader, SEQUENCE)
  skipContent(reader, SEQUENCE)
  // One byte says how many bits are unused: none.
  descend(reader, BIT_STRING)
  reader.at += 1
  descend(reader, SEQUENCE)
  const magnitude = (content: Uint8Array): Uint8Array => (content[0] === 0 ? content.subarray(1) : content)
  return [
    ['kty', 'RSA'],
    ['n', base64url(magnitude(readInteger(reader)))],
    ['e', base64url(magnitude(readInteger(reader)))],
  ]
}

/** The members of a JWK that say which public key a certificate has (RFC 7517 section 4.1, RFC 7518 section 6), in one order. */
export function keyMembersOf({ keyType, publicKey }: Certificate): readonly (readonly [string, string])[] {
  if (keyType === 'rsa') return rsaMembers(publicKey)
  if (keyType === 'ed25519') {
    return [
      ['kty', 'OKP'],
      ['crv', 'Ed25519'],
      ['x', base64url(publicKey.subarray(-ED25519_BYTES))],
    ]
  }
  const { crv, size } = CURVES[keyType]
  return [
    ['kty', 'EC'],
    ['crv', crv],
    ['x', base64url(publicKey.subarray(-2 * size, -size))],
    ['y', base64url(publicKey.subarray(-size))],
  ]
}
