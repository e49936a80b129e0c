import { Code, ConnectError } from '@connectrpc/connect'
import { SwarmError, type SwarmErrorCode } from '../errors.ts'
import { CODE_TRAILER, codeOf } from './status.ts'

// What Docker's own manager says when a token is wrong; it has no machine-readable code for it.
const DOCKER_TOKEN_TEXT = 'A valid join token is necessary'
// Nor for a node that was taken out of its swarm; it would keep what it holds and ask again for ever.
const DOCKER_REMOVED_TEXT = ' was removed from swarm'

/** Refusals that a manager words by code, and what the node makes of them. */
const BY_CODE: ReadonlyMap<string, readonly [SwarmErrorCode, string]> = new Map([
  ['JOIN_TOKEN_REJECTED', ['JOIN_TOKEN_REJECTED', 'manager does not accept the join token, ask for a new one']],
  [
    'ROLE_NOT_GRANTED',
    ['ROLE_NOT_GRANTED', 'join token does not grant the requested role, use one that was made for it'],
  ],
  ['PEER_EVICTED', ['NODE_EVICTED', 'node has been removed from the cluster, join again as a new node']],
  ['NODE_EVICTED', ['NODE_EVICTED', 'node has been removed from the cluster, join again as a new node']],
  ['SESSION_UNKNOWN', ['SESSION_UNKNOWN', 'manager does not know this session, open a new one']],
  ['SESSION_REPLACED', ['SESSION_REPLACED', 'another session of this node took the place of this one']],
  ['REGISTRATION_LIMIT', ['REGISTRATION_LIMIT', 'node registers too often, wait before the next session']],
  ['CALLER_ANONYMOUS', ['CALLER_ANONYMOUS', 'manager saw no client certificate, join the cluster first']],
  ['CALLER_ROLE', ['CALLER_ROLE', 'this call is not open to the role of this node']],
  ['NODE_UNKNOWN', ['NODE_UNKNOWN', 'manager does not know the node, join again']],
  [
    'RECOVERY_AWAITS_APPROVAL',
    ['RECOVERY_AWAITS_APPROVAL', 'this node was away for too long, ask an operator of the cluster to approve it'],
  ],
  [
    'RECOVERY_KEY_SUPERSEDED',
    [
      'RECOVERY_KEY_SUPERSEDED',
      'the key of this node is not the last that the cluster knows, join again as a new node',
    ],
  ],
  [
    'RECOVERY_PROOF_INVALID',
    ['RECOVERY_REFUSED', 'manager does not accept the proof of the last key, join again as a new node'],
  ],
  ['RECOVERY_CHALLENGE_EXPIRED', ['RECOVERY_REFUSED', 'the challenge expired on the way, try again']],
  ['REQUEST_MALFORMED', ['REQUEST_MALFORMED', 'manager cannot use the request']],
  ['REQUEST_TOO_LARGE', ['REQUEST_TOO_LARGE', 'manager finds the request too large']],
  ['UNLOCK_KEY_NOT_KEPT', ['UNLOCK_KEY_NOT_KEPT', 'the unlock key is not kept in the cluster']],
])

// OpenSSL's and Node's words for "I do not trust this certificate".
const UNTRUSTED =
  /^(?:ERR_TLS_CERT_ALTNAME_INVALID|CERT_.*|.*SELF_SIGNED_CERT.*|UNABLE_TO_.*|INVALID_CA|.*_ISSUER_CERT.*|PEER_WRONG_CLUSTER)$/

/** The codes along the chain of causes; a connection's own error lies some levels deep. */
function* causeCodes(error: unknown): Generator<string, void, void> {
  let at: unknown = error
  for (let depth = 0; depth < 8 && typeof at === 'object' && at !== null; depth += 1) {
    const code = codeOf(at)
    if (code !== null) yield code
    at = 'cause' in at ? at.cause : null
  }
}

// Node's words for "that was no TLS" and "no HTTP/2 here".
const OTHER_TLS = /^ERR_SSL_(?:WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|.*NO_APPLICATION_PROTOCOL)$/
// What the gRPC client says of an answer that is plain HTTP.
const OTHER_HTTP = /^(?:unsupported content type|HTTP \d{3}$)/

/** Whether something else than a manager answered, as far as that can be told. */
function isOtherProtocol(error: ConnectError): boolean {
  if (OTHER_HTTP.test(error.rawMessage)) return true
  for (const code of causeCodes(error.cause)) if (OTHER_TLS.test(code)) return true
  return false
}

const SILENT: ReadonlySet<Code> = new Set([Code.Unavailable, Code.DeadlineExceeded, Code.Canceled, Code.Aborted])

/** Whether a failed call says that the manager does not know the method. */
export const isUnimplemented = (error: unknown): boolean =>
  error instanceof SwarmError && error.cause instanceof ConnectError && error.cause.code === Code.Unimplemented

function byStatus(error: ConnectError): SwarmError {
  const made = (code: SwarmErrorCode, message: string): SwarmError => new SwarmError(code, message, { cause: error })
  if (error.code === Code.InvalidArgument) {
    return error.rawMessage.includes(DOCKER_TOKEN_TEXT)
      ? made('JOIN_TOKEN_REJECTED', 'manager does not accept the join token, ask for a new one')
      : made('MANAGER_REFUSED', 'manager does not accept the request, compare the versions of both sides')
  }
  if (error.code === Code.PermissionDenied && error.rawMessage.includes(DOCKER_REMOVED_TEXT))
    return made('NODE_EVICTED', 'node has been removed from the cluster, join again as a new node')
  if (error.code === Code.NotFound)
    return made('SESSION_UNKNOWN', 'manager does not know this node or session, register again')
  if (isOtherProtocol(error))
    return made(
      'MANAGER_REFUSED',
      'what answers there does not speak the protocol of a manager, check address and port',
    )
  return SILENT.has(error.code)
    ? made('MANAGER_UNREACHABLE', 'manager did not answer, check its address and that it runs')
    : made('MANAGER_REFUSED', 'manager refused the call, look into its log')
}

/**
 * What a failed call means to a node. Coded errors pass as they are.
 *
 * The code in the trailer comes first, then Docker's texts and the plain gRPC status.
 */
export function answerError(error: unknown): Error {
  if (!(error instanceof ConnectError)) {
    if (error instanceof Error && codeOf(error) !== null && !isConnectionError(error)) return error
    return new SwarmError(
      'MANAGER_UNREACHABLE',
      'connection to the manager failed, check its address and that it runs',
      { cause: error },
    )
  }
  const known = BY_CODE.get(error.metadata.get(CODE_TRAILER) ?? '')
  if (known !== undefined) return new SwarmError(known[0], known[1], { cause: error })
  for (const code of causeCodes(error.cause))
    if (UNTRUSTED.test(code))
      return new SwarmError(
        'MANAGER_UNTRUSTED',
        'manager does not prove that it belongs to this cluster, check the address',
        { cause: error },
      )
  return byStatus(error)
}

const isConnectionError = (error: Error): boolean => /^E[A-Z]/.test(codeOf(error) ?? '')
