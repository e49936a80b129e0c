import { byteCursor } from '../format/byte-cursor.ts'
import { byteWriter } from '../format/byte-writer.ts'
import { BOX_NONCE_BYTES, BOX_OVERHEAD_BYTES, openBox, sealBox } from '../keys/secretbox.ts'

/** What stretching a passphrase costs (RFC 7914 section 2): 128 · 2^logN · r bytes of memory, 2^logN · r · p of work. */
export interface ScryptCost {
  readonly logN: number
  readonly r: number
  readonly p: number
}

/** A cost and a salt: all that is needed, beside the passphrase, for the key. */
export interface Stretch {
  readonly cost: ScryptCost
  readonly salt: Uint8Array<ArrayBuffer>
}

/** What OWASP's cheat sheet on password storage asks for first: 128 MiB, and about half a second. */
export const DEFAULT_SCRYPT_COST: ScryptCost = { logN: 17, r: 8, p: 1 }
/** Bytes of the salt. */
export const SCRYPT_SALT_BYTES = 32

// r is the 8 of RFC 7914: nothing is won by another one. 32 to 256 MiB, and work between the default and eight times
// that: the upper bounds keep a file that somebody else wrote from taking the machine's memory or more than a few seconds.
const R = 8
const MIN_LOG_N = 15
const MAX_LOG_N = 18
const MIN_WORK = 2 ** 17
const MAX_WORK = 2 ** 20

/** Whether a cost is accepted, in options and in what is read. `weak` lifts the lower bounds. */
export function isAcceptedCost({ logN, r, p }: ScryptCost, bounds: 'strong' | 'weak'): boolean {
  if (!Number.isInteger(logN) || !Number.isInteger(p) || r !== R) return false
  const work = 2 ** logN * p
  const bounded = logN >= 1 && logN <= MAX_LOG_N && p >= 1 && work <= MAX_WORK && p <= 0xff
  return bounded && (bounds === 'weak' || (logN >= MIN_LOG_N && work >= MIN_WORK))
}

const MARK = 0x4c574b50 // "LWKP"
const VERSION = 1
const HEAD_BYTES = 8 + SCRYPT_SALT_BYTES
const MAX_KEY_BYTES = 1024

/** "LWKP" ‖ version(1) ‖ logN(1) ‖ r(1) ‖ p(1) ‖ salt(32). */
export function encodeStretch({ cost, salt }: Stretch): Uint8Array<ArrayBuffer> {
  const out = byteWriter(HEAD_BYTES).u32(MARK).u8(VERSION).u8(cost.logN).u8(cost.r).u8(cost.p)
  return out.bytes(salt).written()
}

/** The stretch at the head of a wrapped key; null if the bytes do not have that form, or if its cost is not accepted. */
export function decodeStretch(wrapped: Uint8Array, bounds: 'strong' | 'weak'): Stretch | null {
  const overhead = HEAD_BYTES + BOX_NONCE_BYTES + BOX_OVERHEAD_BYTES
  if (wrapped.length < overhead || wrapped.length > overhead + MAX_KEY_BYTES) return null
  const cursor = byteCursor(wrapped, () => new RangeError('ends too early'))
  if (cursor.u32() !== MARK || cursor.u8() !== VERSION) return null
  const cost = { logN: cursor.u8(), r: cursor.u8(), p: cursor.u8() }
  return isAcceptedCost(cost, bounds) ? { cost, salt: cursor.bytes(SCRYPT_SALT_BYTES) } : null
}

/** head ‖ nonce(24) ‖ NaCl secretbox of the key. */
export function sealStretched(
  plain: Uint8Array,
  { head, nonce, key }: { readonly head: Uint8Array; readonly nonce: Uint8Array; readonly key: Uint8Array },
): Uint8Array<ArrayBuffer> {
  if (plain.length > MAX_KEY_BYTES) throw new RangeError(`key must have at most ${MAX_KEY_BYTES} bytes`)
  const box = sealBox(plain, nonce, key)
  return byteWriter(head.length + nonce.length + box.length)
    .bytes(head)
    .bytes(nonce)
    .bytes(box)
    .written()
}

/** The key that {@link sealStretched} sealed, or null. */
export function openStretched(wrapped: Uint8Array, key: Uint8Array): Uint8Array<ArrayBuffer> | null {
  const box = HEAD_BYTES + BOX_NONCE_BYTES
  return openBox(wrapped.subarray(box), wrapped.subarray(HEAD_BYTES, box), key)
}
