/** What becomes of nodes that do not come over to the new root. */
export type StragglerPolicy =
  /** The rotation ends when the last member has come, or was removed. */
  | { readonly mode: 'wait' }
  /** Members that are behind `afterMs` milliseconds after re-issuing began are to be evicted. */
  | { readonly mode: 'evict'; readonly afterMs: number }

/** How fast a rotation goes, and how long it waits for whom. Durations in milliseconds. */
export interface RotationPolicy {
  /** Nodes that may be under way at once, at the start. */
  readonly startWindow: number
  /** It never falls below this, so that a rotation always goes on. */
  readonly minWindow: number
  /** It never grows beyond this. */
  readonly maxWindow: number
  /** Nodes by which the window grows after a full window without strain. */
  readonly windowStep: number
  /** Issuing that takes longer than this halves the window. */
  readonly maxIssueLatencyMs: number
  /** More requests than this waiting to be signed halve the window. */
  readonly maxQueueDepth: number
  /** A node that was asked counts as under way for this long; afterwards it may be asked again. */
  readonly retryMs: number
  readonly stragglers: StragglerPolicy
  /** Percent of the members that evictions at the deadline may hit; with more behind, somebody should look first. 0 to 100. */
  readonly maxEvictPercent: number
  /** How long join tokens of the old root are still good after all nodes have come over. */
  readonly tokenOverlapMs: number
}

const HOUR_MS = 3_600_000

/** 30 nodes at once to begin with, as Docker Swarm asks them; up to 2000. Dead nodes are waited for. */
export const DEFAULT_ROTATION_POLICY: RotationPolicy = {
  startWindow: 30,
  minWindow: 1,
  maxWindow: 2000,
  windowStep: 30,
  maxIssueLatencyMs: 500,
  maxQueueDepth: 200,
  retryMs: 30_000,
  stragglers: { mode: 'wait' },
  maxEvictPercent: 10,
  tokenOverlapMs: 24 * HOUR_MS,
}

const isCount = (value: number, least: number): boolean => Number.isSafeInteger(value) && value >= least

/**
 * Refuses settings with which a rotation could not end.
 *
 * @throws RangeError naming the setting.
 */
export function checkPolicy(policy: RotationPolicy): void {
  const least: Readonly<Record<string, readonly [number, number]>> = {
    minWindow: [policy.minWindow, 1],
    startWindow: [policy.startWindow, policy.minWindow],
    maxWindow: [policy.maxWindow, policy.startWindow],
    windowStep: [policy.windowStep, 1],
    maxIssueLatencyMs: [policy.maxIssueLatencyMs, 1],
    maxQueueDepth: [policy.maxQueueDepth, 0],
    retryMs: [policy.retryMs, 1],
    tokenOverlapMs: [policy.tokenOverlapMs, 0],
    maxEvictPercent: [policy.maxEvictPercent, 0],
    afterMs: [policy.stragglers.mode === 'evict' ? policy.stragglers.afterMs : 0, 0],
  }
  for (const [name, [value, lowest]] of Object.entries(least))
    if (!isCount(value, lowest)) throw new RangeError(`${name} of a rotation is a whole number of at least ${lowest}`)
  if (policy.maxEvictPercent > 100) throw new RangeError('maxEvictPercent of a rotation is at most 100')
}
