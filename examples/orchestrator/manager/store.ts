import type { SealedLog } from '@leastwise/raftlog'
import { decodePlain, encodePlain } from '../plain-data.ts'
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
const ENTRIES_PER_SNAPSHOT = 1_000n

/** The cluster's state and the only way to change it: decide, make durable, publish. */
export interface Store {
  /** What is durable. */
  readonly state: () => ClusterState
  /**
   * Decides what `plan` asks for on the newest state and resolves when its events are durable; all of them in one log
   * entry, so that a crash leaves all or none. Rejects with the decider's coded error, and then nothing has changed.
   */
  readonly commit: (plan: (state: ClusterState) => readonly ClusterCommand[]) => Promise<ClusterState>
  /** The durable state now, and again after changes; states that were passed over quickly are left out. */
  readonly watch: (options: { readonly signal: AbortSignal }) => AsyncGenerator<ClusterState, void, void>
  /** The state as a snapshot holds it, together with the entry that it includes. */
  readonly snapshot: () => { readonly index: bigint; readonly term: bigint; readonly data: Uint8Array }
}

const TERM = 1n

export async function openStore(log: SealedLog): Promise<Store> {
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
  let wakeUps: (() => void)[] = []

  const publish = (state: ClusterState, index: bigint): void => {
    durable = state
    durableIndex = index
    const sleepers = wakeUps
    wakeUps = []
    for (const wake of sleepers) wake()
  }
  const snapshot: Store['snapshot'] = () => ({ index: durableIndex, term: TERM, data: encodePlain(historyOf(durable)) })

  const keepSnapshot = async (): Promise<void> => {
    if (durableIndex - snapshotIndex < ENTRIES_PER_SNAPSHOT) return
    snapshotIndex = durableIndex
    const kept = snapshot()
    await log.saveSnapshot(kept)
    await log.compact(kept.index)
  }

  return {
    state: () => durable,
    snapshot,
    commit: async (plan) => {
      const events = decide(ahead, plan(ahead))
      if (events.length > 0) {
        ahead = events.reduce(evolve, ahead)
        const reached = ahead
        const written = log.append([encodePlain(events)], { term: TERM })
        const previous = lastWrite
        lastWrite = (async () => {
          await previous
          publish(reached, (await written).last)
          await keepSnapshot()
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
        await new Promise<void>((resolve) => {
          wakeUps.push(resolve)
          signal.addEventListener(
            'abort',
            () => {
              resolve()
            },
            { once: true },
          )
        })
      }
    },
  }
}
