import { createPublicKey, type KeyObject } from 'node:crypto'
import type { VerificationKey } from '../ports.ts'

const CURVES = { p256: ['P-256', 32], p384: ['P-384', 48], p521: ['P-521', 66] } as const

const base64url = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64url')

/** Imports a SubjectPublicKeyInfo. Elliptic keys go through JWK, which takes half the time of the DER decoder. */
export function importPublicKey({ keyType, publicKey }: VerificationKey): KeyObject {
  if (keyType === 'rsa' || keyType === 'ed25519') {
    return createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' })
  }
  const [crv, size] = CURVES[keyType]
  const at = publicKey.length - 2 * size
  const x = base64url(publicKey.subarray(at, at + size))
  const y = base64url(publicKey.subarray(at + size))
  return createPublicKey({ key: { kty: 'EC', crv, x, y }, format: 'jwk' })
}
