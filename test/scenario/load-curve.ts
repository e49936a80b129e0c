/** Why a certificate was issued: a node joined, its renewal was due, a manager asked for it. */
export type Cause = 'join' | 'scheduled' | 'asked'

/** How many certificates were issued when. */
export interface LoadCurve {
  readonly count: (at: number, cause: Cause) => void
  /** Certificates in each step of `stepMs` from `from` to `to`. */
  readonly between: (from: number, to: number, stepMs: number, causes: readonly Cause[]) => readonly number[]
}

export const CAUSES: readonly Cause[] = ['join', 'scheduled', 'asked']

export function createLoadCurve(): LoadCurve {
  const instants: Record<Cause, number[]> = { join: [], scheduled: [], asked: [] }
  return {
    count: (at, cause) => {
      instants[cause].push(at)
    },
    between: (from, to, stepMs, causes) => {
      const counts = new Array<number>(Math.ceil((to - from) / stepMs)).fill(0)
      for (const cause of causes)
        for (const at of instants[cause]) if (at >= from && at < to) counts[Math.floor((at - from) / stepMs)]! += 1
      return counts
    },
  }
}

export const sum = (counts: readonly number[]): number => counts.reduce((all, each) => all + each, 0)
