import type { SealedLog, Snapshot } from '@leastwise/raftlog'
import { isFull } from '../data-directory.ts'
import { asError, OrchestratorError } from '../errors.ts'
import { decodePlain, encodePlain } from '../plain-data.ts'
import { sleepUntilWoken } from '../sleepers.ts'
import {
  type ClusterCommand,
  type ClusterEvent,
  type ClusterState,
  decide,
  emptyCluster,
  evolve,
  historyOf,
} from './cluster-state.ts'

/** After so many entries the state is kept as a snapshot and the log before it is dropped. */
export const ENTRIES_PER_SNAPSHOT = 1_000n

/** The cluster's state and the only way to change it: decide, make durable, publish. */
export interface Store {
  /** What is durable. */
  readonly state: () => ClusterState
  /** Resolves when `state` holds everything that anybody was told is durable before the call, also by another manager. */
  readonly upToDate: () => Promise<void>
  /**
   * Decides what `plan` asks for on the newest state and resolves when its events are durable; all of them in one log
   * entry, so that a crash leaves all or none. Rejects with the decider's coded error, and then nothing has changed.
   */
  readonly commit: (plan: (state: ClusterState) => readonly ClusterCommand[]) => Promise<ClusterState>
  /** The durable state now, and again after changes; states that were passed over quickly are left out. */
  readonly watch: (options: { readonly signal: AbortSignal }) => AsyncGenerator<ClusterState, void, void>
  /** The state as a snapshot holds it, together with the entry that it includes: `atLeast`, or a later one. */
  readonly snapshot: (atLeast: bigint) => Promise<Snapshot>
}

const TERM = 1n

/** The state as the log keeps it. */
export const snapshotOf = (state: ClusterState, index: bigint, term: bigint): Snapshot => ({
  index,
  term,
  data: encodePlain(historyOf(state)),
})

/** @param onBroken - is told once, when a write failed: from then on the store gives what is durable and takes nothing more. */
export async function openStore(log: SealedLog, onBroken: (error: Error) => void = () => undefined): Promise<Store> {
  const kept = await log.loadSnapshot()
  let durable =
    kept === null ? emptyCluster : (decodePlain(kept.data) as readonly ClusterEvent[]).reduce(evolve, emptyCluster)
  let durableIndex = kept?.index ?? 0n
  for await (const entry of log.entries({ from: durableIndex + 1n })) {
    durable = (decodePlain(entry.data) as readonly ClusterEvent[]).reduce(evolve, durable)
    durableIndex = entry.index
  }

  // Decisions are made on `ahead`, which runs in front of the disk, so that commands which arrive together share one
  // write. A write that fails ends the log for good, and with it whatever `ahead` had promised.
  let ahead = durable
  let lastWrite: Promise<unknown> = Promise.resolve()
  let snapshotIndex = durableIndex
  let broken: Error | null = null
  const sleepers = new Set<() => void>()

  const fail = (thrown: unknown): void => {
    if (broken !== null) return
    broken = isFull(thrown)
      ? new OrchestratorError('DISK_FULL', 'the disk of the manager is full; make room and restart the manager', {
          cause: thrown,
        })
      : asError(thrown)
    onBroken(broken)
  }

  const publish = (state: ClusterState, index: bigint): void => {
    durable = state
    durableIndex = index
    for (const wake of [...sleepers]) wake()
  }
  const snapshotNow = (): Snapshot => snapshotOf(durable, durableIndex, TERM)

  const keepSnapshot = async (): Promise<void> => {
    if (durableIndex - snapshotIndex < ENTRIES_PER_SNAPSHOT) return
    snapshotIndex = durableIndex
    const kept = snapshotNow()
    try {
      await log.saveSnapshot(kept)
      await log.compact(kept.index)
    } catch (error) {
      // While the log changed its data key it was given one that reaches further.
      if ((log.snapshotAt?.index ?? 0n) < kept.index) throw error
    }
  }

  return {
    state: () => durable,
    // Nobody else writes, and what was acknowledged was published before.
    upToDate: async () => {
      await Promise.resolve()
    },
    snapshot: async (atLeast) => {
      // The log has an entry a moment before it is applied here.
      if (durableIndex < atLeast) await lastWrite
      return snapshotNow()
    },
    commit: async (plan) => {
      if (broken !== null) throw broken
      let events: readonly ClusterEvent[]
      try {
        events = decide(ahead, plan(ahead))
      } catch (refusal) {
        // What it was refused for may not be durable yet, and then it never was.
        await lastWrite
        throw refusal
      }
      if (events.length > 0) {
        ahead = events.reduce(evolve, ahead)
        const reached = ahead
        const written = log.append([encodePlain(events)], { term: TERM })
        // When an earlier write failed nobody waits for this one any more.
        written.catch(() => undefined)
        const previous = lastWrite
        lastWrite = (async () => {
          await previous
          const { last } = await written.catch((error: unknown) => {
            fail(error)
            throw broken ?? error
          })
          publish(reached, last)
          // Beside the writes: a log that changes its data key waits for them and lets no snapshot in between.
          keepSnapshot().catch(fail)
        })()
      }
      // Also a command that changed nothing waits: what it saw may not be durable yet.
      await lastWrite
      return durable
    },
    watch: async function* ({ signal }) {
      for (;;) {
        signal.throwIfAborted()
        const seen = durable
        yield seen
        if (durable !== seen) continue
        await sleepUntilWoken(sleepers, signal)
      }
    },
  }
}
