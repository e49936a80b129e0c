import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import type { IssueAnswer, IssueChunk, IssueOutcomes, ThreadAuthority } from './issue-message.ts'

/** A thread with as much work as keeps it busy. */
export interface IssueThread {
  readonly hasRoom: boolean
  readonly issue: (chunk: IssueChunk) => void
  readonly close: () => Promise<void>
}

export interface IssueThreadOptions {
  readonly authority: ThreadAuthority
  readonly onAnswer: (id: number, outcomes: IssueOutcomes) => void
  /** The thread has ended, and did not finish these. */
  readonly onEnd: (unfinished: readonly IssueChunk[]) => void
}

// One that is worked on, and one that lies ready.
const CHUNKS_IN_HAND = 2

// A thread runs what the package was built to, wherever this file itself was loaded from.
const entry = (): URL =>
  new URL('./batch/issue-worker.js', pathToFileURL(createRequire(import.meta.url).resolve('@leastwise/identity/node')))

export function startIssueThread({ authority, onAnswer, onEnd }: IssueThreadOptions): IssueThread {
  const worker = new Worker(entry(), { workerData: authority, name: 'leastwise issuer' })
  const inHand = new Map<number, IssueChunk>()
  let closing = false
  // A thread without work must not keep the process alive.
  worker.unref()
  worker.on('message', ({ id, ...outcomes }: IssueAnswer) => {
    inHand.delete(id)
    if (inHand.size === 0) worker.unref()
    onAnswer(id, outcomes)
  })
  // The exit follows, and says all that matters here.
  worker.on('error', () => undefined)
  worker.on('exit', () => {
    if (!closing) onEnd([...inHand.values()])
  })
  return {
    get hasRoom() {
      return inHand.size < CHUNKS_IN_HAND
    },
    issue: (chunk) => {
      worker.postMessage(chunk)
      inHand.set(chunk.id, chunk)
      worker.ref()
    },
    close: async () => {
      closing = true
      await worker.terminate()
    },
  }
}
