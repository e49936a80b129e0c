import { GROUP_COMMIT_BYTES, MAX_FRAME_ENTRIES } from './entry.ts'
import { RaftLogError } from './errors.ts'
import { ENTRY_OVERHEAD_BYTES } from './format/frame.ts'
import { encodeHardState, type HardState } from './format/hard-state.ts'
import type { Appended } from './sealed-log.ts'

/** One group commit, ready to be sealed. */
export interface Commit {
  readonly index: bigint
  readonly term: bigint
  readonly count: number
  readonly body: Uint8Array
  /** Stands behind the entries in the body, if there is one. */
  readonly state: HardState | null
}

/** What the loop needs from its log. */
export interface CommitLoopParts {
  readonly nextIndex: bigint
  /** Lets everything that is ready to append do so, before a frame is closed. */
  readonly turn: () => Promise<void>
  /** Makes one frame durable. */
  readonly commit: (commit: Commit) => Promise<void>
}

/** An append that has its indices and is on its way to the disk. */
export interface Queued extends Appended {
  /** Resolves once the frame is durable; all appends of a frame have the same one. */
  readonly durable: Promise<void>
}

/** Collects appends while the previous frame is on its way to the disk; nothing ever waits for company. */
export interface CommitLoop {
  /**
   * Takes the entries in, there and then. `at` begins a frame of its own: what stands there is replaced. The last `state`
   * of a frame counts.
   */
  readonly append: (
    entries: readonly Uint8Array[],
    term: bigint,
    more?: { readonly at?: bigint | undefined; readonly state?: HardState | undefined },
  ) => Queued
  /** Gives the next entry this index; nothing may be queued. */
  readonly skipTo: (index: bigint) => void
  /** Runs `task` between two frames, after all that was queued before it. */
  readonly exclusive: <T>(task: () => Promise<T>) => Promise<T>
  /** Resolves when nothing is queued any more. */
  readonly drained: () => Promise<void>
  /** Why the log has stopped, or null. */
  readonly failure: () => RaftLogError | null
}

interface OpenCommit {
  readonly kind: 'commit'
  readonly index: bigint
  readonly term: bigint
  count: number
  used: number
  buffer: Uint8Array
  view: DataView
  state: HardState | null
  // One for all that wait: a promise and what settles it, for each of 256 clients, cost as much as sealing their frame.
  readonly durable: Promise<void>
  readonly resolve: () => void
  readonly reject: (reason: unknown) => void
}

interface Task {
  readonly kind: 'task'
  readonly run: () => Promise<void>
  readonly reject: (reason: unknown) => void
}

const FIRST_BUFFER_BYTES = 64 * 1024
const KEPT_BUFFER_BYTES = 2 * GROUP_COMMIT_BYTES
// Two are enough: one is being written while the next is being filled.
const KEPT_BUFFERS = 2

const NOTHING_MORE = {} as const

export function commitLoop(parts: CommitLoopParts): CommitLoop {
  const queue: (OpenCommit | Task)[] = []
  const spare: Uint8Array[] = []
  let nextIndex = parts.nextIndex
  let failure: RaftLogError | null = null
  let running: Promise<void> | null = null

  const stop = (reason: unknown, current: OpenCommit | Task | undefined): void => {
    failure = new RaftLogError('LOG_FAILED', 'log stopped after a failed write; open it again', { cause: reason })
    for (const job of [...(current === undefined ? [] : [current]), ...queue.splice(0)]) job.reject(reason)
  }

  const commit = async (job: OpenCommit): Promise<void> => {
    const { index, term, count, state } = job
    if (state !== null) add(job, encodeHardState(state))
    const body = job.buffer.subarray(0, job.used)
    await parts.commit({ index, term, count, body, state })
    body.fill(0)
    if (job.buffer.length <= KEPT_BUFFER_BYTES && spare.length < KEPT_BUFFERS) spare.push(job.buffer)
    job.resolve()
  }

  const run = async (): Promise<void> => {
    for (;;) {
      await parts.turn()
      const job = queue.shift()
      if (job === undefined) break
      try {
        await (job.kind === 'task' ? job.run() : commit(job))
      } catch (error) {
        stop(error, job)
        break
      }
    }
    running = null
  }

  const wake = (): void => {
    running ??= run()
  }

  const openCommit = (term: bigint, count: number, size: number, mayJoin: boolean): OpenCommit => {
    const last = queue.at(-1)
    const joins =
      mayJoin &&
      last?.kind === 'commit' &&
      last.term === term &&
      last.count + count <= MAX_FRAME_ENTRIES &&
      last.used + size <= GROUP_COMMIT_BYTES
    if (joins) return last
    const fresh = emptyCommit(nextIndex, term, spare.pop() ?? new Uint8Array(FIRST_BUFFER_BYTES))
    queue.push(fresh)
    return fresh
  }

  return {
    failure: () => failure,
    drained: async () => {
      while (running !== null) await running
    },
    exclusive: async <T>(task: () => Promise<T>): Promise<T> => {
      if (failure !== null) throw failure
      return await new Promise<T>((resolve, reject) => {
        queue.push({
          kind: 'task',
          reject,
          run: async () => {
            resolve(await task())
          },
        })
        wake()
      })
    },
    skipTo: (index) => {
      nextIndex = index
    },
    append: (entries, term, { at, state } = NOTHING_MORE) => {
      if (failure !== null) throw failure
      let size = 0
      for (const data of entries) size += ENTRY_OVERHEAD_BYTES + data.length
      const mayJoin = at === undefined || at === nextIndex
      const first = at ?? nextIndex
      nextIndex = first
      const job = openCommit(term, entries.length, size, mayJoin)
      if (job.used + size > job.buffer.length) grow(job, job.used + size)
      // Copied here and now, so that the caller may do with its bytes what it likes.
      for (const data of entries) {
        job.view.setUint32(job.used, data.length)
        job.buffer.set(data, job.used + ENTRY_OVERHEAD_BYTES)
        job.used += ENTRY_OVERHEAD_BYTES + data.length
      }
      job.count += entries.length
      job.state = state ?? job.state
      const last = entries.length === 1 ? first : first + BigInt(entries.length - 1)
      nextIndex = last + 1n
      wake()
      return { first, last, durable: job.durable }
    },
  }
}

function emptyCommit(index: bigint, term: bigint, buffer: Uint8Array): OpenCommit {
  let resolve: () => void = () => undefined
  let reject: (reason: unknown) => void = () => undefined
  const durable = new Promise<void>((resolveIt, rejectIt) => {
    resolve = resolveIt
    reject = rejectIt
  })
  const view = viewOf(buffer)
  return {
    kind: 'commit',
    index,
    term,
    count: 0,
    used: 0,
    buffer,
    view,
    state: null,
    durable,
    resolve,
    reject,
  }
}

const viewOf = (buffer: Uint8Array): DataView => new DataView(buffer.buffer, buffer.byteOffset)

function add(job: OpenCommit, bytes: Uint8Array): void {
  const needed = job.used + bytes.length
  if (needed > job.buffer.length) grow(job, needed)
  job.buffer.set(bytes, job.used)
  job.used = needed
}

function grow(job: OpenCommit, needed: number): void {
  const larger = new Uint8Array(Math.max(needed, Math.min(job.buffer.length * 2, GROUP_COMMIT_BYTES)))
  larger.set(job.buffer.subarray(0, job.used))
  job.buffer.fill(0)
  job.buffer = larger
  job.view = viewOf(larger)
}
