/** Every code that this package gives; `docs/errors.md` explains each. */
export const SWARM_ERROR_CODES = [
  'ADDRESS_MALFORMED',
  'ASSIGNMENT_GAP',
  'CALLER_ANONYMOUS',
  'CALLER_ROLE',
  'CERTIFICATE_FAILED',
  'CERTIFICATE_UNACCEPTABLE',
  'JOIN_TOKEN_REJECTED',
  'MANAGER_REFUSED',
  'MANAGER_UNREACHABLE',
  'MANAGER_UNTRUSTED',
  'MESSAGE_MALFORMED',
  'NODE_EVICTED',
  'NODE_UNKNOWN',
  'RECOVERY_AWAITS_APPROVAL',
  'RECOVERY_KEY_SUPERSEDED',
  'RECOVERY_REFUSED',
  'REGISTRATION_LIMIT',
  'REQUEST_MALFORMED',
  'REQUEST_TOO_LARGE',
  'ROLE_NOT_GRANTED',
  'SESSION_REPLACED',
  'SESSION_UNKNOWN',
  'TRUST_BUNDLE_UNRELATED',
  'UNLOCK_KEY_NOT_KEPT',
  'WORKER_FAILED',
] as const

/**
 * The closed vocabulary of refusals on the node protocol.
 *
 * The same words travel in the `leastwise-code` trailer of an answer, so that both sides of a call see one code.
 */
export type SwarmErrorCode = (typeof SWARM_ERROR_CODES)[number]

/** A refusal by this package. Decide on `code`, not on the message; the message holds no token, key or input. */
export class SwarmError extends Error {
  override readonly name = 'SwarmError'
  readonly code: SwarmErrorCode

  constructor(code: SwarmErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
