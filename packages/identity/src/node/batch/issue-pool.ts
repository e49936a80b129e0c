import { setImmediate as turn } from 'node:timers/promises'
import type { Authority } from '../../authority.ts'
import { type Certificate, ownCertificate } from '../../certificate.ts'
import { IdentityError } from '../../errors.ts'
import { allowShortLifetime, type Grant } from '../../issue.ts'
import { SERIAL_BYTES } from '../../leaf-template.ts'
import type { RandomSource } from '../../ports.ts'
import { keyOfSigner } from '../signer.ts'
import { issueChunk } from './issue-chunk.ts'
import type { IssueChunk, IssueItem, IssueOutcomes } from './issue-message.ts'
import { type IssueThread, startIssueThread } from './issue-thread.ts'

/** One certificate of a batch. */
export interface BatchRequest {
  /** A request as PEM or DER, as {@link parseCsr} takes it. */
  readonly csr: string | Uint8Array
  readonly grant: Grant
}

/** What became of one request: its certificate, or the error that {@link parseCsr} or {@link issueCertificate} gave. */
export type BatchResult =
  | { readonly certificate: Certificate; readonly error?: undefined }
  | { readonly error: Error; readonly certificate?: undefined }

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
   * Issues one certificate for each request.
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

// With fewer, messages cost a tenth and more of the time.
const LARGEST_CHUNK = 32
// With more, the last thread has longer to go alone.
const SMALLEST_CHUNK = 4

/** Large at first and small at the end, so that all threads end together. */
function* chunkSizes(count: number, threads: number): Generator<number, void, void> {
  for (let left = count; left > 0; ) {
    const share = Math.ceil(left / (threads * 4))
    const size = Math.min(left, LARGEST_CHUNK, Math.max(SMALLEST_CHUNK, share))
    yield size
    left -= size
  }
}

interface Waiting {
  readonly chunk: IssueChunk
  readonly signal: AbortSignal
  readonly done: (outcomes: IssueOutcomes | null) => void
}

const itemOf = ({ csr, grant }: BatchRequest): IssueItem => ({
  csr,
  grant,
  short: grant[allowShortLifetime] === true,
})

/** One draw for each, as when they are issued one at a time. */
function drawSerials(count: number, random: RandomSource): Uint8Array {
  const serials = new Uint8Array(count * SERIAL_BYTES)
  for (let index = 0; index < count; index += 1) {
    const serial = random.bytes(SERIAL_BYTES)
    if (serial.length !== SERIAL_BYTES)
      throw new RangeError(`random source gave ${serial.length} bytes instead of ${SERIAL_BYTES}`)
    serials.set(serial, index * SERIAL_BYTES)
  }
  return serials
}

function* resultsOf({ each, certificates }: IssueOutcomes): Generator<BatchResult, void, void> {
  let at = 0
  for (const outcome of each) {
    if (typeof outcome === 'number') {
      yield { certificate: ownCertificate(certificates.subarray(at, at + outcome)) }
      at += outcome
    } else if ('mistake' in outcome) {
      yield { error: outcome.mistake }
    } else {
      const { code, message, retryable } = outcome
      yield { error: new IdentityError(code, message, { retryable }) }
    }
  }
}

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
  const given = new Map<number, Waiting>()
  let waiting: Waiting[] = []
  let queued = 0
  let nextId = 0
  let alone: Promise<void> | null = null

  const settle = (id: number, outcomes: IssueOutcomes): void => {
    const found = given.get(id)
    given.delete(id)
    found?.done(outcomes)
  }
  const issueHere = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      if (next.signal.aborted) next.done(null)
      else next.done(await issueChunk(authority, next.chunk))
      // Others want this thread too.
      await turn()
    }
  }
  const pump = (): void => {
    if (threads.size === 0) {
      if (waiting.length > 0)
        alone ??= issueHere().finally(() => {
          alone = null
          pump()
        })
      return
    }
    for (let free = freeThread(); free !== undefined; free = freeThread()) {
      const next = waiting.shift()
      if (next === undefined) return
      if (next.signal.aborted) next.done(null)
      else {
        free.issue(next.chunk)
        given.set(next.chunk.id, next)
      }
    }
  }
  const freeThread = (): IssueThread | undefined => {
    for (const thread of threads) if (thread.hasRoom) return thread
    return undefined
  }
  const takeBack = (chunks: readonly IssueChunk[]): void => {
    const back = chunks.flatMap(({ id }) => given.get(id) ?? [])
    for (const { chunk } of back) given.delete(chunk.id)
    waiting = [...back, ...waiting]
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
        onAnswer: (id, outcomes) => {
          settle(id, outcomes)
          pump()
        },
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
    await Promise.all(
      ending.map(async (thread) => {
        await thread.close()
      }),
    )
    takeBack([...given.values()].map(({ chunk }) => chunk))
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
      if (queued + requests.length > maxQueued) {
        throw new IdentityError(
          'ISSUER_BUSY',
          `the queue of the issuer has room for ${maxQueued - queued} requests; send fewer at a time, or later`,
          { retryable: true },
        )
      }
      const chunks: IssueChunk[] = []
      let at = 0
      for (const size of chunkSizes(requests.length, Math.max(1, threads.size))) {
        const items = requests.slice(at, at + size).map(itemOf)
        chunks.push({ id: nextId, now, items, serials: drawSerials(items.length, random) })
        nextId += 1
        at += size
      }
      queued += requests.length
      try {
        const issued = chunks.map(
          async (chunk) =>
            await new Promise<IssueOutcomes | null>((done) => {
              waiting.push({ chunk, signal, done })
            }),
        )
        pump()
        const outcomes = await Promise.all(issued)
        signal.throwIfAborted()
        return outcomes.flatMap((each) => (each === null ? [] : [...resultsOf(each)]))
      } finally {
        queued -= requests.length
      }
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}
