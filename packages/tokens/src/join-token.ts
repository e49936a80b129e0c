import { decodeBase36, encodeBase36 } from './base36.ts'
import { TokenError } from './errors.ts'
import type { RandomSource } from './ports.ts'
import { createTokenSecret, TOKEN_SECRET_BYTES, TokenSecret } from './token-secret.ts'
import { TRUST_DIGEST_BYTES } from './trust-digest.ts'

// Docker Swarm's grammar, digits being 0-9 a-z:
//   SWMTKN-1-<50 digits: trust digest>-<25 digits: secret>
//   SWMTKN-2-<0 or 1: FIPS>-<50 digits>-<25 digits>
// 36^49 < 2^256 <= 36^50 and 36^24 < 2^128 <= 36^25, hence the widths.
const DIGEST_DIGITS = 50
const SECRET_DIGITS = 25
const SHAPE = /^SWMTKN-(?:1|2-([01]))-([0-9a-z]{50})-([0-9a-z]{25})$/
const OTHER_VERSION = /^SWMTKN-(?![12]-)[1-9][0-9]{0,3}-/

/** Length of the longest token there is (version 2); version 1 is two characters shorter. */
export const MAX_JOIN_TOKEN_CHARS = 87

declare const joinToken: unique symbol

/** The text of a join token, `SWMTKN-1-…` or `SWMTKN-2-…`, in canonical form. It contains the secret: never log it. */
export type JoinToken = string & { readonly [joinToken]: true }

/** What a new token is made of. */
export interface JoinTokenParts {
  /** SHA-256 of the cluster's trust bundle, 32 bytes; {@link trustDigestOf} computes it. */
  readonly trustDigest: Uint8Array
  readonly secret: TokenSecret
}

/** A join token, taken apart. Printing it shows everything but the secret. */
export interface ParsedJoinToken extends JoinTokenParts {
  /** 2 is only read, never written. */
  readonly version: 1 | 2
  /** Whether only nodes in FIPS mode may use it; always false in version 1. */
  readonly fips: boolean
  /** 32 bytes; the trust bundle of the right cluster has this SHA-256. */
  readonly trustDigest: Uint8Array<ArrayBuffer>
  /** The same text that was parsed, put together anew on each reading: no second copy of the secret is kept beside `secret`. */
  readonly token: JoinToken
}

class JoinTokenValue implements ParsedJoinToken {
  // Node's inspect can be told to call getters; what it finds under this key it prints instead.
  static {
    Object.defineProperty(JoinTokenValue.prototype, Symbol.for('nodejs.util.inspect.custom'), {
      value: function (this: JoinTokenValue): object {
        const { version, fips, trustDigest, secret } = this
        return { version, fips, trustDigest, secret }
      },
    })
  }

  readonly version: 1 | 2
  readonly fips: boolean
  readonly trustDigest: Uint8Array<ArrayBuffer>
  readonly secret: TokenSecret

  constructor(version: 1 | 2, fips: boolean, trustDigest: Uint8Array, secret: TokenSecret) {
    this.version = version
    this.fips = fips
    this.trustDigest = Uint8Array.from(trustDigest)
    this.secret = secret
  }

  // A getter of the class and no own property, so that printing or spreading the value does not show the secret.
  get token(): JoinToken {
    const head = this.version === 1 ? '1' : `2-${this.fips ? '1' : '0'}`
    const secret = this.secret.expose((bytes) => encodeBase36(bytes, SECRET_DIGITS))
    return `SWMTKN-${head}-${encodeBase36(this.trustDigest, DIGEST_DIGITS)}-${secret}` as JoinToken
  }
}

/**
 * Reads a join token of version 1 or 2, exactly in Docker Swarm's grammar.
 *
 * Strict: whatever is accepted is the only text for its parts. White space, upper case, and numbers beyond 256 or 128 bits are refused.
 *
 * @param text - The token as the operator was given it.
 * @returns Its parts. The caller owns `secret` and wipes it when the join is done.
 * @throws {@link TokenError} `TOKEN_MALFORMED` when the text is not a token; the message says which rule it breaks.
 * @throws {@link TokenError} `TOKEN_UNSUPPORTED_VERSION` when it is one of a version other than 1 and 2.
 */
export function parseJoinToken(text: string): ParsedJoinToken {
  const [, fips, digestDigits, secretDigits] = SHAPE.exec(text) ?? []
  if (digestDigits === undefined || secretDigits === undefined) throw refusal(text)
  const trustDigest = decodeBase36(digestDigits, TRUST_DIGEST_BYTES)
  const secretBytes = decodeBase36(secretDigits, TOKEN_SECRET_BYTES)
  if (trustDigest === null) throw malformed('its digest is larger than 256 bits')
  if (secretBytes === null) throw malformed('its secret is larger than 128 bits')
  const secret = new TokenSecret(secretBytes)
  secretBytes.fill(0)
  return new JoinTokenValue(fips === undefined ? 1 : 2, fips === '1', trustDigest, secret)
}

/**
 * A new token of version 1 with a fresh secret.
 *
 * @param options - `trustDigest`: SHA-256 of the cluster's trust bundle, 32 bytes; `random`: gives one draw of 16 bytes.
 * @returns The token; register {@link hashTokenSecret} of its secret, show `token` once, then wipe the secret.
 * @throws RangeError if the digest does not have 32 bytes or the random source gives too little.
 */
export function createJoinToken(options: {
  readonly trustDigest: Uint8Array
  readonly random: RandomSource
}): ParsedJoinToken {
  checkDigest(options.trustDigest)
  return new JoinTokenValue(1, false, options.trustDigest, createTokenSecret(options.random))
}

/**
 * The text of a token of version 1.
 *
 * @param parts - The digest (32 bytes) and the secret.
 * @throws RangeError if the digest does not have 32 bytes.
 * @throws TypeError if the secret was wiped.
 */
export function formatJoinToken(parts: JoinTokenParts): JoinToken {
  checkDigest(parts.trustDigest)
  return new JoinTokenValue(1, false, parts.trustDigest, parts.secret).token
}

function checkDigest(trustDigest: Uint8Array): void {
  if (trustDigest.length !== TRUST_DIGEST_BYTES) {
    throw new RangeError(`a trust digest has ${TRUST_DIGEST_BYTES} bytes, not ${trustDigest.length}`)
  }
}

/** Why the text has no token's shape, in words that help whoever pasted it and repeat nothing of it. */
function refusal(text: string): TokenError {
  if (OTHER_VERSION.test(text)) {
    return new TokenError(
      'TOKEN_UNSUPPORTED_VERSION',
      'join token is of a version other than 1 and 2; update this node',
    )
  }
  if (text.length > MAX_JOIN_TOKEN_CHARS) return malformed(`it has more than ${MAX_JOIN_TOKEN_CHARS} characters`)
  if (text.trim() !== text) return malformed('there is white space around it')
  if (!text.startsWith('SWMTKN-')) return malformed('it does not start with SWMTKN-')
  const whole = text.startsWith('SWMTKN-2-') ? MAX_JOIN_TOKEN_CHARS : MAX_JOIN_TOKEN_CHARS - 2
  if (text.length !== whole) return malformed(`it has ${text.length} characters instead of ${whole}`)
  return malformed('its parts are not separated by hyphens or hold something else than 0-9 and a-z')
}

function malformed(why: string): TokenError {
  return new TokenError('TOKEN_MALFORMED', `join token is malformed: ${why}; copy the whole token as it was printed`)
}
