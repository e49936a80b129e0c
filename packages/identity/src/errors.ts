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
  'EXTERNAL_CA_URL_INVALID',
  'EXTERNAL_CA_UNREACHABLE',
  'EXTERNAL_CA_TIMEOUT',
  'EXTERNAL_CA_BUSY',
  'EXTERNAL_CA_UNTRUSTED',
  'EXTERNAL_CA_REFUSED',
  'EXTERNAL_CA_ANSWER_TOO_LARGE',
  'EXTERNAL_CA_ANSWER_MALFORMED',
  'ISSUED_KEY_MISMATCH',
  'ISSUED_SUBJECT_MISMATCH',
  'ISSUED_NAMES_MISMATCH',
  'ISSUED_USAGE_MISMATCH',
  'ISSUED_CONSTRAINTS_MISMATCH',
  'ISSUED_EXTENSION_UNEXPECTED',
  'ISSUED_KEY_ID_MISMATCH',
  'ISSUED_LIFETIME_MISMATCH',
  'ISSUED_ISSUER_UNTRUSTED',
] as const

/** The closed vocabulary of refusals. */
export type IdentityErrorCode = (typeof IDENTITY_ERROR_CODES)[number]

/** What an error of this package may say besides its code. */
export interface IdentityErrorOptions extends ErrorOptions {
  readonly retryable?: boolean
}

/**
 * A refusal by this package. Decide on `code`, not on the message; the message holds no key, no token and no input.
 */
export class IdentityError extends Error {
  override readonly name = 'IdentityError'
  readonly code: IdentityErrorCode
  /** True when an external CA could not be asked or had no time: the same request may succeed later as it is. */
  readonly retryable: boolean

  constructor(code: IdentityErrorCode, message: string, options?: IdentityErrorOptions) {
    super(message, options)
    this.code = code
    this.retryable = options?.retryable ?? false
  }
}
