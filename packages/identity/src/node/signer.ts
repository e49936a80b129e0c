import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type JsonWebKey,
  type JsonWebKeyInput,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto'
import { canSign, type KeyType, type NodeKeyType, type SignatureAlgorithm } from '../algorithms.ts'
import { IdentityError } from '../errors.ts'
import type { Signer, SyncSignatureVerifier, VerificationKey } from '../ports.ts'
import { encodePublicJwk, importPoint, importPublicKey, publicKeyInput } from './public-key.ts'

/** A {@link Signer} over a key in this process. */
export interface LocalSigner extends Signer {
  readonly sign: (data: Uint8Array) => Uint8Array<ArrayBuffer>
}

const CURVES = { p256: 'P-256', p384: 'P-384' } as const
const KEY_TYPES: ReadonlyMap<string, KeyType> = new Map([
  ['prime256v1', 'p256'],
  ['secp384r1', 'p384'],
  ['secp521r1', 'p521'],
])
const HASHES: Readonly<Record<SignatureAlgorithm, string | null>> = {
  'ecdsa-sha256': 'sha256',
  'ecdsa-sha384': 'sha384',
  'ecdsa-sha512': 'sha512',
  ed25519: null,
  'rsa-sha256': 'sha256',
  'rsa-sha384': 'sha384',
  'rsa-sha512': 'sha512',
}
const SIGNING_HASH: Readonly<Record<KeyType, string | null>> = {
  p256: 'sha256',
  p384: 'sha384',
  p521: 'sha512',
  ed25519: null,
  rsa: 'sha256',
}
const MIN_RSA_BITS = 2048

const privateKeys = new WeakMap<Signer, KeyObject>()

// The platform takes this form of the public key too; its types know PEM and DER alone.
const generatePair = generateKeyPairSync as unknown as (
  type: 'ec' | 'ed25519',
  options: { readonly namedCurve?: string; readonly publicKeyEncoding: { readonly format: 'jwk' } },
) => { readonly privateKey: KeyObject; readonly publicKey: JsonWebKey }

/** Makes a fresh key for a node; P-256 as Docker's nodes have it unless told otherwise. */
export function createNodeKey(keyType: NodeKeyType = 'p256'): LocalSigner {
  // The public half comes out of the making itself. Asked of the finished key, the platform would allocate under that key's lock, and a garbage
  // collection at that moment, which ends the finished job of its making, waits for the same lock for ever (Node 20).
  const publicKeyEncoding = { format: 'jwk' } as const
  const { privateKey, publicKey } =
    keyType === 'ed25519'
      ? generatePair('ed25519', { publicKeyEncoding })
      : generatePair('ec', { namedCurve: CURVES[keyType], publicKeyEncoding })
  return signerOf(privateKey, encodePublicJwk(publicKey, keyType), keyType)
}

/**
 * Opens a private key from PKCS #8 DER, without a password.
 *
 * @throws {@link IdentityError} `PRIVATE_KEY_MALFORMED` if it is no such key, `PRIVATE_KEY_UNSUPPORTED` if it is of a kind or size that is not accepted.
 */
export function openSigner(pkcs8: Uint8Array): LocalSigner {
  let key: KeyObject
  try {
    key = createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' })
  } catch {
    // No cause: what the library says about a private key stays here.
    throw new IdentityError(
      'PRIVATE_KEY_MALFORMED',
      'private key is not PKCS #8 DER without a password; restore it or make a new one',
    )
  }
  return signerOfKey(key)
}

/** The signer of a private key that is open already, such as one from another thread. */
export function signerOfKey(key: KeyObject): LocalSigner {
  const publicKey = createPublicKey(key).export({ format: 'der', type: 'spki' })
  return signerOf(key, new Uint8Array(publicKey), keyTypeOf(key))
}

/** The private key behind a signer, or `null` for one that was not made here: its key is somewhere else. */
export const keyOfSigner = (signer: Signer): KeyObject | null => privateKeys.get(signer) ?? null

function keyTypeOf(key: KeyObject): KeyType {
  const details = key.asymmetricKeyDetails
  const keyType = key.asymmetricKeyType === 'ec' ? KEY_TYPES.get(details?.namedCurve ?? '') : key.asymmetricKeyType
  const accepted = keyType === 'p256' || keyType === 'p384' || keyType === 'p521' || keyType === 'ed25519'
  if (accepted) return keyType
  if (keyType === 'rsa' && (details?.modulusLength ?? 0) >= MIN_RSA_BITS) return keyType
  throw new IdentityError(
    'PRIVATE_KEY_UNSUPPORTED',
    'private key is of a kind that is not accepted; use P-256, P-384, Ed25519, or for an authority also P-521 or RSA of 2048 bits and more',
  )
}

function signerOf(key: KeyObject, publicKey: Uint8Array<ArrayBuffer>, keyType: KeyType): LocalSigner {
  const hash = SIGNING_HASH[keyType]
  const signer: LocalSigner = {
    keyType,
    publicKey,
    sign: (data) => {
      const { buffer, byteOffset, length } = sign(hash, data, key)
      return new Uint8Array(buffer, byteOffset, length)
    },
  }
  privateKeys.set(signer, key)
  return signer
}

/**
 * The private key of a signer made here, as PKCS #8 DER in the clear, for a key file that wraps it.
 *
 * @throws TypeError if the signer was not made by {@link createNodeKey} or {@link openSigner}.
 */
export function exportPrivateKey(signer: Signer): Uint8Array<ArrayBuffer> {
  const key = privateKeys.get(signer)
  if (key === undefined) throw new TypeError('signer was not made by createNodeKey or openSigner')
  return new Uint8Array(key.export({ format: 'der', type: 'pkcs8' }))
}

// Import costs as much as a verification, and the same few roots verify every peer; a request's key is used once, and remembering
// each of those would cost the garbage collector more than it saves. So a key is remembered from its second use on.
const imported = new WeakMap<Uint8Array, KeyObject>()
const RECENT = 16
const recent: (Uint8Array | null)[] = new Array<Uint8Array | null>(RECENT).fill(null)
let next = 0

function keyOf(key: VerificationKey): KeyObject | JsonWebKeyInput {
  const known = imported.get(key.publicKey)
  if (known !== undefined) return known
  if (!recent.includes(key.publicKey)) {
    recent[next] = key.publicKey
    next = (next + 1) % RECENT
    return publicKeyInput(key)
  }
  const fresh = importPublicKey(key)
  imported.set(key.publicKey, fresh)
  return fresh
}

const onceKeyOf = (key: VerificationKey): Promise<KeyObject> | KeyObject | JsonWebKeyInput =>
  key.keyType === 'rsa' || key.keyType === 'ed25519' ? publicKeyInput(key) : importPoint(key.keyType, key.publicKey)

/** Checks signatures with the platform's own crypto, at once. */
export const systemVerifier: SyncSignatureVerifier = {
  verify: (key, algorithm, data, signature) => {
    // Without this, the platform would take its own default hash for an elliptic key that claims Ed25519.
    if (!canSign(key.keyType, algorithm)) return false
    try {
      return verify(HASHES[algorithm], data, keyOf(key), signature)
    } catch {
      // A point off its curve, a key of another kind than the algorithm: nothing that such a key signed.
      return false
    }
  },
  verifyOnce: async (key, algorithm, data, signature) => {
    if (!canSign(key.keyType, algorithm)) return false
    try {
      return verify(HASHES[algorithm], data, await onceKeyOf(key), signature)
    } catch {
      return false
    }
  },
}
