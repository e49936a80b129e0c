import { type Membership } from '../membership-state.ts'
import type { NodeId } from '../node-identity.ts'
import type { NodeRecord } from '../node-record.ts'
import { valuesOf } from '../sharded-map.ts'
import { SKEW_TOLERANCE_MS } from './skew.ts'

/** Nodes that may be under way to a shorter certificate at a time, unless the host says otherwise. */
export const DEFAULT_SHORTENING_WINDOW = 50

/** What {@link overlongNodes} goes by. */
export interface OverlongOptions {
  /** The lifetime in force, milliseconds. */
  readonly lifetimeMs: number
  readonly now: number
}

/** What {@link nextToShorten} goes by. */
export interface ShorteningOptions extends OverlongOptions {
  /** Whether the node can be asked now; others are asked when they come back. */
  readonly isReachable: (nodeId: NodeId) => boolean
  /** Most reachable nodes that are under way at a time. Default {@link DEFAULT_SHORTENING_WINDOW}. */
  readonly window?: number
}

const outlives = ({ notAfter }: NodeRecord, end: number): boolean => notAfter !== null && notAfter > end

/**
 * The nodes whose certificate ends later than one that were issued now, the latest first: those that a shortened lifetime concerns. What ends sooner
 * anyway needs nothing, and a longer lifetime concerns nobody. {@link SKEW_TOLERANCE_MS} is allowed for issuers whose clock is ahead.
 */
export function overlongNodes(state: Membership, { lifetimeMs, now }: OverlongOptions): readonly NodeRecord[] {
  const end = now + lifetimeMs + SKEW_TOLERANCE_MS
  const found: NodeRecord[] = []
  for (const node of valuesOf(state.nodes)) if (outlives(node, end)) found.push(node)
  return found.sort((a, b) => (b.notAfter ?? 0) - (a.notAfter ?? 0) || (a.nodeId < b.nodeId ? -1 : 1))
}

/**
 * Whom to ask for a renewal next, after the lifetime was shortened: each with a `request-renewal` of the membership. Ask again whenever
 * the membership has changed; when nobody is overlong any more there is nothing left to do.
 *
 * It needs no memory of its own: who was asked stands in the membership, so that another manager goes on where one stopped.
 *
 * @throws RangeError unless `window` is a whole number of 1 or more.
 */
export function nextToShorten(state: Membership, options: ShorteningOptions): readonly NodeId[] {
  const { isReachable, window = DEFAULT_SHORTENING_WINDOW } = options
  if (!Number.isSafeInteger(window) || window < 1)
    throw new RangeError(`a window has a whole number of nodes, got ${window}`)
  const reachable = overlongNodes(state, options).filter(({ nodeId }) => isReachable(nodeId))
  const waiting = reachable.filter(({ status }) => status === 'issued')
  const room = window - (reachable.length - waiting.length)
  return waiting.slice(0, Math.max(0, room)).map(({ nodeId }) => nodeId)
}
