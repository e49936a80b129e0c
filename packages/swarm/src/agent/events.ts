import type { HeldEvictions } from '@leastwise/identity'
import type { NodeDescription, NodeRole } from '../node-description.ts'
import type { ManagerList, ManagerPeer } from '../session-update.ts'
import type { AssignmentSet, TaskStatusUpdate } from '../task.ts'

/** A node's identity as it holds it: what proves who it is, and whom it trusts. */
export interface NodeCredentials {
  readonly nodeId: string
  readonly clusterId: string
  readonly role: NodeRole
  /** PKCS#8, DER. Never leaves the node. */
  readonly privateKey: Uint8Array
  /** PEM, leaf first. */
  readonly certificateChain: string
  /** PEM, exactly the bytes received from the manager. */
  readonly trustBundle: Uint8Array
  /** Epoch milliseconds, of the leaf. */
  readonly notBefore: number
  readonly notAfter: number
}

/** What an agent does with its assignments; the host implements it. */
export interface Worker {
  /**
   * Applies one set. Its changes stand in the order to apply them in: new secrets, then tasks, then secrets that go. Sets arrive in order and one at a time; the next waits for this promise. Throwing an error makes the
   * agent open a fresh stream, which begins with a complete set.
   */
  readonly applyAssignments: (set: AssignmentSet, options: { readonly signal: AbortSignal }) => Promise<void>
  /**
   * What to report of tasks, for as long as a session lives; the newest state of each running or just ended task first.
   * Called again for each new session. An update that could not be delivered comes back through a new call, so begin with
   * the present state of every task that the manager may not know of.
   */
  readonly taskStatuses: (options: { readonly signal: AbortSignal }) => AsyncIterable<readonly TaskStatusUpdate[]>
}

/** What an agent tells its host, as data. */
export type AgentEvent =
  | { readonly type: 'session'; readonly sessionId: string; readonly address: string }
  | { readonly type: 'managers'; readonly managers: ManagerList }
  | { readonly type: 'renewal-scheduled'; readonly at: number }
  /** `recovered`: after its certificate had expired. */
  | { readonly type: 'renewed'; readonly credentials: NodeCredentials; readonly reason: 'asked' | 'due' | 'recovered' }
  | { readonly type: 'renewal-failed'; readonly code: string; readonly retryAt: number }
  /** The certificate expired too long ago: an operator has to approve the node, which goes on asking. */
  | { readonly type: 'recovery-waits'; readonly code: 'RECOVERY_AWAITS_APPROVAL'; readonly retryInMs: number }
  /**
   * How far the manager's clock is ahead, as the new certificate shows: at least, at most. `skewed` when they certainly differ by more than five
   * minutes: then set the clock of one of them.
   */
  | { readonly type: 'clock-skew'; readonly leastMs: number; readonly mostMs: number; readonly skewed: boolean }
  | { readonly type: 'trust-bundle'; readonly credentials: NodeCredentials }
  /** It does not vouch for the node; the one before stays. */
  | { readonly type: 'trust-bundle-refused'; readonly code: string }
  /** The host could not keep what a manager has told. It is tried again by itself; until then a trust bundle is not used, a list of managers is. */
  | {
      readonly type: 'save-failed'
      readonly what: 'managers' | 'trust-bundle'
      readonly code: string
      readonly retryInMs: number
    }
  | {
      readonly type: 'assignments'
      readonly kind: AssignmentSet['kind']
      readonly resultsIn: string
      readonly changes: number
    }
  | { readonly type: 'assignments-failed'; readonly code: string; readonly retryInMs: number }
  /** A list of evictions was taken, with news or without; `evictions` counts those that the node holds. Its number, and until when nothing newer is missed. */
  | {
      readonly type: 'evictions'
      readonly sequence: number
      readonly evictions: number
      readonly validUntil: number
    }
  /** A list was not good, could not be kept, or did not come. */
  | { readonly type: 'evictions-refused'; readonly code: string; readonly retryInMs: number }
  /** This manager pushes no lists: it is one of Docker's own, or its host serves none. */
  | { readonly type: 'evictions-unavailable'; readonly address: string }
  /** No list came in time, since that instant: the managers cannot be reached, or somebody keeps lists back. */
  | { readonly type: 'evictions-stale'; readonly since: number }
  | { readonly type: 'disconnected'; readonly code: string; readonly address: string; readonly retryInMs: number }
  | { readonly type: 'evicted' }

/** What an agent needs from its host, apart from the world (clock, randomness). */
export interface AgentOptions {
  readonly credentials: NodeCredentials
  /** Where to find managers, `host:port`; the session then tells of more. */
  readonly managers: readonly [string, ...string[]]
  /** `tls: null` lets the agent fill in what it knows of its own trust. */
  readonly description: NodeDescription
  readonly worker: Worker
  /**
   * Takes the lists of evictions that managers push, for everything on this node that talks to other nodes. Without it the agent asks for
   * none.
   */
  readonly evictions?: HeldEvictions
  /** Must be durable when the promise resolves; only then are the new credentials used. */
  readonly saveCredentials: (credentials: NodeCredentials) => Promise<void>
  /** Keeps the list of managers for the next start. */
  readonly saveManagers: (managers: readonly ManagerPeer[]) => Promise<void>
  readonly signal: AbortSignal
}
