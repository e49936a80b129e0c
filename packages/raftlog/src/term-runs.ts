import type { Position } from './entry.ts'

/** Terms by index, kept as the places where they change: a log of millions of entries has a few. */
export interface TermRuns {
  /** Term at an index from the base to the last one; null outside of them. */
  readonly at: (index: bigint) => bigint | null
  readonly last: () => Position
  /** Puts `count` entries of one term from `index` on, in place of whatever was there and behind. */
  readonly put: (index: bigint, term: bigint, count: bigint) => void
  /** Forgets everything, and goes on after this position. */
  readonly reset: (base: Position) => void
  readonly copy: () => TermRuns
}

/** Begins after `base`, the last entry whose own term is known. */
export function termRuns(base: Position, last: bigint = base.index, known: readonly Position[] = [base]): TermRuns {
  let runs = [...known]
  let end = last
  return {
    at: (index) => {
      if (index > end) return null
      return runs.findLast((run) => run.index <= index)?.term ?? null
    },
    last: () => ({ index: end, term: runs.at(-1)?.term ?? 0n }),
    put: (index, term, count) => {
      // No run begins behind the end.
      if (index <= end) runs = runs.filter((run) => run.index < index)
      if (runs.at(-1)?.term !== term) runs.push({ index, term })
      end = index + count - 1n
    },
    reset: (next) => {
      runs = [next]
      end = next.index
    },
    copy: () => termRuns(base, end, runs),
  }
}
