import {
  ascend,
  type DerReader,
  descend,
  enter,
  fault,
  finish,
  openDer,
  peekTag,
  readContent,
  skipContent,
} from './der/reader.ts'
import { INTEGER, OBJECT_IDENTIFIER, SEQUENCE } from './der/tags.ts'
import { readInteger, skipBitString } from './der/values.ts'
import { encodeElement, encodeOid, encodeSequence } from './der/writer.ts'
import type { IdentityErrorCode } from './errors.ts'
import { IdentityError } from './errors.ts'

/** Keys that a node may have. P-256 is what Docker's nodes make. */
export type NodeKeyType = 'p256' | 'p384' | 'ed25519'

/** Keys that a certificate may carry: those of nodes, and what a root of one's own may have (RSA of 2048 to 8192 bits). */
export type KeyType = NodeKeyType | 'p521' | 'rsa'

/** Signatures that are accepted; RSA is PKCS #1 v1.5. SHA-1 and PSS are not. */
export type SignatureAlgorithm =
  | 'ecdsa-sha256'
  | 'ecdsa-sha384'
  | 'ecdsa-sha512'
  | 'ed25519'
  | 'rsa-sha256'
  | 'rsa-sha384'
  | 'rsa-sha512'

const NULL = encodeElement(0x05)

// RFC 5758 section 3.2 and RFC 8410 section 3: no parameters. RFC 4055 section 5: NULL parameters.
const IDENTIFIERS: readonly (readonly [SignatureAlgorithm, Uint8Array<ArrayBuffer>])[] = [
  ['ecdsa-sha256', encodeSequence(encodeOid('1.2.840.10045.4.3.2'))],
  ['ecdsa-sha384', encodeSequence(encodeOid('1.2.840.10045.4.3.3'))],
  ['ecdsa-sha512', encodeSequence(encodeOid('1.2.840.10045.4.3.4'))],
  ['ed25519', encodeSequence(encodeOid('1.3.101.112'))],
  ['rsa-sha256', encodeSequence(encodeOid('1.2.840.113549.1.1.11'), NULL)],
  ['rsa-sha384', encodeSequence(encodeOid('1.2.840.113549.1.1.12'), NULL)],
  ['rsa-sha512', encodeSequence(encodeOid('1.2.840.113549.1.1.13'), NULL)],
]

const EC_KEY = encodeOid('1.2.840.10045.2.1')
const RSA_KEY = encodeSequence(encodeOid('1.2.840.113549.1.1.1'), NULL)

// Algorithm identifier and size of the key bits: SEC 1 section 2.3.3 uncompressed points, RFC 8032 points.
type FixedKey = readonly [KeyType, Uint8Array<ArrayBuffer>, number]
const FIXED_KEYS: readonly FixedKey[] = [
  ['p256', encodeSequence(EC_KEY, encodeOid('1.2.840.10045.3.1.7')), 65],
  ['p384', encodeSequence(EC_KEY, encodeOid('1.3.132.0.34')), 97],
  ['p521', encodeSequence(EC_KEY, encodeOid('1.3.132.0.35')), 133],
  ['ed25519', encodeSequence(encodeOid('1.3.101.112')), 32],
]

const UNCOMPRESSED = 0x04
// 2048 bits is the floor of Docker Swarm; 8192 bits bounds what a verification may cost.
const MIN_RSA_BYTES = 256
const MAX_RSA_BYTES = 1024

const OWN_ALGORITHM: Readonly<Record<KeyType, SignatureAlgorithm>> = {
  p256: 'ecdsa-sha256',
  p384: 'ecdsa-sha384',
  p521: 'ecdsa-sha512',
  ed25519: 'ed25519',
  rsa: 'rsa-sha256',
}

/** The algorithm that a key of this type signs with. */
export const signatureAlgorithmOf = (keyType: KeyType): SignatureAlgorithm => OWN_ALGORITHM[keyType]

/** The DER AlgorithmIdentifier of a signature. */
export function encodeSignatureAlgorithm(algorithm: SignatureAlgorithm): Uint8Array<ArrayBuffer> {
  for (const [name, der] of IDENTIFIERS) if (name === algorithm) return der
  throw new TypeError('the signature algorithm is not one of the known names')
}

/** The family of keys that can make such a signature. */
export function canSign(keyType: KeyType, algorithm: SignatureAlgorithm): boolean {
  if (keyType === 'ed25519' || keyType === 'rsa') return algorithm.startsWith(keyType)
  return algorithm.startsWith('ecdsa')
}

/** True when the bytes of the element that begins at `start` are `expected`. */
function isElement(reader: DerReader, start: number, expected: Uint8Array): boolean {
  if (reader.at - start !== expected.length) return false
  for (let index = 0; index < expected.length; index += 1)
    if (reader.bytes[start + index] !== expected[index]) return false
  return true
}

/** Steps over an AlgorithmIdentifier, and gives where it begins. */
function skipSequence(reader: DerReader): number {
  const start = reader.at
  skipContent(reader, SEQUENCE)
  return start
}

function fixedKeyOf(reader: DerReader, algorithmAt: number): FixedKey | undefined {
  for (const entry of FIXED_KEYS) if (isElement(reader, algorithmAt, entry[1])) return entry
  return undefined
}

/** Refuses an algorithm that is not even well-formed as malformed, for which `unsupported` would be too kind. */
function checkNamed(reader: DerReader, start: number, end: number): void {
  const element = openDer(reader.bytes, reader.refusal)
  element.at = start
  element.end = end
  readContent(enter(element, SEQUENCE), OBJECT_IDENTIFIER)
}

/**
 * Reads an AlgorithmIdentifier of a signature.
 *
 * @throws {@link IdentityError} `unsupported` if it is well-formed and names another algorithm.
 */
export function readSignatureAlgorithm(reader: DerReader, unsupported: IdentityErrorCode): SignatureAlgorithm {
  const start = skipSequence(reader)
  // Not destructured: an iterator for each entry costs more than the comparison.
  for (const entry of IDENTIFIERS) if (isElement(reader, start, entry[1])) return entry[0]
  checkNamed(reader, start, reader.at)
  throw new IdentityError(
    unsupported,
    `${reader.refusal.document} has a signature algorithm that is not accepted; sign with ECDSA, Ed25519 or RSA PKCS #1 v1.5 and SHA-2`,
  )
}

/** Where a SubjectPublicKeyInfo lies. */
export interface PublicKeyPlace {
  readonly keyType: KeyType
  readonly start: number
  /** Where the bits of the subjectPublicKey field begin; key identifiers are made of them. */
  readonly bitsAt: number
  /** Where both end. */
  readonly end: number
}

/**
 * Steps over a SubjectPublicKeyInfo of an accepted kind, in its one encoding. Whether an elliptic point lies on its curve
 * is for the verifier to find: such a key verifies nothing.
 *
 * @throws {@link IdentityError} `unsupported` if it is well-formed and of another kind or size.
 */
export function skipPublicKey(reader: DerReader, unsupported: IdentityErrorCode): PublicKeyPlace {
  const start = reader.at
  const outer = descend(reader, SEQUENCE)
  const algorithmAt = skipSequence(reader)
  const algorithmEnd = reader.at
  const fixed = fixedKeyOf(reader, algorithmAt)
  const isRsa = fixed === undefined && isElement(reader, algorithmAt, RSA_KEY)
  const bitsAt = skipBitString(reader)
  ascend(reader, outer)
  const end = reader.at
  if (fixed !== undefined) {
    const keyType = fixed[0]
    if (end - bitsAt === fixed[2] && (keyType === 'ed25519' || reader.bytes[bitsAt] === UNCOMPRESSED))
      return { keyType, start, bitsAt, end }
  } else if (isRsa && isAcceptedRsa(reader.bytes.subarray(bitsAt, end), reader)) {
    return { keyType: 'rsa', start, bitsAt, end }
  }
  checkNamed(reader, algorithmAt, algorithmEnd)
  throw new IdentityError(
    unsupported,
    `${reader.refusal.document} has a public key that is not accepted; use P-256, P-384, Ed25519, or for a root also P-521 or RSA of 2048 to 8192 bits`,
  )
}

function isAcceptedRsa(keyBits: Uint8Array<ArrayBuffer>, reader: DerReader): boolean {
  const outer = openDer(keyBits, reader.refusal)
  const key = enter(outer, SEQUENCE)
  finish(outer)
  const modulus = readPositive(key)
  const exponent = readPositive(key)
  if (peekTag(key) === INTEGER) throw fault(key, 'has an RSA key with more than a modulus and an exponent')
  finish(key)
  const odd = ((modulus[modulus.length - 1] ?? 0) & (exponent[exponent.length - 1] ?? 0) & 1) === 1
  const exponentFits = exponent.length <= 4 && (exponent.length > 1 || (exponent[0] ?? 0) >= 3)
  // Whole bytes, as every key is that was made on purpose: the top bit of the first one counts.
  const whole = (modulus[0] ?? 0) >= 0x80
  return odd && exponentFits && whole && modulus.length >= MIN_RSA_BYTES && modulus.length <= MAX_RSA_BYTES
}

function readPositive(reader: DerReader): Uint8Array<ArrayBuffer> {
  const content = readInteger(reader)
  if ((content[0] ?? 0) >= 0x80) throw fault(reader, 'has a negative number in an RSA key')
  return content[0] === 0 ? content.subarray(1) : content
}
