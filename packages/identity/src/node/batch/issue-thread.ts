import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import { type BatchResult, type Share, settle } from './batch.ts'
import { chunkOf, resultsOf } from './issue-chunk.ts'
import { errorOf, type IssueAnswer, type ThreadAuthority } from './issue-message.ts'

/** A thread with as much work as keeps it busy. */
export interface IssueThread {
  /** How many chunks it has, at most {@link CHUNKS_IN_HAND}. */
  readonly inHand: number
  readonly issue: (shares: readonly Share[]) => void
  /** Ends it, and gives what it did not finish. */
  readonly close: () => Promise<readonly Share[]>
}

export interface IssueThreadOptions {
  readonly authority: ThreadAuthority
  /** It has room for another chunk. */
  readonly onRoom: () => void
  /** It has ended by itself, and did not finish these. */
  readonly onEnd: (unfinished: readonly Share[]) => void
}

/** One that is worked on, and one that lies ready. */
export const CHUNKS_IN_HAND = 2

// A thread runs what the package was built to, wherever this file itself was loaded from.
const entry = (): URL =>
  new URL('./batch/issue-worker.js', pathToFileURL(createRequire(import.meta.url).resolve('@leastwise/identity/node')))

const refuseAll = ({ from, to }: Share, error: Error): readonly BatchResult[] =>
  new Array<BatchResult>(to - from).fill({ error })

export function startIssueThread({ authority, onRoom, onEnd }: IssueThreadOptions): IssueThread {
  const worker = new Worker(entry(), { workerData: authority, name: 'leastwise issuer' })
  const inHand = new Map<number, readonly Share[]>()
  let nextId = 0
  let closing = false
  const unfinished = (): readonly Share[] => {
    const shares = [...inHand.values()].flat()
    inHand.clear()
    return shares
  }
  // A thread without work must not keep the process alive.
  worker.unref()
  worker.on('message', ({ id, ...outcomes }: IssueAnswer) => {
    const shares = inHand.get(id) ?? []
    inHand.delete(id)
    if (inHand.size === 0) worker.unref()
    // First, so that it never waits for this thread.
    onRoom()
    const results = [...resultsOf(outcomes)]
    let at = 0
    for (const share of shares) {
      const end = at + share.to - share.from
      settle(share, results.slice(at, end))
      at = end
    }
  })
  // The exit follows, and says all that matters here.
  worker.on('error', () => undefined)
  worker.on('exit', () => {
    if (!closing) onEnd(unfinished())
  })
  return {
    get inHand() {
      return inHand.size
    },
    issue: (shares) => {
      try {
        worker.postMessage(chunkOf(nextId, shares))
      } catch (error) {
        // Something in a grant or a request is of a type that it cannot have, which does not pass between threads.
        for (const share of shares) settle(share, refuseAll(share, errorOf(error)))
        return
      }
      inHand.set(nextId, shares)
      nextId += 1
      worker.ref()
    },
    close: async () => {
      closing = true
      await worker.terminate()
      return unfinished()
    },
  }
}
