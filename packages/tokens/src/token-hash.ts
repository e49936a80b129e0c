import { encodeHex } from './hex.ts'
import type { Digest } from './ports.ts'
import { TOKEN_SECRET_BYTES, type TokenSecret } from './token-secret.ts'

// A domain of its own: this hash can never be mistaken for another use of SHA-256 over the same 16 bytes. The number is the version
// of this derivation; a registry's journal holds the results for as long as its tokens live.
const DOMAIN = new TextEncoder().encode('leastwise token secret 1\0')

declare const tokenHash: unique symbol

/** What the registry knows a token by: 64 hex digits, from which the secret cannot be found again. */
export type TokenHash = string & { readonly [tokenHash]: true }

/**
 * The hash under which a token's secret is registered and looked up.
 *
 * Plain SHA-256 is enough because the secret has 128 random bits; for the same reason a look-up by hash gives no useful timing away.
 *
 * @throws TypeError if the secret was wiped.
 */
export function hashTokenSecret(secret: TokenSecret, digest: Digest): TokenHash {
  const input = new Uint8Array(DOMAIN.length + TOKEN_SECRET_BYTES)
  input.set(DOMAIN)
  secret.expose((bytes) => {
    input.set(bytes, DOMAIN.length)
  })
  const hash = encodeHex(digest.sha256(input)) as TokenHash
  input.fill(0)
  return hash
}

/**
 * The hash by which the registry remembers who redeemed a token: SHA-256 of the public key, 64 hex digits.
 *
 * @param spki - The key as DER SubjectPublicKeyInfo (RFC 5280 section 4.1), the one form that is the same in each request for it.
 */
export function hashPublicKey(spki: Uint8Array, digest: Digest): string {
  return encodeHex(digest.sha256(spki))
}
