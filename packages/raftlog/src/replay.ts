import { proveSuccession, type Segment } from './directory-scan.ts'
import type { Entry } from './entry.ts'
import { RaftLogError } from './errors.ts'
import { FILE_KIND } from './file-header.ts'
import { brokenFrame } from './frame-walk.ts'
import { type LogContext, openProven } from './log-context.ts'
import { type SegmentWalk, segmentWalk } from './segment-walk.ts'

/** Which entries to replay; both ends belong to the range. */
export interface ReplayRange {
  readonly from: bigint
  readonly to: bigint
  readonly signal: AbortSignal | undefined
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
  for (const segment of segments.slice(Math.max(start, 0))) {
    if (before !== null) proveSuccession(before, segment)
    const file = await openProven(log, segment.name, FILE_KIND.segment, segment.header.sequence)
    if (file === null)
      throw new RaftLogError('LOG_GAP', 'entries were compacted away while they were read; start again')
    try {
      const walk = segmentWalk(file, Math.min(segment.sizeBytes, file.handle.sizeBytes), log.suite)
      before = walk
      for (;;) {
        signal?.throwIfAborted()
        const step = await walk.next(from)
        if (step.kind === 'end') break
        if (step.kind === 'broken') throw brokenFrame(walk.place(), step.incomplete)
        if (step.kind === 'passed') continue
        const inside = step.entries.filter((entry) => entry.index >= from && entry.index <= to)
        yield inside.length === step.entries.length ? step.entries : inside
        if (walk.nextIndex() > to) return
      }
    } finally {
      await file.handle.close()
    }
  }
  if (before !== null && before.nextIndex() <= to) throw brokenFrame(before.place(), true)
}
