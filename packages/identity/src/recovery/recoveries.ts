import { IdentityError } from '../errors.ts'
import { EVICTION_MARGIN_MS } from '../membership/membership.ts'
import type { NodeId } from '../membership/node-identity.ts'
import type { Decider } from '../ports.ts'
import { emptyShardedMap, lookUp, type ShardedMap, valuesOf, withEntry, withoutEntry } from '../sharded-map.ts'

/** How long after its certificate has ended a worker gets its identity again by its key alone, unless set: a week. */
export const DEFAULT_RECOVERY_GRACE_MS = 604_800_000

/** The longest grace, a week: so long after its end the eviction of a certificate is remembered for certain. */
export const MAX_RECOVERY_GRACE_MS: number = EVICTION_MARGIN_MS

/** How long the node has time to come after it was approved: a day, for nodes that ask once an hour. */
export const RECOVERY_APPROVAL_MS = 86_400_000

/** A node that has proven its last key and waits for an operator. */
export interface RecoveryClaim {
  readonly nodeId: NodeId
  /** The certificate whose key asked, in lower-case hexadecimal: the approval is for the holder of this key. */
  readonly serial: string
  readonly askedAt: number
  /** Until when it may come; `null` while nobody has approved. */
  readonly approvedUntil: number | null
}

/** How expired nodes come back, and who waits to. Read it with the queries of this module; its shape may change. */
export interface Recoveries {
  readonly graceMs: number
  readonly claims: ShardedMap<RecoveryClaim>
}

/** What may be asked of the recoveries. Instants are epoch milliseconds. */
export type RecoveryCommand =
  /** For every recovery from now on; 0 lets nobody in without approval. */
  | { readonly type: 'set-recovery-grace'; readonly graceMs: number }
  /** A node proved its last key too late, or is a manager. */
  | { readonly type: 'claim-recovery'; readonly nodeId: NodeId; readonly serial: string; readonly now: number }
  /** The operator lets the node in that waits. */
  | { readonly type: 'approve-recovery'; readonly nodeId: string; readonly now: number }
  /** The node has its identity again, or is gone. */
  | { readonly type: 'forget-recovery'; readonly nodeId: string }

/** What happened: JSON-safe. */
export type RecoveryEvent =
  | { readonly type: 'recovery-grace-set'; readonly graceMs: number }
  | { readonly type: 'recovery-claimed'; readonly nodeId: NodeId; readonly serial: string; readonly at: number }
  | { readonly type: 'recovery-approved'; readonly nodeId: string; readonly until: number }
  | { readonly type: 'recovery-forgotten'; readonly nodeId: string }

/** The node's claim, or `null`. */
export const recoveryClaimOf = ({ claims }: Recoveries, nodeId: string): RecoveryClaim | null => lookUp(claims, nodeId)

/** All claims, the oldest first. */
export const listRecoveryClaims = ({ claims }: Recoveries): readonly RecoveryClaim[] =>
  [...valuesOf(claims)].sort((a, b) => a.askedAt - b.askedAt || (a.nodeId < b.nodeId ? -1 : 1))

function decide(state: Recoveries, command: RecoveryCommand): readonly RecoveryEvent[] {
  switch (command.type) {
    case 'set-recovery-grace': {
      const { graceMs } = command
      if (!Number.isSafeInteger(graceMs) || graceMs < 0 || graceMs > MAX_RECOVERY_GRACE_MS)
        throw new RangeError(`a grace is a whole number of milliseconds up to ${MAX_RECOVERY_GRACE_MS}`)
      return graceMs === state.graceMs ? [] : [{ type: 'recovery-grace-set', graceMs }]
    }
    case 'claim-recovery': {
      const { nodeId, serial, now } = command
      if (recoveryClaimOf(state, nodeId)?.serial === serial) return []
      return [{ type: 'recovery-claimed', nodeId, serial, at: now }]
    }
    case 'approve-recovery': {
      const { nodeId, now } = command
      if (recoveryClaimOf(state, nodeId) === null)
        throw new IdentityError('RECOVERY_UNKNOWN', 'this node does not wait for approval; list those that do')
      return [{ type: 'recovery-approved', nodeId, until: now + RECOVERY_APPROVAL_MS }]
    }
    case 'forget-recovery':
      return recoveryClaimOf(state, command.nodeId) === null
        ? []
        : [{ type: 'recovery-forgotten', nodeId: command.nodeId }]
  }
}

function evolve(state: Recoveries, event: RecoveryEvent): Recoveries {
  switch (event.type) {
    case 'recovery-grace-set':
      return { ...state, graceMs: event.graceMs }
    case 'recovery-claimed': {
      const { nodeId, serial, at } = event
      const claim = { nodeId, serial, askedAt: at, approvedUntil: null }
      return { ...state, claims: withEntry(state.claims, nodeId, claim) }
    }
    case 'recovery-approved': {
      const claim = recoveryClaimOf(state, event.nodeId)
      if (claim === null) return state
      return { ...state, claims: withEntry(state.claims, event.nodeId, { ...claim, approvedUntil: event.until }) }
    }
    case 'recovery-forgotten':
      return { ...state, claims: withoutEntry(state.claims, event.nodeId) }
  }
}

/**
 * The grace for expired nodes and the claims of those that came after it, as a decider. There is at most one claim for each member,
 * because {@link planRecovery} makes them only for members that have proven their last key.
 *
 * `decide` refuses with an {@link IdentityError} `RECOVERY_UNKNOWN` to approve a node that does not wait, and with a RangeError a grace that
 * is no whole number up to {@link MAX_RECOVERY_GRACE_MS}.
 */
export const recoveries: Decider<Recoveries, RecoveryCommand, RecoveryEvent> = {
  initial: { graceMs: DEFAULT_RECOVERY_GRACE_MS, claims: emptyShardedMap() },
  decide,
  evolve,
}

/** The fewest events that lead to `state`, for a snapshot. */
export function* recoveryEvents(state: Recoveries): Generator<RecoveryEvent, void, void> {
  if (state.graceMs !== recoveries.initial.graceMs) yield { type: 'recovery-grace-set', graceMs: state.graceMs }
  for (const { nodeId, serial, askedAt, approvedUntil } of listRecoveryClaims(state)) {
    yield { type: 'recovery-claimed', nodeId, serial, at: askedAt }
    if (approvedUntil !== null) yield { type: 'recovery-approved', nodeId, until: approvedUntil }
  }
}
