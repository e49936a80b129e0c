import { parseCertificate } from '../certificate/certificate.ts'
import { mayVouchForRoots } from './check-target.ts'
import type { FoundedAuthority } from './founded.ts'
import { DEFAULT_ROTATION_POLICY, type RotationPolicy } from './policy.ts'
import { asksNodes } from './progress.ts'
import type { IssuingLoad, RotationMember } from './rotation-messages.ts'
import type { RotationPhase } from './rotation-state.ts'
import { areTooMany, evictionDeadline, type Straggler, stragglersOf } from './stragglers.ts'

/** What a plan is made from, besides the state. */
export interface PlanOptions {
  readonly members: readonly RotationMember[]
  readonly load: IssuingLoad
  /** The present, epoch milliseconds. */
  readonly now: number
  /** Before anything has been planned: the policy to reckon with. Default {@link DEFAULT_ROTATION_POLICY}. */
  readonly policy?: RotationPolicy
  /** Whether the external CA that has to sign answered its dry run; left out when no external CA takes part. */
  readonly externalAuthority?: { readonly reachable: boolean }
}

/**
 * What stands in the way.
 *
 * - `dead-nodes`: members without a session; with the policy to wait, the rotation ends only when they come back or are removed.
 *
 * - `external-ca-unreachable`: nothing can be issued, or cross-signed.
 *
 * - `root-key-elsewhere`: the key of the root in force is not at hand, so whoever has it must cross-sign the new root.
 *
 * - `root-vouches-for-none`: the root in force may have no CA below it, or binds names: no other root can be signed by it.
 *
 * - `root-ends-soon`: the root in force ends before certificates that hang on it would.
 *
 * - `bridge-pending`: nodes may still trust nothing but an earlier root; two rotations more would make their chains too long.
 *
 * - `too-many-stragglers`: the deadline is over, but more are behind than evictions may hit.
 */
export type RotationBlockerCode =
  | 'dead-nodes'
  | 'external-ca-unreachable'
  | 'root-key-elsewhere'
  | 'root-vouches-for-none'
  | 'root-ends-soon'
  | 'bridge-pending'
  | 'too-many-stragglers'

/** One thing that stands in the way. */
export interface RotationBlocker {
  readonly code: RotationBlockerCode
  /** Whether the rotation cannot begin, or cannot end, as long as it stands; otherwise it is only slower or riskier. */
  readonly fatal: boolean
  readonly nodes: readonly string[]
  /** Epoch milliseconds; `null` where no instant is known at which it ends by itself. */
  readonly until: number | null
}

/** What a rotation means, before and while it runs. */
export interface RotationPlan {
  readonly phase: RotationPhase | 'idle'
  /** Members that need a certificate under the other root, in all. */
  readonly affected: number
  readonly converged: number
  readonly remaining: number
  /** Nodes at once, now. */
  readonly window: number
  /** Nodes a second: as measured since nodes began to be asked, or else as the window and the present load let expect. */
  readonly pacePerSecond: number
  /** Milliseconds until all have come over, or are evicted; `null` when that hangs on nodes that nobody can reach. */
  readonly etaMs: number | null
  readonly stragglers: readonly Straggler[]
  readonly blockers: readonly RotationBlocker[]
  /** What `abort-rotation` would do now: nothing has to be undone, nodes have to come back, or it is too late. */
  readonly abort: 'free' | 'reverts' | 'too-late'
}

/** Nobody is asked, renewed and seen again in less, in milliseconds: a node waits up to half a second before it asks. */
const ROUND_TRIP_MS = 1000

/** Fewer than these prove no pace. */
const MIN_MEASURED = 10

/** Says what a rotation means: how many nodes, how fast, until when, and what stands in the way. Changes nothing. */
export function planRotation(state: FoundedAuthority, options: PlanOptions): RotationPlan {
  const { members, now } = options
  const { rotation } = state
  const policy = rotation?.policy ?? options.policy ?? DEFAULT_ROTATION_POLICY
  const stragglers = stragglersOf(state, members, now)
  const asking = rotation !== null && asksNodes(rotation)
  const over = rotation?.phase === 'finishing'
  const remaining = asking ? stragglers.length : over ? 0 : members.length
  const window = asking ? rotation.window : policy.startWindow
  const perMs = paceOf(state, window, options)
  // Who is behind and cannot be reached has that as its reason.
  const dead = asking ? stragglers.filter(({ reason }) => reason === 'offline') : over ? [] : members.filter(isAway)
  return {
    phase: rotation?.phase ?? 'idle',
    affected: members.length,
    converged: over ? members.length : asking ? members.length - remaining : 0,
    remaining,
    window,
    pacePerSecond: perMs * 1000,
    etaMs: etaOf(state, policy, { remaining: remaining - dead.length, dead: dead.length, perMs, now }),
    stragglers,
    blockers: blockersOf(
      state,
      policy,
      dead.map(({ nodeId }) => nodeId),
      options,
    ),
    abort: rotation?.hasReissued !== true ? 'free' : over ? 'too-late' : 'reverts',
  }
}

const isAway = ({ reachable }: RotationMember): boolean => !reachable

function paceOf(state: FoundedAuthority, window: number, { load, now }: PlanOptions): number {
  const { rotation } = state
  const since = rotation?.reissuingSince ?? null
  if (rotation !== null && since !== null && now > since && rotation.converged >= MIN_MEASURED)
    return rotation.converged / (now - since)
  return window / Math.max(ROUND_TRIP_MS, load.issueLatencyMs)
}

function etaOf(
  { rotation }: FoundedAuthority,
  policy: RotationPolicy,
  { remaining, dead, perMs, now }: { remaining: number; dead: number; perMs: number; now: number },
): number | null {
  const live = Math.ceil(remaining / perMs)
  if (dead === 0) return live
  if (policy.stragglers.mode === 'wait') return null
  const deadline = rotation === null ? null : evictionDeadline(rotation)
  return Math.max(live, deadline === null ? policy.stragglers.afterMs : Math.max(0, deadline - now))
}

function blockersOf(
  state: FoundedAuthority,
  policy: RotationPolicy,
  dead: readonly string[],
  { members, now, externalAuthority }: PlanOptions,
): readonly RotationBlocker[] {
  const blockers: RotationBlocker[] = []
  const add = (code: RotationBlockerCode, fatal: boolean, more: Partial<RotationBlocker> = {}): void => {
    blockers.push({ code, fatal, nodes: [], until: null, ...more })
  }
  const { rotation, roots, lifetimeMs } = state
  const deadline = rotation === null ? null : evictionDeadline(rotation)
  if (dead.length > 0) add('dead-nodes', policy.stragglers.mode === 'wait', { nodes: dead, until: deadline })
  if (externalAuthority?.reachable === false) add('external-ca-unreachable', true)
  if (roots[0].privateKey === null && (rotation?.target ?? null) === null)
    add('root-key-elsewhere', externalAuthority === undefined)
  const current = parseCertificate(roots[0].certificate)
  if (!mayVouchForRoots(current)) add('root-vouches-for-none', true)
  if (current.notAfter - now < lifetimeMs) add('root-ends-soon', false)
  const bridges = state.bridges.filter(({ until }) => until > now)
  if (bridges.length > 0)
    add('bridge-pending', bridges.length > 1, { until: Math.max(...bridges.map(({ until }) => until)) })
  if (deadline !== null && now >= deadline) {
    const behind = stragglersOf(state, members, now).map(({ nodeId }) => nodeId)
    if (areTooMany(behind.length, members.length, policy)) add('too-many-stragglers', true, { nodes: behind })
  }
  return blockers
}
