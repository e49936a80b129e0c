import { setMaxListeners } from 'node:events'
import type { Snapshot } from '@leastwise/raftlog'
import { EtcdLogError, MAX_SHARED_APPEND_BYTES, type SharedLog } from '@leastwise/raftlog-etcd'
import { asError } from '../../errors.ts'
import { decodePlain, encodePlain } from '../../plain-data.ts'
import { sleepUntilWoken } from '../../sleepers.ts'
import {
  type ClusterCommand,
  type ClusterEvent,
  type ClusterState,
  decide,
  emptyCluster,
  evolve,
} from '../cluster-state.ts'
import { type Store, snapshotOf } from '../store.ts'

/** What a shared store needs beside its log. */
export interface SharedStoreOptions {
  readonly signal: AbortSignal
  /** The log can no longer be followed: this manager was removed, or what it read is not authentic. */
  readonly fail: (error: unknown) => void
}

interface Waiting {
  readonly plan: (state: ClusterState) => readonly ClusterCommand[]
  readonly resolve: (state: ClusterState) => void
  readonly reject: (error: unknown) => void
}

interface Decided {
  readonly waiting: Waiting
  readonly events: readonly ClusterEvent[]
}

const applied = (state: ClusterState, data: Uint8Array): ClusterState =>
  (decodePlain(data) as readonly ClusterEvent[]).reduce(evolve, state)

const sizeOf = (entries: readonly Uint8Array[]): number => entries.reduce((sum, { length }) => sum + length, 0)

const isConflict = (error: unknown): boolean => error instanceof EtcdLogError && error.code === 'LOG_CONFLICT'

/**
 * The cluster's state in a log that other managers write as well.
 *
 * One reader applies what the log holds, whoever wrote it. A command is decided on what was applied, and its events are
 * appended at exactly the next index: if another manager was faster, nothing is appended and the command is decided anew. So a
 * manager that slept through a change of leader commits nothing on what it remembers.
 */
export async function openSharedStore(log: SharedLog, { signal, fail }: SharedStoreOptions): Promise<Store> {
  // As many wait for an entry at once as there are commands under way.
  setMaxListeners(0, signal)
  let durable = emptyCluster
  let durableIndex = 0n
  let broken: Error | null = null
  const sleepers = new Set<() => void>()
  const queue: Waiting[] = []
  let working = false

  const publish = (state: ClusterState, index: bigint): void => {
    durable = state
    durableIndex = index
    for (const wake of [...sleepers]) wake()
  }

  const follow = async (): Promise<void> => {
    for await (const step of log.follow({ from: 1n, signal })) {
      if (step.kind === 'snapshot') publish(applied(emptyCluster, step.snapshot.data), step.snapshot.index)
      else {
        const last = step.entries.at(-1)
        if (last !== undefined)
          publish(
            step.entries.reduce((state, { data }) => applied(state, data), durable),
            last.index,
          )
      }
    }
  }

  const check = (): void => {
    if (broken !== null) throw broken
  }
  const reached = async (index: bigint): Promise<void> => {
    while (durableIndex < index) {
      check()
      signal.throwIfAborted()
      await sleepUntilWoken(sleepers, signal)
    }
  }
  const upToDate = async (): Promise<void> => {
    await reached((await log.refresh({ signal })).index)
  }

  const decideAll = (
    batch: readonly Waiting[],
  ): {
    readonly writing: readonly Decided[]
    readonly idle: readonly Waiting[]
    readonly refused: readonly { readonly waiting: Waiting; readonly error: unknown }[]
  } => {
    let state = durable
    const writing: Decided[] = []
    const idle: Waiting[] = []
    const refused: { waiting: Waiting; error: unknown }[] = []
    for (const waiting of batch) {
      try {
        const events = decide(state, waiting.plan(state))
        state = events.reduce(evolve, state)
        if (events.length > 0) writing.push({ waiting, events })
        else idle.push(waiting)
      } catch (error) {
        refused.push({ waiting, error })
      }
    }
    return { writing, idle, refused }
  }

  /** Settles every command of the batch, however many other managers get in between. */
  const settle = async (batch: readonly Waiting[]): Promise<void> => {
    for (;;) {
      const decidedOn = durableIndex
      const { writing, idle, refused } = decideAll(batch)
      // A refusal, or finding nothing to do, may rest on what has changed elsewhere.
      if (idle.length + refused.length > 0) {
        await upToDate()
        if (durableIndex !== decidedOn) continue
      }
      if (writing.length > 0) {
        const entries = writing.map(({ events }) => encodePlain(events))
        if (writing.length > 1 && sizeOf(entries) > MAX_SHARED_APPEND_BYTES) {
          // Together they are too large for etcd, which says nothing about each of them.
          await settleEach(batch.slice(0, batch.length >> 1))
          await settleEach(batch.slice(batch.length >> 1))
          return
        }
        try {
          const { last } = await log.append(entries, { at: decidedOn + 1n })
          await reached(last)
        } catch (error) {
          if (!isConflict(error)) throw error
          await upToDate()
          continue
        }
      }
      for (const { waiting } of writing) waiting.resolve(durable)
      for (const waiting of idle) waiting.resolve(durable)
      for (const { waiting, error } of refused) waiting.reject(error)
      return
    }
  }
  /** The same; what fails is told to everybody who waits. */
  const settleEach = async (batch: readonly Waiting[]): Promise<void> => {
    try {
      await settle(batch)
    } catch (error) {
      for (const { reject } of batch) reject(broken ?? error)
    }
  }
  const work = async (): Promise<void> => {
    if (working) return
    working = true
    try {
      while (queue.length > 0) await settleEach(queue.splice(0))
    } finally {
      working = false
    }
  }

  const following = follow().catch((error: unknown) => {
    if (signal.aborted) return
    broken = asError(error)
    for (const wake of [...sleepers]) wake()
    fail(error)
  })
  // A state that is known to be old would let in whom others have thrown out.
  await Promise.race([upToDate(), following])
  check()

  return {
    state: () => durable,
    upToDate,
    snapshot: async (atLeast): Promise<Snapshot> => {
      await reached(atLeast)
      return snapshotOf(durable, durableIndex, log.lastTerm)
    },
    commit: async (plan) =>
      await new Promise<ClusterState>((resolve, reject) => {
        if (broken !== null) {
          reject(broken)
          return
        }
        queue.push({ plan, resolve, reject })
        void work()
      }),
    watch: async function* ({ signal: until }) {
      for (;;) {
        until.throwIfAborted()
        const seen = durable
        yield seen
        if (durable !== seen) continue
        await sleepUntilWoken(sleepers, until)
      }
    },
  }
}
