/** Every way in which this package refuses; `docs/errors.md` says what each means and what to do. */
export type TokenErrorCode =
  | 'TOKEN_MALFORMED'
  | 'TOKEN_UNSUPPORTED_VERSION'
  | 'TOKEN_UNKNOWN'
  | 'TOKEN_EXPIRED'
  | 'TOKEN_EXHAUSTED'
  | 'TOKEN_REVOKED'
  | 'TOKEN_EXISTS'
  | 'TOKEN_LIMIT'
  | 'CA_DIGEST_MISMATCH'
  | 'UNLOCK_KEY_MALFORMED'
  | 'ID_MALFORMED'
  | 'LIFETIME_OUT_OF_RANGE'
  | 'USES_OUT_OF_RANGE'

/** All codes of {@link TokenError}, in the order of their declaration. */
export const TOKEN_ERROR_CODES: readonly TokenErrorCode[] = [
  'TOKEN_MALFORMED',
  'TOKEN_UNSUPPORTED_VERSION',
  'TOKEN_UNKNOWN',
  'TOKEN_EXPIRED',
  'TOKEN_EXHAUSTED',
  'TOKEN_REVOKED',
  'TOKEN_EXISTS',
  'TOKEN_LIMIT',
  'CA_DIGEST_MISMATCH',
  'UNLOCK_KEY_MALFORMED',
  'ID_MALFORMED',
  'LIFETIME_OUT_OF_RANGE',
  'USES_OUT_OF_RANGE',
]

/** The public facts that a {@link TokenError} may carry beside its cause. */
export interface TokenErrorOptions extends ErrorOptions {
  readonly tokenId?: string
  readonly expectedDigest?: string
  readonly seenDigest?: string
}

/**
 * What this package throws when the world is at fault: a text that does not parse, a token that may not be used.
 *
 * Message and fields never hold a token, a secret, a key or any part of the refused input. Tell errors apart by `code`,
 * which also works when two copies of this package are loaded.
 */
export class TokenError extends Error {
  override readonly name = 'TokenError'
  readonly code: TokenErrorCode
  /** The id of the registry's token that was refused; `null` where none is concerned. Ids are public. */
  readonly tokenId: string | null
  /** With `CA_DIGEST_MISMATCH`: the digest that the join token carries, in hex. Digests are public. */
  readonly expectedDigest: string | null
  /** With `CA_DIGEST_MISMATCH`: the digest of the trust bundle that was received, in hex. */
  readonly seenDigest: string | null

  constructor(code: TokenErrorCode, message: string, options: TokenErrorOptions = {}) {
    super(message, options)
    this.code = code
    this.tokenId = options.tokenId ?? null
    this.expectedDigest = options.expectedDigest ?? null
    this.seenDigest = options.seenDigest ?? null
  }
}
