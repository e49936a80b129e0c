import { type Membership } from '../membership/membership-state.ts'
import type { NodeId } from '../membership/node-identity.ts'
import type { NodeRecord } from '../membership/node-record.ts'
import { perRow } from '../sharded-map.ts'
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

const endOf = ({ lifetimeMs, now }: OverlongOptions): number => now + lifetimeMs + SKEW_TOLERANCE_MS

const outlives = ({ notAfter }: NodeRecord, end: number): boolean => notAfter !== null && notAfter > end

const latestFirst = (a: NodeRecord, b: NodeRecord): number =>
  (b.notAfter ?? 0) - (a.notAfter ?? 0) || (a.nodeId < b.nodeId ? -1 : 1)

/** Who may be asked, and who was asked or asks already. */
const certified = perRow((nodes: readonly NodeRecord[]) => {
  const sorted = nodes.filter(({ notAfter }) => notAfter !== null).sort(latestFirst)
  const isWaiting = ({ status }: NodeRecord): boolean => status === 'issued'
  return { waiting: sorted.filter(isWaiting), asked: sorted.filter((node) => !isWaiting(node)) }
})

/** Of nodes with the latest end first, those that outlive `end`. */
function* outliving(nodes: readonly NodeRecord[], end: number): Generator<NodeRecord, void, void> {
  for (const node of nodes) {
    if (!outlives(node, end)) return
    yield node
  }
}

/** Whether {@link overlongNodes} has this node. */
export const isOverlong = (node: NodeRecord, options: OverlongOptions): boolean => outlives(node, endOf(options))

/**
 * The nodes whose certificate ends later than one that were issued now, the latest first: those that a shortened lifetime concerns. What ends sooner
 * anyway needs nothing, and a longer lifetime concerns nobody. {@link SKEW_TOLERANCE_MS} is allowed for issuers whose clock is ahead.
 */
export function overlongNodes(state: Membership, options: OverlongOptions): readonly NodeRecord[] {
  const end = endOf(options)
  return certified(state.nodes)
    .flatMap(({ waiting, asked }) => [...outliving(waiting, end), ...outliving(asked, end)])
    .sort(latestFirst)
}

/**
 * Whom to ask for a renewal next, after the lifetime was shortened: each with a `request-renewal` of the membership. Ask again whenever
 * the membership has changed; when nobody is overlong any more there is nothing left to do.
 *
 * It looks at those who may be asked, and at what has changed since it was called before; not at all nodes. It needs no memory of its own: who was asked stands in the membership, so that another manager goes on where one stopped.
 *
 * @throws RangeError unless `window` is a whole number of 1 or more.
 */
export function nextToShorten(state: Membership, options: ShorteningOptions): readonly NodeId[] {
  const { isReachable, window = DEFAULT_SHORTENING_WINDOW } = options
  if (!Number.isSafeInteger(window) || window < 1)
    throw new RangeError(`a window has a whole number of nodes, got ${window}`)
  const end = endOf(options)
  const rows = certified(state.nodes)
  let room = window
  for (const { asked } of rows) for (const { nodeId } of outliving(asked, end)) if (isReachable(nodeId)) room -= 1
  const chosen: NodeId[] = []
  if (room <= 0) return chosen
  // Of each row the next one that can be asked; the latest of them is the latest of all.
  const queues = rows.map(({ waiting }) => reachableOf(outliving(waiting, end), isReachable))
  const heads = queues.map((queue) => queue.next().value ?? null)
  while (chosen.length < room) {
    let first = -1
    let latest: NodeRecord | null = null
    for (const [at, head] of heads.entries()) {
      if (head === null || (latest !== null && latestFirst(latest, head) < 0)) continue
      first = at
      latest = head
    }
    if (latest === null) break
    chosen.push(latest.nodeId)
    heads[first] = queues[first]?.next().value ?? null
  }
  return chosen
}

function* reachableOf(
  nodes: Iterable<NodeRecord>,
  isReachable: ShorteningOptions['isReachable'],
): Generator<NodeRecord, void, void> {
  for (const node of nodes) if (isReachable(node.nodeId)) yield node
}
