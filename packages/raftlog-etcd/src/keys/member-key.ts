import type { RandomSource } from '@leastwise/raftlog'
import nacl from 'tweetnacl'

/** Bytes of an X25519 key, public or secret. */
export const BOX_KEY_BYTES = 32
const NONCE_BYTES = 24
/** Bytes that wrapping adds: the sender's one-time public key, the nonce, the tag. */
export const BOX_OVERHEAD_BYTES: number = BOX_KEY_BYTES + NONCE_BYTES + 16

/**
 * A manager's box key (X25519). The host keeps the secret part with its node key, wrapped under its KEK.
 */
export interface MemberKey {
  readonly publicKey: Uint8Array<ArrayBuffer>
  readonly secretKey: Uint8Array<ArrayBuffer>
}

/** A fresh box key. */
export function createMemberKey(random: RandomSource): MemberKey {
  return openMemberKey(random.bytes(BOX_KEY_BYTES))
}

/**
 * The box key with this secret part, which is copied.
 *
 * @throws TypeError or RangeError if it is not 32 bytes.
 */
export function openMemberKey(secretKey: Uint8Array): MemberKey {
  if (!(secretKey instanceof Uint8Array)) throw new TypeError('box key must be a Uint8Array')
  if (secretKey.length !== BOX_KEY_BYTES)
    throw new RangeError(`box key must have ${BOX_KEY_BYTES} bytes, got ${secretKey.length}`)
  const pair = nacl.box.keyPair.fromSecretKey(new Uint8Array(secretKey))
  return { publicKey: new Uint8Array(pair.publicKey), secretKey: new Uint8Array(pair.secretKey) }
}

/** one-time public key(32) ‖ nonce(24) ‖ NaCl box: only the holder of the secret part opens it. */
export function sealTo(publicKey: Uint8Array, plain: Uint8Array, random: RandomSource): Uint8Array<ArrayBuffer> {
  const once = createMemberKey(random)
  const nonce = random.bytes(NONCE_BYTES)
  const box = nacl.box(plain, nonce, publicKey, once.secretKey)
  once.secretKey.fill(0)
  const sealed = new Uint8Array(BOX_OVERHEAD_BYTES + plain.length)
  sealed.set(once.publicKey)
  sealed.set(nonce, BOX_KEY_BYTES)
  sealed.set(box, BOX_KEY_BYTES + NONCE_BYTES)
  return sealed
}

/** Opens what {@link sealTo} made for this key, or gives null. */
export function openSealed(key: MemberKey, sealed: Uint8Array): Uint8Array<ArrayBuffer> | null {
  if (sealed.length < BOX_OVERHEAD_BYTES) return null
  const sender = sealed.subarray(0, BOX_KEY_BYTES)
  const nonce = sealed.subarray(BOX_KEY_BYTES, BOX_KEY_BYTES + NONCE_BYTES)
  const plain = nacl.box.open(sealed.subarray(BOX_KEY_BYTES + NONCE_BYTES), nonce, sender, key.secretKey)
  return plain === null ? null : new Uint8Array(plain)
}
