import { TokenError } from './errors.ts'
import { encodeHex } from './hex.ts'
import type { Digest } from './ports.ts'

/** SHA-256. */
export const TRUST_DIGEST_BYTES = 32

/**
 * The digest that a join token carries: SHA-256 over the exact bytes of the whole trust bundle, as Docker Swarm computes it.
 *
 * Over the whole bundle and not over one certificate, so that nobody in the middle can add a root of its own to the right one.
 *
 * @param bundle - The PEM bundle as it is served; one byte more or less is another digest.
 * @returns 32 bytes.
 */
export function trustDigestOf(bundle: Uint8Array, digest: Digest): Uint8Array<ArrayBuffer> {
  const sum = digest.sha256(bundle)
  if (sum.length !== TRUST_DIGEST_BYTES) {
    throw new RangeError(`the digest gave ${sum.length} bytes where SHA-256 has ${TRUST_DIGEST_BYTES}`)
  }
  return sum
}

/**
 * Proves that a trust bundle, received from anyone, is the one that the join token was made for.
 *
 * Do this before anything else is said to the sender: until it holds, nobody knows who that is. A mismatch is final; trying again gives
 * the one in the middle another chance and nothing else.
 *
 * @param token - The parsed join token.
 * @param bundle - The bundle's bytes as received.
 * @param digest - SHA-256.
 * @returns A copy of the proven bytes, which later changes of the caller's array do not reach.
 * @throws {@link TokenError} `CA_DIGEST_MISMATCH` when it is another bundle; both digests stand in the message and the error's fields.
 */
export function verifyTrustBundle(
  token: { readonly trustDigest: Uint8Array },
  bundle: Uint8Array,
  digest: Digest,
): Uint8Array<ArrayBuffer> {
  const copy = Uint8Array.from(bundle)
  const seenDigest = encodeHex(trustDigestOf(copy, digest))
  const expectedDigest = encodeHex(token.trustDigest)
  // Both are public, so an ordinary comparison gives nothing away.
  if (seenDigest === expectedDigest) return copy
  throw new TokenError(
    'CA_DIGEST_MISMATCH',
    `trust bundle has digest ${seenDigest} but the join token expects ${expectedDigest}; ` +
      'get a new token if the cluster changed its root, otherwise suspect the network',
    { expectedDigest, seenDigest },
  )
}
