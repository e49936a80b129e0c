import { type KeyType, skipPublicKey } from '../algorithms.ts'
import { encodeEcdsaSignature } from '../certificate/ecdsa-signature.ts'
import { finish, openDer } from '../der/reader.ts'
import { IdentityError } from '../errors.ts'
import type { Signer } from '../ports.ts'

/** An algorithm as Web Crypto names it. */
export interface SubtleSigningAlgorithm {
  readonly name: 'ECDSA' | 'Ed25519' | 'RSASSA-PKCS1-v1_5'
  readonly hash?: 'SHA-256' | 'SHA-384' | 'SHA-512'
}

/** The one function of a Web Crypto `SubtleCrypto` that signing needs: the platform's, that of a PKCS #11 token, or another one. */
export interface SubtleSigning<Key> {
  readonly sign: (algorithm: SubtleSigningAlgorithm, key: Key, data: Uint8Array<ArrayBuffer>) => Promise<ArrayBuffer>
}

/** What a {@link webCryptoSigner} is made of. */
export interface WebCryptoSignerParts<Key> {
  readonly subtle: SubtleSigning<Key>
  /** A private key that may sign. It need not be extractable, and should not be. */
  readonly privateKey: Key
  /** Its public half as a DER SubjectPublicKeyInfo: what `exportKey('spki', publicKey)` gives. */
  readonly publicKey: Uint8Array
}

const ALGORITHMS: Readonly<Record<KeyType, SubtleSigningAlgorithm>> = {
  p256: { name: 'ECDSA', hash: 'SHA-256' },
  p384: { name: 'ECDSA', hash: 'SHA-384' },
  p521: { name: 'ECDSA', hash: 'SHA-512' },
  ed25519: { name: 'Ed25519' },
  rsa: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
}

// Web Crypto gives r and s of the curve's size, one after the other (IEEE P1363).
const SCALAR_BYTES = { p256: 32, p384: 48, p521: 66 } as const
const ED25519_BYTES = 64
const MIN_RSA_BYTES = 256
const MAX_RSA_BYTES = 1024

const refused = (problem: string, options?: ErrorOptions): IdentityError =>
  new IdentityError('SIGNER_FAILED', `${problem}; see that it is reachable and may use the key`, options)

function signatureOf(keyType: KeyType, raw: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const fits =
    keyType === 'rsa'
      ? raw.length >= MIN_RSA_BYTES && raw.length <= MAX_RSA_BYTES
      : raw.length === (keyType === 'ed25519' ? ED25519_BYTES : 2 * SCALAR_BYTES[keyType])
  if (!fits) throw refused(`key holder gave ${raw.length} bytes, which is no signature of its key`)
  if (keyType === 'rsa' || keyType === 'ed25519') return raw
  const der = encodeEcdsaSignature(raw)
  if (der === null) throw refused('key holder gave a signature of zeros')
  return der
}

/**
 * A {@link Signer} over a key that only a Web Crypto provider can use: a non-extractable one, a key in an HSM. Signatures of elliptic keys are
 * brought from the form of Web Crypto into DER.
 *
 * Whether private and public key belong together shows when it is used: {@link openAuthority} proves it before anything is issued.
 *
 * @returns The signer. Its `sign` rejects with {@link IdentityError} `SIGNER_FAILED` if the provider fails or gives something that is no signature;
 * a coded error of the provider itself passes through.
 * @throws {@link IdentityError} `PRIVATE_KEY_UNSUPPORTED` if the public key is not P-256, P-384, P-521, Ed25519 or RSA of 2048 to 8192 bits, or
 * `PRIVATE_KEY_MALFORMED` if it is no DER SubjectPublicKeyInfo.
 */
export function webCryptoSigner<Key>({ subtle, privateKey, publicKey }: WebCryptoSignerParts<Key>): Signer {
  const own = new Uint8Array(publicKey)
  const reader = openDer(own, { code: 'PRIVATE_KEY_MALFORMED', document: 'public half of the key' })
  const { keyType } = skipPublicKey(reader, 'PRIVATE_KEY_UNSUPPORTED')
  finish(reader)
  return {
    keyType,
    publicKey: own,
    sign: async (data) => {
      let raw: ArrayBuffer
      try {
        // A copy: the caller may go on with its array while the provider works.
        raw = await subtle.sign(ALGORITHMS[keyType], privateKey, new Uint8Array(data))
      } catch (error) {
        if (error instanceof IdentityError) throw error
        throw refused('key holder did not sign', { cause: error })
      }
      return signatureOf(keyType, new Uint8Array(raw))
    },
  }
}
