import { createHmac, createSecretKey } from 'node:crypto'
import type { RequestAuthenticator } from '../../external/ports.ts'

/** 128 bits: with less, a token could be made by trial. */
export const MIN_HMAC_KEY_BYTES = 16

/**
 * Authenticates requests as cfssl's standard scheme does: HMAC-SHA-256 of the request under a shared key.
 *
 * @param key - The bytes, which cfssl's configuration writes in hexadecimal. They are copied and cannot be read back.
 * @throws RangeError if the key has less than {@link MIN_HMAC_KEY_BYTES} bytes.
 */
export function hmacAuthenticator(key: Uint8Array): RequestAuthenticator {
  if (key.length < MIN_HMAC_KEY_BYTES)
    throw new RangeError(`key of request tokens must have at least ${MIN_HMAC_KEY_BYTES} bytes, got ${key.length}`)
  const secret = createSecretKey(key)
  return { authenticate: (request) => new Uint8Array(createHmac('sha256', secret).update(request).digest()) }
}
