import { createPublicKey, type JsonWebKey, type JsonWebKeyInput, KeyObject, webcrypto } from 'node:crypto'
import type { NodeKeyType } from '../algorithms.ts'
import type { VerificationKey } from '../ports.ts'

const CURVES = { p256: ['P-256', 32], p384: ['P-384', 48], p521: ['P-521', 66] } as const
const ED25519_BYTES = 32

const base64url = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64url')

/** A public key as a verification takes it: as a JWK where there is one, which takes half the time of the DER decoder. */
export function publicKeyInput({ keyType, publicKey }: VerificationKey): KeyObject | JsonWebKeyInput {
  if (keyType === 'rsa') return createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' })
  if (keyType === 'ed25519') {
    const x = base64url(publicKey.subarray(publicKey.length - ED25519_BYTES))
    return { key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' }
  }
  const [crv, size] = CURVES[keyType]
  const at = publicKey.length - 2 * size
  const x = base64url(publicKey.subarray(at, at + size))
  const y = base64url(publicKey.subarray(at + size))
  return { key: { kty: 'EC', crv, x, y }, format: 'jwk' }
}

/** Imports a SubjectPublicKeyInfo, to be used more than once. */
export function importPublicKey(key: VerificationKey): KeyObject {
  const input = publicKeyInput(key)
  return 'format' in input ? createPublicKey(input) : input
}

const VERIFYING: webcrypto.KeyUsage[] = ['verify']

/**
 * Imports a key that is used once. As a point it is checked to lie on its curve, which is all there is to check on curves of prime order
 * (NIST SP 800-56A section 5.6.2.3.4); as a JWK it would be multiplied by that order too, and the DER decoder takes longer still.
 *
 * @returns A promise that waits for nothing: Web Crypto imports at once, and then promises.
 */
export async function importPoint(keyType: keyof typeof CURVES, publicKey: Uint8Array): Promise<KeyObject> {
  const [namedCurve, size] = CURVES[keyType]
  // A copy: Web Crypto takes no shared memory.
  const point = publicKey.slice(publicKey.length - 2 * size - 1)
  const algorithm = { name: 'ECDSA', namedCurve }
  return KeyObject.from(await webcrypto.subtle.importKey('raw', point, algorithm, true, VERIFYING))
}

// What stands before the key itself in a SubjectPublicKeyInfo (RFC 5480 section 2 with an uncompressed point, RFC 8410 section 4).
const PREFIXES: Readonly<Record<NodeKeyType, Uint8Array>> = {
  p256: Uint8Array.from(Buffer.from('3059301306072a8648ce3d020106082a8648ce3d03010703420004', 'hex')),
  p384: Uint8Array.from(Buffer.from('3076301006072a8648ce3d020106052b8104002203620004', 'hex')),
  ed25519: Uint8Array.from(Buffer.from('302a300506032b6570032100', 'hex')),
}

/** The DER SubjectPublicKeyInfo of a JWK: the platform's own encoder takes as long as a signature and more. */
export function encodePublicJwk({ x = '', y = '' }: JsonWebKey, keyType: NodeKeyType): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.concat([PREFIXES[keyType], Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]))
}
