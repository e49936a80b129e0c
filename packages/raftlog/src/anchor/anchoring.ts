import type { Clock } from '../ports.ts'
import type { RollbackAnchor } from './rollback-anchor.ts'

/**
 * **Warning**: takes the log on the disk for true although it is older than its anchor remembers, or another one, or
 * although the anchor remembers nothing. What the anchor knew to be written is given up for good, and so is the certainty
 * that nobody chose this copy: evicted nodes may be members again, and used tokens be usable.
 *
 * The value is the epoch to begin, which the refusal names. It is good for this one refusal: once the epoch has begun, the
 * same value accepts nothing more.
 */
export const acceptRolledBackLog: unique symbol = Symbol('acceptRolledBackLog')

/**
 * How often the anchor is advanced. Whatever is chosen, it is also advanced when the log is opened and closed, when a
 * segment is begun, before segments are dropped, and around each change of the key ring.
 */
export type AnchorPace =
  /** Before an append is acknowledged. Nothing acknowledged can be taken back unnoticed. */
  | { readonly kind: 'strict' }
  /**
   * After every `frames` group commits, and by the first one that comes `everyMs` milliseconds after the last advance.
   * Fewer than `frames` group commits can be taken back unnoticed. No timer runs: while nothing is written, what was
   * written last stays unanchored until the log is closed.
   */
  | { readonly kind: 'lazy'; readonly frames: number; readonly everyMs: number; readonly clock: Clock }

/** What a log does with its anchor. */
export interface Anchoring {
  readonly anchor: RollbackAnchor
  /** Strict unless given. */
  readonly pace?: AnchorPace
  readonly [acceptRolledBackLog]?: number
}

/**
 * Refuses what no pace can be.
 *
 * @throws RangeError if `frames` is not a whole number from 1, or `everyMs` is not above 0.
 */
export function checkPace(pace: AnchorPace): void {
  if (pace.kind === 'strict') return
  if (!(Number.isSafeInteger(pace.frames) && pace.frames >= 1))
    throw new RangeError('frames must be a whole number, at least 1')
  if (!(pace.everyMs > 0)) throw new RangeError('everyMs must be above 0')
}
