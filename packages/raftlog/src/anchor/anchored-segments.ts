import type { Segments } from '../files/segments.ts'
import type { AnchorGuard } from './anchor-guard.ts'

/**
 * Segments that take the anchor along. It follows what is durable, and stands at the end of the log before anything goes
 * in which it could stand: so a log that nobody put back always holds the place that its anchor remembers.
 */
export function anchoredSegments(segments: Segments, guard: AnchorGuard): Segments {
  const settle = async (): Promise<void> => {
    await guard.settle(segments.place)
  }
  const { list, firstIndex, last, place, terms, read, state, close } = segments
  return {
    // One by one: whatever else writes must say here what it does with the anchor.
    ...{ list, firstIndex, last, place, terms, read, state, close },
    commit: async (commit) => {
      await segments.commit(commit)
      await guard.moved(segments.place)
    },
    roll: async () => {
      const begun = await segments.roll()
      // A snapshot names this segment; what lies before it is not walked when the log is opened.
      await settle()
      return begun
    },
    restart: async (from, keep) => {
      // The new segment names the last tag of the one before, and after a crash nothing else does.
      await settle()
      const gone = await segments.restart(from, keep)
      await settle()
      return gone
    },
    reseal: async (sequence, after) => {
      await segments.reseal(sequence, after)
      await settle()
    },
    drop: async (unwanted) => {
      await settle()
      await segments.drop(unwanted)
    },
    end: async () => {
      await segments.end()
      await settle()
    },
  }
}
