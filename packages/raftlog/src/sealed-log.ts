import type { Entry, Position, Snapshot } from './entry.ts'
import type { HardState } from './format/hard-state.ts'
import type { KeyWrapper } from './ports.ts'

/** The indices that an append was given. */
export interface Appended {
  readonly first: bigint
  readonly last: bigint
}

/** Options of {@link SealedLog.append}. */
export interface AppendOptions {
  /** Term of all these entries; the last term, or 1 in an empty log, unless given. Never lower than the one before. */
  readonly term?: bigint
  /**
   * Index of the first of these entries, one after the last unless given. If it exists, the entries from there on are
   * replaced, all at once: after a crash and to every reader there are the old ones or the new ones. What is committed
   * or covered by a snapshot cannot be replaced.
   */
  readonly at?: bigint
  /** Hard state that becomes durable together with the entries. */
  readonly state?: HardState
  /** Refuses the append before it is queued; what is queued cannot be called back. */
  readonly signal?: AbortSignal
}

/** Which entries to read; both ends belong to the range. */
export interface EntryRange {
  /** First index, the log's first unless given. */
  readonly from?: bigint
  /** Last index, the last durable one at the time of the call unless given. */
  readonly to?: bigint
  readonly signal?: AbortSignal
}

/**
 * Makes a snapshot at `atLeast` or later. It is called while appends go on, so the host must first apply everything up
 * to `atLeast` itself: the last entry, or in a log with a hard state the last one that is committed or in a snapshot.
 * Meanwhile it may append and read entries. It must not wait for anything else of the same log (snapshots, compaction,
 * keys, closing): that waits for the rotation.
 */
export type SnapshotSource = (atLeast: bigint) => Snapshot | Promise<Snapshot>

/** Options of a key rotation. */
export interface RotationOptions {
  readonly snapshot: SnapshotSource
  /** Checked between the steps; a rotation left half-way is finished by the next one. */
  readonly signal?: AbortSignal
}

/** What opening found at the end of the log after a crash. */
export interface Repair {
  readonly file: string
  /** Bytes of a frame that never was acknowledged, as far as they can be told from what was there before. */
  readonly droppedBytes: number
}

/**
 * A log that is sealed at rest. One process holds it, any number of callers append at the same time.
 *
 * Every method refuses with `LOG_CLOSED` after {@link SealedLog.close}. A failed write or sync stops the log for good:
 * waiting appends are rejected, and everything that writes is refused with `LOG_FAILED` until the log is opened anew. What
 * fails without having changed anything that counts fails alone: a snapshot before it has its name, a save of the keys.
 */
export interface SealedLog extends AsyncDisposable {
  /** Index of the first entry that can be read; `lastIndex + 1` if there is none. */
  readonly firstIndex: bigint
  /** Index of the last durable entry, 0 in an empty log. */
  readonly lastIndex: bigint
  /** Term of the last durable entry, 0 in an empty log. */
  readonly lastTerm: bigint
  /** The last durable hard state, or null if none was ever saved. */
  readonly state: HardState | null
  /** Position of the newest snapshot, or null. */
  readonly snapshotAt: Position | null
  /** True from the moment a new data key is kept until nothing is left under the old one, also across a crash. */
  readonly rotating: boolean
  /** What opening had to cut off, or null. */
  readonly repair: Repair | null
  /**
   * Appends all entries or none; durable before it resolves. Appends of one caller keep their order.
   *
   * @throws RaftLogError `ENTRY_TOO_LARGE` if the entries hold more than 16 MiB together.
   * @throws RaftLogError `DISK_FULL` or `LOG_FAILED` if it could not be made durable.
   */
  readonly append: (entries: readonly Uint8Array[], options?: AppendOptions) => Promise<Appended>
  /**
   * Replays durable entries in order; every frame is authenticated before one of its entries is given.
   *
   * @throws RaftLogError `LOG_GAP` if `from` lies before {@link SealedLog.firstIndex}, `RECORD_NOT_AUTHENTIC` or
   * `RECORD_TRUNCATED` at damage.
   */
  readonly entries: (range?: EntryRange) => AsyncIterable<Entry>
  /**
   * Keeps a hard state; durable before it resolves. It shares its write with appends that wait at the same time.
   *
   * @throws RangeError if term or commit falls, if the vote of a term changes, or if commit lies behind the last entry.
   */
  readonly saveState: (state: HardState) => Promise<void>
  /**
   * The durable entry at an index, or null if the log does not reach so far.
   *
   * @throws RaftLogError `LOG_GAP` if it is compacted away, or a `RECORD_` code at damage.
   */
  readonly entry: (index: bigint) => Promise<Entry | null>
  /**
   * Term at an index, or null if the log does not reach so far; 0 at index 0. It is known without its entry for the
   * newest snapshot, and for the index before the first entry.
   *
   * @throws RaftLogError `LOG_GAP` if it is compacted away, or a `RECORD_` code at damage.
   */
  readonly termAt: (index: bigint) => Promise<bigint | null>
  /** As {@link SealedLog.entries}, with all entries of a frame at once: a long log is replayed in half of the time. */
  readonly batches: (range?: EntryRange) => AsyncIterable<readonly Entry[]>
  /** Seals a snapshot; durable before it resolves, then older ones are removed. Entries stay until compaction. */
  readonly saveSnapshot: (snapshot: Snapshot) => Promise<void>
  /**
   * Takes a snapshot from elsewhere in the place of all entries and of the snapshot before; the log goes on after its
   * index. Durable before it resolves, and after a crash there is all of the old or all of the new. The hard state
   * stays. Appends that were not waited for may be lost in it.
   *
   * @throws RangeError if it does not lie behind the newest snapshot, or lies before what is committed.
   */
  readonly installSnapshot: (snapshot: Snapshot) => Promise<void>
  /** The newest snapshot in a fresh array, or null. */
  readonly loadSnapshot: () => Promise<Snapshot | null>
  /** Drops whole segments of which no entry lies after `upTo`; `upTo` must be covered by the newest snapshot. */
  readonly compact: (upTo: bigint) => Promise<void>
  /**
   * Changes the data key and removes everything sealed under the old one. Entries that no snapshot covers, because a Raft
   * node has not committed them, are sealed anew. Calls that arrive meanwhile share one further rotation.
   */
  readonly rotateDek: (options: RotationOptions) => Promise<void>
  /**
   * Wraps the data keys under another key, in one save. For switching a lock on use {@link SealedLog.lock}. After a
   * rejection either of the two keys may open the log.
   */
  readonly rewrap: (wrapper: KeyWrapper) => Promise<void>
  /**
   * Switches the lock on: wraps under `wrapper`, and changes the data key, whose clear copy had been on disk.
   *
   * **Have the new key in a safe place before.** Its first step wraps the key ring: from then on `wrapper` is what opens
   * the log, also if this rejects later, or if the process dies. After a rejection either of the two may; `rotating`
   * says that the change of the data key is unfinished, and {@link SealedLog.rotateDek} finishes it.
   */
  readonly lock: (wrapper: KeyWrapper, options: RotationOptions) => Promise<void>
  /** Waits for queued appends, ends the segment and gives the directory back. Calling it again does nothing. */
  readonly close: () => Promise<void>
}
