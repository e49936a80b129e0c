/** Every code that this package gives; `docs/errors.md` explains each. */
export const IDENTITY_ERROR_CODES = [
  'NODE_ID_MALFORMED',
  'CLUSTER_ID_MALFORMED',
  'CSR_MALFORMED',
  'CSR_TOO_LARGE',
  'CSR_KEY_UNSUPPORTED',
  'CSR_SIGNATURE_INVALID',
  'CERTIFICATE_MALFORMED',
  'CERTIFICATE_TOO_LARGE',
  'CERTIFICATE_UNSUPPORTED',
  'TRUST_BUNDLE_MALFORMED',
  'TRUST_BUNDLE_TOO_LARGE',
  'TRUST_BUNDLE_ROOT_INVALID',
  'AUTHORITY_KEY_MISMATCH',
  'AUTHORITY_UNFIT',
  'AUTHORITY_CHAIN_INVALID',
  'LIFETIME_TOO_SHORT',
  'LIFETIME_EXCEEDS_ISSUER',
  'PRIVATE_KEY_MALFORMED',
  'PRIVATE_KEY_UNSUPPORTED',
  'PEER_CHAIN_INVALID',
  'PEER_UNTRUSTED',
  'PEER_ISSUER_UNFIT',
  'PEER_PROFILE_INVALID',
  'PEER_SUBJECT_INVALID',
  'PEER_NOT_YET_VALID',
  'PEER_EXPIRED',
  'PEER_WRONG_CLUSTER',
  'PEER_WRONG_ROLE',
  'PEER_EVICTED',
  'PEER_UNKNOWN',
  'PEER_DISCONNECTED',
  'CLUSTER_EXISTS',
  'CLUSTER_MISSING',
  'NODE_EXISTS',
  'NODE_UNKNOWN',
  'NODE_EVICTED',
  'NODE_KEY_REUSED',
  'CSR_SUPERSEDED',
  'MEMBERSHIP_FULL',
  'TLS_IDENTITY_INVALID',
  'KEY_FILE_MISSING',
  'KEY_FILE_MALFORMED',
  'KEY_FILE_LOCKED',
  'KEY_FILE_WRONG_KEY',
  'KEY_FILE_UNSAFE',
  'KEY_FILE_KEY_MISMATCH',
  'KEY_FILE_READ_FAILED',
  'KEY_FILE_WRITE_FAILED',
] as const

/** The closed vocabulary of refusals. */
export type IdentityErrorCode = (typeof IDENTITY_ERROR_CODES)[number]

/**
 * A refusal by this package. Decide on `code`, not on the message; the message holds no key, no token and no input.
 */
export class IdentityError extends Error {
  override readonly name = 'IdentityError'
  readonly code: IdentityErrorCode

  constructor(code: IdentityErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
