import type {
  Certificate,
  ClusterId,
  EvictionView,
  NodeId,
  PeerIdentity,
  RootObservation,
  Schedule,
  StragglerReason,
  SyncSignatureVerifier,
} from '@leastwise/identity'
import type { Draws } from './draws.ts'
import type { EventQueue } from './event-queue.ts'
import type { Issuer } from './issuer.ts'
import type { Cause, LoadCurve } from './load-curve.ts'
import type { Replica } from './replica.ts'
import type { Requests } from './requests.ts'
import type { BundleKind, ChainKind, TrustLaw } from './trust-law.ts'

export const SECOND_MS = 1000
export const MINUTE_MS = 60 * SECOND_MS
export const HOUR_MS = 60 * MINUTE_MS
export const DAY_MS = 24 * HOUR_MS

/**
 * `up` runs and has a session when a manager is there; `hung` has a session and does nothing; `asleep` will come back with what it had; `dead` will not.
 */
export type Life = 'up' | 'hung' | 'asleep' | 'dead' | 'evicted'

/** What a node has: its certificate and the chain behind it. */
export interface Held {
  readonly leaf: Certificate
  readonly chain: ChainKind
  readonly peer: PeerIdentity
}

export interface SimNode {
  readonly number: number
  readonly nodeId: NodeId
  life: Life
  /** `null` before the first certificate. */
  held: Held | null
  bundle: BundleKind
  view: EvictionView
  /** Number of the key of its last request. */
  key: number
  /** Whether an answer to that one is waited for, and why it was sent. */
  awaits: Cause | null
  failures: number
}

/** The part of the leading manager that a crash takes away. */
export interface Leader {
  /** Grows with each crash: what was under way before belongs to nobody. */
  boot: number
  up: boolean
  /** How many certificates it can sign in a second. */
  perSecond: number
  busyUntil: number
  /** Whose requests are to be signed. */
  waiting: Set<NodeId>
  worstLatencyMs: number
  seen: RootObservation[]
  readonly receive: (node: SimNode) => void
}

export interface RotationFacts {
  readonly startedAt: number
  reissueAt: number
  ticks: number
  /** When the last node that was there had come over. */
  liveOverAt: number
  finishedAt: number
  closedAt: number
  mostWaiting: number
  leastWindow: number
  mostWindow: number
  readonly reasons: Set<StragglerReason>
  /** Just before the policy acted. */
  atDeadline: readonly { readonly nodeId: string; readonly reason: StragglerReason; readonly life: Life }[]
  evictedByPolicy: readonly string[]
}

export interface CrashFacts {
  readonly at: number
  readonly phase: string
  readonly converged: number
  readonly sinceSnapshot: number
  readonly rebuiltSame: boolean
  /** Requests that were being signed, and nodes that were seen, known to nobody after it. */
  readonly lost: number
}

export interface EvictionFacts {
  readonly at: number
  readonly phase: string
  readonly peers: number
  readonly refusedBefore: number
  readonly refusedAfter: number
  readonly codes: readonly string[]
}

export interface Facts {
  readonly rotations: RotationFacts[]
  readonly crashes: CrashFacts[]
  readonly evictions: EvictionFacts[]
  readonly snapshotsSame: boolean[]
  /** Of a certificate that a running node replaced: the least that was left of it. */
  leastLeftMs: number
  swept: number
  failures: number
  readonly roleCodes: string[]
  readonly staleCodes: string[]
  readonly joinCodes: string[]
  /** Nodes that came back, by whether what they knew of evictions had ended; and how many knew all of them a second later. */
  readonly wakes: { stale: number; current: number; caughtUp: number }
}

export interface Sim {
  now: number
  readonly clusterId: ClusterId
  readonly queue: EventQueue
  readonly draws: Draws
  readonly replica: Replica
  readonly law: TrustLaw
  readonly curve: LoadCurve
  readonly issuer: Issuer
  readonly requests: Requests
  readonly verifier: SyncSignatureVerifier
  /** When which node renews, by its number. */
  readonly renewals: Schedule
  readonly nodes: SimNode[]
  readonly byId: Map<string, SimNode>
  readonly leader: Leader
  readonly facts: Facts
  /** Called after each step of a rotation. */
  watch: () => void
  /** Called for each node that a policy has evicted. */
  replaceNode: () => void
}

/** Does something later. */
export function later(sim: Sim, ms: number, happening: () => void | Promise<void>): void {
  sim.queue.add(sim.now + ms, happening)
}

/** Code of what is thrown; `passed` when nothing is. */
export function codeOf(run: () => unknown): string {
  try {
    run()
    return 'passed'
  } catch (error) {
    if (error instanceof Error && 'code' in error) return String(error.code)
    throw error
  }
}
