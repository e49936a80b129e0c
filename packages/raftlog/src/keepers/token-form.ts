import { byteCursor } from '../format/byte-cursor.ts'
import { byteWriter } from '../format/byte-writer.ts'
import { MAX_WRAPPED_BYTES } from '../keys/keyring.ts'

/** A key wrapped inside a token, taken apart. */
export interface TokenWrapping {
  /** Everything that is authenticated beside the key. */
  readonly head: Uint8Array<ArrayBuffer>
  readonly iv: Uint8Array<ArrayBuffer>
  /** As long as the key, and the tag of {@link TAG_BYTES} after it. */
  readonly sealed: Uint8Array<ArrayBuffer>
}

/** Bytes of the initialization vector (NIST SP 800-38D section 8.2.2). */
export const IV_BYTES = 12
/** Bytes of the tag. */
export const TAG_BYTES = 16

const MARK = 0x4c574854 // "LWHT"
const VERSION = 1

/** "LWHT" ‖ version(1) ‖ length(1) name. */
export function encodeTokenHead(name: string): Uint8Array<ArrayBuffer> {
  return byteWriter(6 + name.length)
    .u32(MARK)
    .u8(VERSION)
    .u8(name.length)
    .bytes(new TextEncoder().encode(name))
    .written()
}

/** head ‖ iv(12) ‖ AES-256-GCM of the key, with the head as associated data ‖ tag(16). */
export const encodeTokenWrapping = ({ head, iv, sealed }: TokenWrapping): Uint8Array<ArrayBuffer> =>
  byteWriter(head.length + iv.length + sealed.length)
    .bytes(head)
    .bytes(iv)
    .bytes(sealed)
    .written()

/** Takes apart what {@link encodeTokenWrapping} made under `head`; null for anything else. */
export function decodeTokenWrapping(wrapped: Uint8Array, head: Uint8Array<ArrayBuffer>): TokenWrapping | null {
  if (wrapped.length > MAX_WRAPPED_BYTES || wrapped.length < head.length + IV_BYTES + TAG_BYTES) return null
  const cursor = byteCursor(wrapped, () => new RangeError('ends too early'))
  if (!cursor.bytes(head.length).every((byte, at) => byte === head[at])) return null
  return { head, iv: cursor.bytes(IV_BYTES), sealed: cursor.bytes(cursor.remaining()) }
}
