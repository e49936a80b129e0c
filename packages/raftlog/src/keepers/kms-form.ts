import { byteCursor } from '../format/byte-cursor.ts'
import { byteWriter } from '../format/byte-writer.ts'
import { MAX_WRAPPED_BYTES } from '../keys/keyring.ts'
import { BOX_NONCE_BYTES, BOX_OVERHEAD_BYTES, openBox, sealBox } from '../keys/secretbox.ts'
import { isKmsCiphertext, type KmsCiphertext } from './kms-messages.ts'
import { labelledHash } from './labelled-hash.ts'
import { decodeText } from './protobuf.ts'

// What the plug-in encrypts is a seed of one use; the key itself is sealed here, under a key of the seed and of all that
// is stored beside it. So the service never sees a data key, and a changed byte is noticed whatever the service uses.

/** A wrapped key, taken apart. */
export interface KmsWrapping {
  readonly sealed: KmsCiphertext
  /** Everything before the nonce. */
  readonly head: Uint8Array<ArrayBuffer>
  readonly nonce: Uint8Array<ArrayBuffer>
  readonly box: Uint8Array<ArrayBuffer>
}

/** Bytes of a seed. */
export const KMS_SEED_BYTES = 32

const MARK = 0x4c574b4d // "LWKM"
const VERSION = 1
const KEY_LABEL = 'leastwise raftlog kms key v1'
const KEY_BYTES = 32
const text = new TextEncoder()

/**
 * "LWKM" ‖ version(1) ‖ length(2) key id ‖ length(2) ciphertext ‖ number of annotations(1) ‖ annotations, each length(1)
 * key ‖ length(2) value.
 */
function encodeHead({ ciphertext, keyId, annotations }: KmsCiphertext): Uint8Array<ArrayBuffer> {
  const id = text.encode(keyId)
  const size = annotations.reduce((sum, { key, value }) => sum + 3 + key.length + value.length, 10)
  const out = byteWriter(size + id.length + ciphertext.length)
    .u32(MARK)
    .u8(VERSION)
  out.u16(id.length).bytes(id).u16(ciphertext.length).bytes(ciphertext).u8(annotations.length)
  for (const { key, value } of annotations) out.u8(key.length).bytes(text.encode(key)).u16(value.length).bytes(value)
  return out.written()
}

/** Whether a key of `keyBytes`, wrapped with this, can be kept in a key ring. */
export const fitsWrapping = (sealed: KmsCiphertext, keyBytes: number): boolean =>
  sealed.annotations.reduce((sum, { key, value }) => sum + 3 + key.length + value.length, 10) +
    text.encode(sealed.keyId).length +
    sealed.ciphertext.length +
    BOX_NONCE_BYTES +
    BOX_OVERHEAD_BYTES +
    keyBytes <=
  MAX_WRAPPED_BYTES

/** head ‖ nonce(24) ‖ NaCl secretbox of the key under SHA-512 of label, seed and head, cut to 32 bytes. */
export function sealWithSeed(
  plain: Uint8Array,
  { sealed, seed, nonce }: { readonly sealed: KmsCiphertext; readonly seed: Uint8Array; readonly nonce: Uint8Array },
): Uint8Array<ArrayBuffer> {
  const head = encodeHead(sealed)
  const key = labelledHash(KEY_LABEL, [seed, head], KEY_BYTES)
  const box = sealBox(plain, nonce, key)
  key.fill(0)
  return byteWriter(head.length + nonce.length + box.length)
    .bytes(head)
    .bytes(nonce)
    .bytes(box)
    .written()
}

/** The key that {@link sealWithSeed} sealed, or null. */
export function openWithSeed({ head, nonce, box }: KmsWrapping, seed: Uint8Array): Uint8Array<ArrayBuffer> | null {
  if (seed.length !== KMS_SEED_BYTES) return null
  const key = labelledHash(KEY_LABEL, [seed, head], KEY_BYTES)
  const plain = openBox(box, nonce, key)
  key.fill(0)
  return plain
}

/** Takes a wrapped key apart; null if it is not exactly what {@link sealWithSeed} writes. */
export function decodeKmsWrapping(wrapped: Uint8Array): KmsWrapping | null {
  if (wrapped.length > MAX_WRAPPED_BYTES) return null
  const short = new RangeError('ends too early')
  const cursor = byteCursor(wrapped, () => short)
  try {
    if (cursor.u32() !== MARK || cursor.u8() !== VERSION) return null
    const keyId = decodeText(cursor.bytes(cursor.u16()))
    const ciphertext = cursor.bytes(cursor.u16())
    const annotations = Array.from({ length: cursor.u8() }, () => ({
      key: decodeText(cursor.bytes(cursor.u8())) ?? '',
      value: cursor.bytes(cursor.u16()),
    }))
    const head = wrapped.slice(0, cursor.offset())
    const nonce = cursor.bytes(BOX_NONCE_BYTES)
    const box = cursor.bytes(cursor.remaining())
    if (keyId === null || box.length < BOX_OVERHEAD_BYTES) return null
    const sealed = { ciphertext, keyId, annotations }
    return isKmsCiphertext(sealed) ? { sealed, head, nonce, box } : null
  } catch (error) {
    if (error === short) return null
    throw error
  }
}
