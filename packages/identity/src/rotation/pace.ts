import type { RotationPolicy } from './policy.ts'
import type { IssuingLoad } from './rotation-messages.ts'

/**
 * The next window, by additive increase and multiplicative decrease (the rule by which TCP shares a line, RFC 5681 section 3.1): half under
 * strain, one step more when the last window was used up without any.
 *
 * @param used - Whether as many nodes were under way as the window allowed.
 */
export function nextWindow(window: number, load: IssuingLoad, used: boolean, policy: RotationPolicy): number {
  const strained = load.issueLatencyMs > policy.maxIssueLatencyMs || load.queueDepth > policy.maxQueueDepth
  if (strained) return Math.max(policy.minWindow, Math.floor(window / 2))
  const grown = used ? window + policy.windowStep : window
  return Math.max(policy.minWindow, Math.min(policy.maxWindow, grown))
}
