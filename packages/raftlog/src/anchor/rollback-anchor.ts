import type { AnchorHead } from './anchor-head.ts'

/** Options of what asks an anchor. */
export interface AnchorOptions {
  readonly signal?: AbortSignal
}

/**
 * A memory out of reach of whoever can put an older copy of the log's disk in its place: another machine, another disk, a
 * chip. One anchor serves one log.
 */
export interface RollbackAnchor {
  /**
   * The head that was kept last, or null if there never was one.
   *
   * @throws RaftLogError `ANCHOR_UNREACHABLE`, `ANCHOR_MALFORMED`, or `ROLLED_BACK` if the anchor itself was put back.
   */
  readonly read: (options?: AnchorOptions) => Promise<AnchorHead | null>
  /**
   * Keeps `head`; durable, as far as the anchor is, before it resolves. `after` is the head that the caller knows to be
   * kept, null if none. An anchor that missed some advances takes the new one; one that knows better refuses.
   *
   * @throws RaftLogError `ANCHOR_CONFLICT` if a head later than `after` is kept and it is not `head`: another process
   * writes this log, or a copy of it. `ANCHOR_UNREACHABLE` if it is unknown whether `head` was kept.
   */
  readonly advance: (head: AnchorHead, after: AnchorHead | null, options?: AnchorOptions) => Promise<void>
}
