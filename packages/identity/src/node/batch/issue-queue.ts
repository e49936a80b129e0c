import { type Share, settle } from './batch.ts'

/** Requests that nobody works on yet, of any number of batches. */
export interface IssueQueue {
  /** How many requests wait. */
  readonly size: number
  readonly add: (share: Share) => void
  /** Back to the front, when whoever worked on them is gone. */
  readonly putBack: (shares: readonly Share[]) => void
  /** The next requests, at most so many; batches that were called off are settled on the way. */
  readonly take: (most: number) => readonly Share[]
}

const lengthOf = ({ from, to }: Share): number => to - from

export function createIssueQueue(): IssueQueue {
  const waiting: Share[] = []
  let size = 0
  return {
    get size() {
      return size
    },
    add: (share) => {
      waiting.push(share)
      size += lengthOf(share)
    },
    putBack: (shares) => {
      waiting.unshift(...shares)
      for (const share of shares) size += lengthOf(share)
    },
    take: (most) => {
      const taken: Share[] = []
      let room = most
      for (let share = waiting[0]; share !== undefined && room > 0; share = waiting[0]) {
        const { batch, from, to } = share
        const aborted = batch.signal.aborted
        const end = aborted ? to : Math.min(to, from + room)
        if (end === to) waiting.shift()
        else waiting[0] = { batch, from: end, to }
        size -= end - from
        if (aborted) settle(share, null)
        else {
          taken.push({ batch, from, to: end })
          room -= end - from
        }
      }
      return taken
    },
  }
}
