import type { KeyWrapper } from '@leastwise/identity'
import { type BackupSource, clearWrapper, type SealedLog, type SnapshotSource } from '@leastwise/raftlog'
import { systemClock } from '@leastwise/raftlog/node'
import type { Announce } from '../announce.ts'
import { codeOf } from '../errors.ts'
import type { Issuing } from './issuing/issuing.ts'
import { unsignedIn } from './issuing/unsigned.ts'
import type { ManagerIdentity, ManagerKeys } from './manager-keys.ts'
import type { PresenceBoard } from './presence-board.ts'
import { openStore, type Store } from './store.ts'

/** What the work that one manager does for all has to hand. */
export interface BackgroundWork {
  readonly store: Store
  readonly issuing: Issuing
  readonly announce: Announce
  readonly now: () => number
}

/** What telling other managers about nodes needs. */
export interface PresenceWork {
  readonly store: Store
  readonly presence: PresenceBoard
  readonly announce: Announce
}

/** Where the cluster's state lies: in a log of this manager's own, or in one that several managers share. */
export interface Engine {
  readonly kind: 'etcd' | 'file'
  /** What a backup is made of. */
  readonly source: BackupSource
  /** Bytes of an unfinished write that opening dropped, or null. */
  readonly repairedBytes: number | null
  readonly openStore: (options: {
    readonly signal: AbortSignal
    readonly fail: (error: unknown) => void
    /** Nothing more can be written until the next start; what is durable can still be read. */
    readonly onBroken?: (error: Error) => void
  }) => Promise<Store>
  /**
   * Wraps what this manager keeps under another key. What had lain open before is replaced; `identity` goes in the same write.
   *
   * @returns null when nothing opens with the old key any more; else the code of what stood in the way, and the background goes on
   * with it. Once it rejects, the old key is the one that counts.
   */
  readonly lock: (
    wrapper: KeyWrapper,
    options: { readonly identity: ManagerIdentity; readonly snapshot: SnapshotSource },
  ) => Promise<string | null>
  readonly unlock: () => Promise<void>
  /** Takes from a manager that was removed what it could read the log with. */
  readonly expel: (nodeId: string, options: { readonly snapshot: SnapshotSource }) => Promise<void>
  /** Tells the other managers which nodes are connected to this one, and hears the same of them, until the signal fires. */
  readonly sharePresence: (work: PresenceWork, options: { readonly signal: AbortSignal }) => Promise<void>
  /** What one manager has to do for all, until the signal fires or it is done. */
  readonly background: (work: BackgroundWork, options: { readonly signal: AbortSignal }) => Promise<void>
  readonly close: () => Promise<void>
}

const FINISH_MS = 1000

/** The embedded default: one manager, its log in its data directory. */
export function fileEngine(log: SealedLog, keys: ManagerKeys): Engine {
  // A change of the data key that a crash or a full disk cut short, now or before the last start.
  let isUnfinished = log.rotating
  const finish = async ({ store, announce }: BackgroundWork, signal: AbortSignal): Promise<void> => {
    for (;;) {
      if (isUnfinished)
        try {
          await log.rotateDek({ snapshot: store.snapshot, signal })
          isUnfinished = false
        } catch (error) {
          if (signal.aborted) return
          const code = codeOf(error) ?? 'INTERNAL'
          announce({ event: 'background-failed', code })
          // Nothing more can be written; the next start goes on with it.
          if (code === 'LOG_FAILED' || code === 'LOG_CLOSED') return
        }
      await systemClock.sleep(FINISH_MS, { signal })
    }
  }
  return {
    kind: 'file',
    source: log,
    repairedBytes: log.repair?.droppedBytes ?? null,
    openStore: async ({ onBroken }) => await openStore(log, onBroken),
    lock: async (wrapper, { identity, snapshot }) => {
      try {
        await keys.withIdentity(identity, async () => {
          await log.lock(wrapper, { snapshot })
        })
        return null
      } catch (error) {
        if (keys.wrapper() !== wrapper) throw error
        // The key file is under the new key, which nobody would be told if this failed.
        isUnfinished = true
        return codeOf(error) ?? 'INTERNAL'
      }
    },
    unlock: async () => {
      await log.rewrap(clearWrapper)
    },
    expel: async () => {
      // The only manager cannot be removed, and no other had the key.
      await Promise.resolve()
    },
    sharePresence: async () => {
      // There are no others.
      await Promise.resolve()
    },
    background: async (work, { signal }) => {
      await Promise.all([finish(work, signal), work.issuing.issueAll(unsignedIn(work.store))])
    },
    close: async () => {
      await log.close()
    },
  }
}
