import type { PeerIdentity } from '@leastwise/identity'
import type { Availability, NodeDescription, NodeRole } from '../node-description.ts'
import type { IssuanceState, SessionUpdate } from '../session-update.ts'
import type { AssignmentSet, TaskStatusUpdate } from '../task.ts'

/** Everything that waits takes one. */
export interface Waiting {
  readonly signal: AbortSignal
}

/** A node without identity asks for one. */
export interface EnrollRequest {
  /** PEM, exactly as received; echo these bytes unchanged in {@link CertificateStatus.csr}. */
  readonly csr: Uint8Array
  /** Untrusted text; at most {@link MAX_TOKEN_CHARS} characters. */
  readonly token: string
  /**
   * The role that the caller asked for. The token decides; a request for more than the token grants must be refused with
   * `ROLE_NOT_GRANTED`. Docker's own nodes leave the field at its zero value, which reads as `worker`.
   */
  readonly requestedRole: NodeRole
  readonly availability: Availability
}

/** A node with a valid, admitted certificate asks for the next one. */
export interface RenewRequest {
  readonly caller: PeerIdentity
  /** PEM, exactly as received. */
  readonly csr: Uint8Array
}

/** A node whose certificate has expired asks for the next one. Nothing of it is proven yet. */
export interface RecoverRequest {
  readonly nodeId: string
  /** Of the expired certificate, as the caller says. */
  readonly serial: string
  /** PEM, exactly as received. */
  readonly csr: Uint8Array
  readonly challenge: Uint8Array
  readonly signature: Uint8Array
}

/**
 * What a host must know to give nodes their identity again; `createRecoveryChallenges`, `proveRecovery` and `planRecovery` of
 * `@leastwise/identity` do the work.
 */
export interface RecoveryPort {
  /** A fresh challenge. Asked by anybody: it must cost nothing that lasts. */
  readonly challenge: () => Uint8Array
  /**
   * Judges the proof and starts issuing. Must be idempotent for the same CSR: answers get lost. Reject with any code of recovery of
   * `@leastwise/identity`, `RECOVERY_AWAITS_APPROVAL` among them.
   */
  readonly recover: (request: RecoverRequest, options: Waiting) => Promise<{ readonly nodeId: string }>
}

/** What a host must know to push evictions to its nodes; `createEvictionPublisher` of `@leastwise/identity` is one. */
export interface EvictionsPort {
  /**
   * Signed lists for one node, until the signal fires: what it lacks since number `known`, then each newer list at once, and a list
   * without news before the last one ends; a large one in pieces, one after the other. Ending the iteration ends the stream.
   */
  readonly lists: (known: number, options: Waiting) => AsyncIterable<Uint8Array>
}

/** Where a node's certificate stands. */
export interface CertificateStatus {
  readonly state: IssuanceState
  readonly role: NodeRole
  /** The CSR as the node sent it, byte for byte: a node accepts a certificate only with its own CSR beside it. */
  readonly csr: Uint8Array
  /** The chain as PEM, leaf first; `null` until issued. */
  readonly certificate: Uint8Array | null
  /** Why it failed, harmless words only; `null` unless `failed`. */
  readonly error: string | null
}

/** Who is behind an open session. */
export interface NodeSession {
  readonly nodeId: string
  readonly sessionId: string
}

/** `ready` with a live session, `disconnected` when it said good-bye or was cut, `down` when its heartbeats stopped. */
export type NodePresence = 'disconnected' | 'down' | 'ready'

/**
 * What a host must know to serve the node protocol; {@link createSwarmRoutes} does the rest.
 *
 * Values are plain domain data. A method refuses by throwing an error with a string `code`: the codes of `@leastwise/tokens`,
 * `@leastwise/identity`, `@leastwise/secrets` and {@link SwarmErrorCode} have their place in one table
 * ({@link wireStatusOf}); anything else becomes an internal error without details.
 */
export interface SwarmManager {
  /**
   * The trust bundle now in force, PEM, exactly the bytes over which join tokens carry the digest.
   *
   * @param wanted - The digest that the caller's token carries, in lower-case hexadecimal, when it says so ({@link TRUST_DIGEST_HEADER}): of several
   * bundles that are good at the end of a root rotation, give that one. Absent from a stock engine, which asks again when it was not its own.
   */
  readonly trustBundle: (wanted?: string | null) => Uint8Array
  /**
   * Admits a node and starts issuing. Must be idempotent for the same token and CSR key: answers get lost.
   * Reject with any token code, or `JOIN_TOKEN_REJECTED`, or `ROLE_NOT_GRANTED`.
   */
  readonly enroll: (request: EnrollRequest, options: Waiting) => Promise<{ readonly nodeId: string }>
  /**
   * Starts a renewal; the role comes from the host's record, never from the request. Do not refuse a renewal that is due:
   * leave it pending, or take your time (a stock engine repeats a refused one at once, without pause).
   */
  readonly renew: (request: RenewRequest, options: Waiting) => Promise<{ readonly nodeId: string }>
  /**
   * Waits until the state is final (`issued`, `failed`, `rotate`) and gives it; `null` for an unknown node. Rejects with
   * `signal.reason` when the caller gave up.
   *
   * @param caller - `null` for a node that is only joining.
   */
  readonly certificateStatus: (
    nodeId: string,
    caller: PeerIdentity | null,
    options: Waiting,
  ) => Promise<CertificateStatus | null>
  /**
   * The updates for one registered node: the first at once, then at each change. Ending the iteration ends the stream.
   * Called after the registration has been accepted.
   */
  readonly session: (
    session: NodeSession,
    description: NodeDescription,
    options: Waiting,
  ) => AsyncIterable<SessionUpdate>
  /** Sets for one registered node: one complete, then incremental ones. */
  readonly assignments: (session: NodeSession, options: Waiting) => AsyncIterable<AssignmentSet>
  /** What a node says of its tasks. Ignore updates for tasks of other nodes. */
  readonly taskStatus: (session: NodeSession, updates: readonly TaskStatusUpdate[], options: Waiting) => Promise<void>
  /** Without it, a node that slept past its expiry has to join again with a token. */
  readonly recovery?: RecoveryPort
  /** Without it, nodes hear of no evictions and refuse nobody among themselves. Stock engines do not ask. */
  readonly evictions?: EvictionsPort
  /** Told when a node's presence changes; must not throw. */
  readonly presence?: (nodeId: string, presence: NodePresence) => void
}
