import { Code, ConnectError } from '@connectrpc/connect'

/** The trailer that carries the machine-readable code of a refusal. Docker's own nodes ignore it. */
export const CODE_TRAILER = 'leastwise-code'

/** How one refusal looks on the wire. */
export interface WireStatus {
  readonly status: Code
  /** Fixed words; nothing of the error's own message goes out. */
  readonly message: string
  /** The code that travels in {@link CODE_TRAILER}. */
  readonly code: string
}

// Docker's engines show these two sentences to their operators as they are, and tools look for them.
const TOKEN_TEXT = 'A valid join token is necessary to join this cluster'
const roleText = (detail: string): string =>
  `Permission denied: unauthorized peer role: rpc error: code = PermissionDenied desc = ${detail}`

const row = (status: Code, code: string, message: string): WireStatus => ({ status, code, message })

// One face for every reason why a token is not good: who holds a dead token learns nothing about its past.
const token = row(Code.InvalidArgument, 'JOIN_TOKEN_REJECTED', TOKEN_TEXT)
const csr = (code: string): WireStatus => row(Code.InvalidArgument, code, 'certificate request is not usable')
const peer = (code: string, message: string): WireStatus => row(Code.PermissionDenied, code, message)
const locked = row(Code.Unavailable, 'KEY_FILE_LOCKED', 'manager is locked and needs its unlock key')
const evicted = peer('PEER_EVICTED', 'Permission denied: node has been removed from this cluster')

const recovery = (code: string, message: string): WireStatus => row(Code.PermissionDenied, code, message)

const TABLE: ReadonlyMap<string, WireStatus> = new Map(
  Object.entries({
    JOIN_TOKEN_REJECTED: token,
    TOKEN_MALFORMED: token,
    TOKEN_UNSUPPORTED_VERSION: token,
    TOKEN_UNKNOWN: token,
    TOKEN_EXPIRED: token,
    TOKEN_EXHAUSTED: token,
    TOKEN_REVOKED: token,
    ROLE_NOT_GRANTED: peer('ROLE_NOT_GRANTED', 'Permission denied: the join token does not grant the requested role'),
    CSR_MALFORMED: csr('CSR_MALFORMED'),
    CSR_TOO_LARGE: csr('CSR_TOO_LARGE'),
    CSR_KEY_UNSUPPORTED: csr('CSR_KEY_UNSUPPORTED'),
    CSR_SIGNATURE_INVALID: csr('CSR_SIGNATURE_INVALID'),
    CSR_SUPERSEDED: row(Code.Aborted, 'CSR_SUPERSEDED', 'a newer certificate request took its place'),
    NODE_KEY_REUSED: csr('NODE_KEY_REUSED'),
    MEMBERSHIP_FULL: row(Code.ResourceExhausted, 'MEMBERSHIP_FULL', 'cluster takes no more nodes'),
    PEER_EVICTED: evicted,
    NODE_EVICTED: evicted,
    PEER_UNKNOWN: peer('PEER_UNKNOWN', 'Permission denied: node is not a member of this cluster'),
    PEER_WRONG_CLUSTER: peer('PEER_WRONG_CLUSTER', 'Permission denied: certificate is of another cluster'),
    PEER_WRONG_ROLE: peer('PEER_WRONG_ROLE', 'Permission denied: certificate is of a role that the node no longer has'),
    PEER_ROLE_STALE: peer('PEER_ROLE_STALE', 'Permission denied: certificate is from before the role was last changed'),
    PEER_EXPIRED: peer('PEER_EXPIRED', 'Permission denied: certificate has expired'),
    PEER_NOT_YET_VALID: peer('PEER_NOT_YET_VALID', 'Permission denied: certificate is not valid yet'),
    RECOVERY_CHALLENGE_EXPIRED: row(
      Code.FailedPrecondition,
      'RECOVERY_CHALLENGE_EXPIRED',
      'challenge is too old, ask for a new one',
    ),
    RECOVERY_PROOF_INVALID: recovery('RECOVERY_PROOF_INVALID', 'Permission denied: not signed by the last key'),
    RECOVERY_KEY_SUPERSEDED: recovery('RECOVERY_KEY_SUPERSEDED', 'Permission denied: not the last key of the node'),
    RECOVERY_AWAITS_APPROVAL: recovery('RECOVERY_AWAITS_APPROVAL', 'Permission denied: an operator has to approve'),
    CALLER_ANONYMOUS: peer('CALLER_ANONYMOUS', roleText('no client certificates in request')),
    CALLER_ROLE: peer(
      'CALLER_ROLE',
      roleText('Permission denied: remote certificate not part of OUs: [swarm-manager]'),
    ),
    NODE_UNKNOWN: row(Code.NotFound, 'NODE_UNKNOWN', 'node not found'),
    SESSION_UNKNOWN: row(Code.NotFound, 'SESSION_UNKNOWN', 'node is not registered with this session'),
    SESSION_REPLACED: row(Code.NotFound, 'SESSION_REPLACED', 'node has registered again'),
    REGISTRATION_LIMIT: row(Code.Unavailable, 'REGISTRATION_LIMIT', 'node registers too often'),
    REQUEST_MALFORMED: row(Code.InvalidArgument, 'REQUEST_MALFORMED', 'request is not usable'),
    REQUEST_TOO_LARGE: row(Code.InvalidArgument, 'REQUEST_TOO_LARGE', 'request is too large'),
    UNLOCK_KEY_NOT_KEPT: row(Code.Unimplemented, 'UNLOCK_KEY_NOT_KEPT', 'this cluster does not keep its unlock key'),
    KEY_FILE_LOCKED: locked,
    LOG_LOCKED: locked,
    KEYRING_LOCKED: locked,
  }),
)

const INTERNAL = row(Code.Internal, 'INTERNAL', 'manager could not answer, look into its own log')

/** The `code` of any coded error, or `null`. */
export function codeOf(error: unknown): string | null {
  if (typeof error !== 'object' || error === null || !('code' in error)) return null
  return typeof error.code === 'string' ? error.code : null
}

/** Words for an event that tells of an error; the error itself stays inside. */
export const nameOf = (error: unknown): string => codeOf(error) ?? 'UNEXPECTED'

/**
 * How a host's error is told to a caller. An error without a code, or with one that is nobody's business outside, becomes
 * `INTERNAL` with fixed words: no message, path or value of the manager leaves it.
 */
export function wireStatusOf(error: unknown): WireStatus {
  const code = codeOf(error)
  return (code === null ? undefined : TABLE.get(code)) ?? INTERNAL
}

/** The same as an error that the gRPC layer sends; errors of that layer itself pass as they are. */
export function toConnectError(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error
  const { status, message, code } = wireStatusOf(error)
  return new ConnectError(message, status, { [CODE_TRAILER]: code }, undefined, error)
}
