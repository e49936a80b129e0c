import { IdentityError } from '../../errors.ts'
import type { Authority } from '../../issuing/authority.ts'
import type { RandomSource } from '../../ports.ts'
import { keyOfSigner } from '../signer.ts'
import { type BatchRequest, type BatchResult, drawSerials, type Share } from './batch.ts'
import { issueHere } from './issue-here.ts'
import { createIssueQueue } from './issue-queue.ts'
import { CHUNKS_IN_HAND, type IssueThread, startIssueThread } from './issue-thread.ts'

/** With what an {@link IssuePool} works. */
export interface IssuePoolOptions {
  /** Threads beside this one, 0 to {@link MAX_ISSUE_WORKERS}. With 0, or with a key that is not in this process, this thread issues. */
  readonly workers: number
  readonly random: RandomSource
  /** Most requests that wait or are worked on at a time. Default is {@link DEFAULT_MAX_QUEUED}. */
  readonly maxQueued?: number
}

/** Issues certificates on several cores. */
export interface IssuePool extends AsyncDisposable {
  /** How many threads are at it now; 0 means this one. */
  readonly workers: number
  /** Requests that wait or are worked on. */
  readonly queued: number
  /**
   * Issues one certificate for each request. What calls of the same turn of the event loop ask for is issued together, so that a server which asks
   * for one certificate a call has as much of it as one that gathers them.
   *
   * @param options - `now` is the present in epoch milliseconds; what has not begun when the signal fires is not issued.
   * @returns A result for each request, in the order of the requests.
   * @throws {@link IdentityError} `ISSUER_BUSY` if the queue has no room for the batch; nothing of it was issued then.
   * @throws The signal's reason.
   */
  readonly issue: (
    requests: readonly BatchRequest[],
    options: { readonly now: number; readonly signal: AbortSignal },
  ) => Promise<readonly BatchResult[]>
  /** Ends the threads. What is still queued is issued by this one. */
  readonly close: () => Promise<void>
}

/** More threads than this are no gain on the machines of today. */
export const MAX_ISSUE_WORKERS = 64
/** A minute's work of one core at a few thousand certificates a second would be too much to lose; this is some seconds' worth. */
export const DEFAULT_MAX_QUEUED = 16_384

// With fewer, messages cost more: each takes a core from a thread for a moment. With more, a thread has too much to finish for what is called off.
const LARGEST_CHUNK = 128
// With more, the last thread has longer to go alone.
const SMALLEST_CHUNK = 4

/**
 * Issues from `authority` on several cores. Every thread opens the authority with the same key, which never leaves the process, and issues by the same
 * path as {@link issueCertificate}; a thread that dies is not replaced, and what it had is issued by the others.
 *
 * @throws RangeError if a number is out of range.
 */
export function createIssuePool(authority: Authority, options: IssuePoolOptions): IssuePool {
  const { workers, random, maxQueued = DEFAULT_MAX_QUEUED } = options
  if (!Number.isInteger(workers) || workers < 0 || workers > MAX_ISSUE_WORKERS)
    throw new RangeError(`workers must be a whole number from 0 to ${MAX_ISSUE_WORKERS}`)
  if (!Number.isInteger(maxQueued) || maxQueued < 1) throw new RangeError('maxQueued must be a whole number above 0')

  const key = keyOfSigner(authority.signer)
  const threads = new Set<IssueThread>()
  const queue = createIssueQueue()
  let queued = 0
  let alone: Promise<void> | null = null
  let awaitsTurn = false

  const freest = (): IssueThread | undefined => {
    let found: IssueThread | undefined
    for (const thread of threads) if (thread.inHand < (found?.inHand ?? CHUNKS_IN_HAND)) found = thread
    return found
  }
  /** Large at first and small at the end, so that all threads end together. */
  const chunkSize = (): number =>
    Math.min(LARGEST_CHUNK, Math.max(SMALLEST_CHUNK, Math.ceil(queue.size / (threads.size * 4))))
  const pump = (): void => {
    if (threads.size === 0 && queue.size > 0) {
      alone ??= issueHere(authority, queue).finally(() => {
        alone = null
        pump()
      })
    }
    for (let thread = freest(); thread !== undefined && queue.size > 0; thread = freest()) {
      const shares = queue.take(chunkSize())
      if (shares.length > 0) thread.issue(shares)
    }
  }
  // What is asked for in one turn is issued together.
  const pumpNextTurn = (): void => {
    if (awaitsTurn) return
    awaitsTurn = true
    setImmediate(() => {
      awaitsTurn = false
      pump()
    })
  }
  const takeBack = (shares: readonly Share[]): void => {
    queue.putBack(shares)
    pump()
  }

  if (key !== null) {
    const parts = {
      key,
      certificate: authority.certificate.der,
      intermediates: authority.intermediates.map(({ der }) => der),
    }
    for (let index = 0; index < workers; index += 1) {
      const thread: IssueThread = startIssueThread({
        authority: parts,
        onRoom: pump,
        onEnd: (unfinished) => {
          threads.delete(thread)
          takeBack(unfinished)
        },
      })
      threads.add(thread)
    }
  }

  const close = async (): Promise<void> => {
    const ending = [...threads]
    threads.clear()
    const unfinished = await Promise.all(ending.map(async (thread) => await thread.close()))
    takeBack(unfinished.flat())
  }

  return {
    get workers() {
      return threads.size
    },
    get queued() {
      return queued
    },
    issue: async (requests, { now, signal }) => {
      signal.throwIfAborted()
      const count = requests.length
      if (queued + count > maxQueued) {
        throw new IdentityError(
          'ISSUER_BUSY',
          `the queue of the issuer has room for ${maxQueued - queued} requests; send fewer at a time, or later`,
          { retryable: true },
        )
      }
      if (count === 0) return []
      const serials = drawSerials(count, random)
      const results: BatchResult[] = []
      queued += count
      try {
        await new Promise<void>((done) => {
          queue.add({ batch: { requests, now, signal, serials, results, open: count, done }, from: 0, to: count })
          pumpNextTurn()
        })
        signal.throwIfAborted()
        return results
      } finally {
        queued -= count
      }
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}
