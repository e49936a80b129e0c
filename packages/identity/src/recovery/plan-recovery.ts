import { IdentityError } from '../errors.ts'
import type { EvictionBook } from '../eviction/eviction-book.ts'
import type { MembershipCommand } from '../membership/membership-events.ts'
import type { Membership } from '../membership/membership-state.ts'
import type { NodeRecord } from '../membership/node-record.ts'
import { isRepeated, lastCertificateOf, type ProvenRecovery, recoverableNode } from './prove-recovery.ts'
import { type Recoveries, type RecoveryCommand, recoveryClaimOf } from './recoveries.ts'

/** What to do about a proven recovery: all of it in one entry of the log. */
export interface RecoveryPlan {
  readonly membership: readonly MembershipCommand[]
  readonly recoveries: readonly RecoveryCommand[]
  /** Throw this when the commands are durable; `null` when the node gets its identity again. */
  readonly refusal: IdentityError | null
}

/** What {@link planRecovery} decides on. */
export interface PlanRecoveryOptions {
  readonly membership: Membership
  readonly recoveries: Recoveries
  /** Where a host has a book of evictions. */
  readonly evictions?: EvictionBook
  /** Hash of {@link ProvenRecovery.publicKey}, as the membership keeps it. */
  readonly publicKeyHash: string
  readonly now: number
}

const withinGrace = ({ role, notAfter }: NodeRecord, { graceMs }: Recoveries, now: number): boolean =>
  role === 'worker' && notAfter !== null && now <= notAfter + graceMs

function isApproved(node: NodeRecord, state: Recoveries, now: number): boolean {
  const claim = recoveryClaimOf(state, node.nodeId)
  return claim !== null && claim.serial === node.serial && claim.approvedUntil !== null && now <= claim.approvedUntil
}

/**
 * Decides on a proven recovery: a worker within the grace, and whoever an operator approved, renews as if its certificate were
 * still good; others wait for approval, managers always. Decide on the very state that the commands will meet.
 *
 * @throws {@link IdentityError} `NODE_EVICTED`, `NODE_UNKNOWN` or `RECOVERY_KEY_SUPERSEDED` when that came about since the proof.
 */
export function planRecovery(proven: ProvenRecovery, options: PlanRecoveryOptions): RecoveryPlan {
  const { membership, recoveries, evictions, publicKeyHash, now } = options
  const { nodeId, serial, csr } = proven
  const node = recoverableNode(membership, nodeId)
  if (isRepeated(node, csr, now)) return { membership: [], recoveries: [], refusal: null }
  lastCertificateOf(node, serial, evictions)
  if (withinGrace(node, recoveries, now) || isApproved(node, recoveries, now)) {
    return {
      membership: [{ type: 'renew', nodeId, csr, publicKeyHash }],
      recoveries: [{ type: 'forget-recovery', nodeId }],
      refusal: null,
    }
  }
  return {
    membership: [],
    recoveries: [{ type: 'claim-recovery', nodeId, serial, now }],
    refusal: new IdentityError(
      'RECOVERY_AWAITS_APPROVAL',
      'this node comes back too late, or is a manager; it waits until an operator approves it',
    ),
  }
}
