import { decodeBase36 } from '../base36.ts'
import { decodeBase64 } from '../base64.ts'
import { encodeHex } from '../hex.ts'
import { MAX_JOIN_TOKEN_CHARS } from '../join-token.ts'
import { TOKEN_SECRET_BYTES } from '../token-secret.ts'
import { TRUST_DIGEST_BYTES } from '../trust-digest.ts'
import { UNLOCK_KEY_BYTES } from '../unlock-key.ts'

// The grammars of `parseJoinToken`, `parseUnlockKey` and of a share of an unlock key for a text that begins anywhere. Each repetition
// ends before a character that it cannot match, or has a fixed count, so there is nothing to try twice: each place costs at most the
// length of a leak, whatever the input. The look-ahead consumes nothing, because a leak may begin in the last letters of the one before
// it (an unlock key may end in SWM).
const SHAPE =
  /SWM(?=(TKN-(?:1|2-[01])-([0-9a-z]{50})-([0-9a-z]{25}))|(KEY-1-([A-Za-z0-9+/]{43})))|LWS(?=(HARE-1-[1-9]\d{0,2}of[1-9]\d{0,2}-[1-9]\d{0,2}-[0-9a-z]{25}-([0-9a-z]{50})-[0-9a-z]{8}))/g
const MARK_CHARS = 3
/** Of a share: its value, a hyphen and the check, which tells something about the value. */
const SHARE_SECRET_CHARS = 59
/** `LWSHARE-1-255of255-255-`, a set id of 25 digits, a hyphen, and the secret part. */
const MAX_SHARE_CHARS = 108
const DIGEST_PREFIX_DIGITS = 8

/** No leak is longer. */
export const MAX_LEAK_CHARS: number = Math.max(MAX_JOIN_TOKEN_CHARS, MAX_SHARE_CHARS)

/** What a leak is of. */
export type LeakKind = 'join-token' | 'unlock-key' | 'unlock-key-share'

/** A part of a text that has the form of its kind. Its secret stands at its end. */
export interface SecretPart {
  readonly kind: LeakKind
  readonly start: number
  readonly length: number
  readonly secretLength: number
  /** Hex; `null` for an unlock key and for a share of one. */
  readonly digestPrefix: string | null
}

/** All of them, in the order in which they begin. Only the last letters of one may belong to the next one too. */
export function* secretParts(text: string): Generator<SecretPart, void, void> {
  for (const match of text.matchAll(SHAPE)) {
    const [, token, digest, tokenSecret, unlockKey, key, share, value] = match
    const start = match.index
    if (token !== undefined && digest !== undefined && tokenSecret !== undefined) {
      const digestPrefix = prefixOfToken(digest, tokenSecret)
      if (digestPrefix === null) continue
      const length = MARK_CHARS + token.length
      yield { kind: 'join-token', start, length, secretLength: tokenSecret.length, digestPrefix }
    } else if (unlockKey !== undefined && key !== undefined) {
      if (!isWhole(decodeBase64(key))) continue
      const length = MARK_CHARS + unlockKey.length
      yield { kind: 'unlock-key', start, length, secretLength: key.length, digestPrefix: null }
    } else if (share !== undefined && value !== undefined) {
      // The check is not looked at: a share with a slip in it gives the rest of itself away all the same.
      if (!isWhole(decodeBase36(value, UNLOCK_KEY_BYTES))) continue
      const length = MARK_CHARS + share.length
      yield { kind: 'unlock-key-share', start, length, secretLength: SHARE_SECRET_CHARS, digestPrefix: null }
    }
  }
}

/** The first digits of the digest, or `null` when one of the two numbers is too large for its bits. */
function prefixOfToken(digestDigits: string, secretDigits: string): string | null {
  const digest = decodeBase36(digestDigits, TRUST_DIGEST_BYTES)
  if (digest === null || !isWhole(decodeBase36(secretDigits, TOKEN_SECRET_BYTES))) return null
  return encodeHex(digest).slice(0, DIGEST_PREFIX_DIGITS)
}

/** Whether the secret decoded. Its bytes are of no further use and go at once. */
function isWhole(secret: Uint8Array | null): boolean {
  secret?.fill(0)
  return secret !== null
}
