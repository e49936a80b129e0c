import { createPublicKey, type JsonWebKey, type JsonWebKeyInput, type KeyObject } from 'node:crypto'
import type { NodeKeyType } from '../algorithms.ts'
import type { VerificationKey } from '../ports.ts'

const CURVES = { p256: ['P-256', 32], p384: ['P-384', 48], p521: ['P-521', 66] } as const

const base64url = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64url')

/** A public key as a verification takes it: elliptic keys as a JWK, which takes half the time of the DER decoder. */
export function publicKeyInput({ keyType, publicKey }: VerificationKey): KeyObject | JsonWebKeyInput {
  if (keyType === 'rsa' || keyType === 'ed25519') {
    return createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' })
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
