import { RaftLogError } from '../errors.ts'
import { type AnchorHead, isSameHead } from './anchor-head.ts'

/**
 * Whether an anchor that holds `stored` has to write to keep `head`: not if it has it already. The same rule holds for
 * every anchor.
 *
 * @throws {@link RaftLogError} `ANCHOR_CONFLICT` if the anchor knows better, `LOG_FOREIGN` if it belongs to another log.
 * @throws RangeError if `head` does not follow `after`.
 */
export function planAdvance(
  stored: AnchorHead | null,
  head: AnchorHead,
  after: AnchorHead | null,
): { readonly write: boolean } {
  checkFollows(head, after)
  if (stored !== null) checkOwner(stored, head)
  if (isSameHead(stored, head)) return { write: false }
  const known = after?.count ?? 0n
  if (stored === null || isSameHead(stored, after) || stored.count < known) return { write: true }
  throw new RaftLogError(
    'ANCHOR_CONFLICT',
    `anchor holds head ${stored.count}, which this process did not write after ${known}; run one process on one copy of the log`,
  )
}

/**
 * Refuses a head of another log.
 *
 * @throws {@link RaftLogError} `LOG_FOREIGN` if the ids differ.
 */
export function checkOwner(stored: AnchorHead, log: { readonly clusterId: string; readonly logId: string }): void {
  if (stored.clusterId !== log.clusterId || stored.logId !== log.logId) {
    throw new RaftLogError('LOG_FOREIGN', 'anchor belongs to another cluster or log; give the anchor of this one')
  }
}

function checkFollows(head: AnchorHead, after: AnchorHead | null): void {
  if (after === null) return
  if (head.clusterId !== after.clusterId || head.logId !== after.logId) throw new RangeError('heads are of two logs')
  if (head.count <= after.count) throw new RangeError('the count of a head must go up')
  if (head.epoch !== after.epoch && head.epoch !== after.epoch + 1) {
    throw new RangeError('the epoch of a head must stay or go up by one')
  }
}
