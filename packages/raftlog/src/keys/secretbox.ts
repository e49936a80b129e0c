import nacl from 'tweetnacl'

/** Bytes of a secretbox nonce. */
export const BOX_NONCE_BYTES = 24
/** Bytes that a secretbox adds: its Poly1305 tag. */
export const BOX_OVERHEAD_BYTES = 16

/** NaCl secretbox (XSalsa20-Poly1305), sealed. */
export const sealBox = (plain: Uint8Array, nonce: Uint8Array, key: Uint8Array): Uint8Array<ArrayBuffer> =>
  new Uint8Array(nacl.secretbox(plain, nonce, key))

/** NaCl secretbox, opened; null for a wrong key and for damage alike. */
export function openBox(box: Uint8Array, nonce: Uint8Array, key: Uint8Array): Uint8Array<ArrayBuffer> | null {
  const plain = nacl.secretbox.open(box, nonce, key)
  return plain === null ? null : new Uint8Array(plain)
}

/** SHA-512. */
export const hash512 = (data: Uint8Array): Uint8Array<ArrayBuffer> => new Uint8Array(nacl.hash(data))
