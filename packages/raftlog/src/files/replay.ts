import type { Entry } from '../entry.ts'
import { RaftLogError } from '../errors.ts'
import { proveSuccession, type Segment } from './directory-scan.ts'
import { brokenFrame } from './frame-walk.ts'
import { type LogContext, openProven } from './log-context.ts'
import { type SegmentWalk, segmentWalk } from './segment-walk.ts'

/** Which entries to replay; both ends belong to the range. */
export interface ReplayRange {
  readonly from: bigint
  readonly to: bigint
  readonly signal: AbortSignal | undefined
}

/** Up to which index each segment counts: what a later one begins with is replaced there, and everything behind it. */
export function reaches(segments: readonly Segment[], to: bigint): readonly bigint[] {
  let reach = to
  return segments
    .toReversed()
    .map(({ header }) => {
      const mine = reach
      if (header.index <= reach) reach = header.index - 1n
      return mine
    })
    .reverse()
}

/** Replays entries from proven segments, frame by frame. */
export async function* replay(
  log: LogContext,
  segments: readonly Segment[],
  { from, to, signal }: ReplayRange,
): AsyncGenerator<readonly Entry[], void, void> {
  if (from > to) return
  const start = segments.findLastIndex((segment) => segment.header.index <= from)
  let before: SegmentWalk | null = null
  const reach = reaches(segments, to)
  for (const [at, segment] of segments.entries()) {
    if (at < start) continue
    const until = reach[at] ?? to
    if (before !== null) proveSuccession(before, segment)
    const file = await openProven(log, segment.name, 'segment', segment.header.sequence)
    if (file === null)
      throw new RaftLogError('LOG_GAP', 'entries were compacted away while they were read; start again')
    try {
      const walk = segmentWalk(file, Math.min(segment.sizeBytes, file.handle.sizeBytes), log.suite)
      before = walk
      for (;;) {
        signal?.throwIfAborted()
        const step = await walk.next(from, until)
        if (step.kind === 'end') break
        if (step.kind === 'broken') throw brokenFrame(walk.place(), step.incomplete)
        if (step.kind === 'passed') continue
        const [first] = step.entries
        if (first !== undefined) {
          const isWhole = first.index >= from && walk.nextIndex() <= until + 1n
          yield isWhole ? step.entries : step.entries.filter(({ index }) => index >= from && index <= until)
        }
        if (until === to && walk.nextIndex() > to) return
      }
    } finally {
      await file.handle.close()
    }
  }
  if (before !== null && before.nextIndex() <= to) throw brokenFrame(before.place(), true)
}
