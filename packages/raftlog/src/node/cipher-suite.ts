import { createCipheriv, createDecipheriv, createHash, createSecretKey, hkdfSync } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { Aead, CipherSuite } from '../ports.ts'
import { freeMemory } from './free-memory.ts'

const CIPHER = 'aes-256-gcm'
const KEY_BYTES = 32
const TAG = { authTagLength: 16 } as const

const asBytes = (buffer: Buffer): Uint8Array<ArrayBuffer> =>
  buffer.buffer instanceof ArrayBuffer
    ? new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)
    : new Uint8Array(buffer)

function aead(bytes: Uint8Array): Aead {
  if (bytes.length !== KEY_BYTES) throw new RangeError(`key must have ${KEY_BYTES} bytes, got ${bytes.length}`)
  const key = createSecretKey(bytes)
  return {
    seal: (nonce, associated, plain) => {
      const cipher = createCipheriv(CIPHER, key, nonce, TAG)
      cipher.setAAD(associated)
      const body = cipher.update(plain)
      cipher.final()
      return { body, tag: cipher.getAuthTag() }
    },
    release: freeMemory,
    open: (nonce, associated, body, tag) => {
      const decipher = createDecipheriv(CIPHER, key, nonce, TAG)
      decipher.setAAD(associated)
      decipher.setAuthTag(tag)
      const plain = decipher.update(body)
      try {
        decipher.final()
      } catch {
        plain.fill(0)
        return null
      }
      return asBytes(plain)
    },
  }
}

/** The cipher suite on `node:crypto`: one native call for a whole frame. */
export const nodeCipherSuite: CipherSuite = {
  aead,
  hkdf: (key, salt, info, length) => new Uint8Array(hkdfSync('sha256', key, salt, info, length)),
  sha256: (data) => new Uint8Array(createHash('sha256').update(data).digest()),
  // zlib starts over when it is given no bytes.
  crc32: (data, seed = 0) => (data.length === 0 ? seed : crc32(data, seed)),
}
