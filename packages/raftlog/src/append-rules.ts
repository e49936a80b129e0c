import {
  MAX_ENTRY_BYTES,
  MAX_FRAME_ENTRIES,
  MAX_INDEX,
  MAX_SNAPSHOT_BYTES,
  type Position,
  type Snapshot,
} from './entry.ts'
import { RaftLogError } from './errors.ts'
import { isLogId } from './format/file-header.ts'
import type { HardState } from './format/hard-state.ts'

/** Refuses entries that no frame can hold; the same rules for every engine. */
export function checkEntries(entries: readonly Uint8Array[]): void {
  if (!Array.isArray(entries) || !entries.every((data) => data instanceof Uint8Array)) {
    throw new TypeError('entries must be an array of Uint8Array')
  }
  if (entries.length === 0 || entries.length > MAX_FRAME_ENTRIES) {
    throw new RangeError(`an append takes 1 to ${MAX_FRAME_ENTRIES} entries, got ${entries.length}`)
  }
  let total = 0
  for (const data of entries) total += data.length
  if (total > MAX_ENTRY_BYTES) {
    throw new RaftLogError('ENTRY_TOO_LARGE', `entries hold ${total} bytes together; keep them to ${MAX_ENTRY_BYTES}`)
  }
}

/** Refuses a term that falls or does not fit the format. */
export function checkTerm(term: bigint, last: bigint): void {
  if (typeof term !== 'bigint') throw new TypeError('term must be a bigint')
  if (term < 1n || term > MAX_INDEX || term < last) throw new RangeError('term must be at least 1 and never fall')
}

/** Refuses a snapshot of anything but durable entries, and one behind the newest. */
export function checkSnapshot(snapshot: Snapshot, least: bigint, lastIndex: bigint, lastTerm: bigint): void {
  if (!(snapshot.data instanceof Uint8Array)) throw new TypeError('snapshot data must be a Uint8Array')
  if (typeof snapshot.index !== 'bigint' || typeof snapshot.term !== 'bigint') {
    throw new TypeError('snapshot index and term must be bigint')
  }
  if (snapshot.index < 1n || snapshot.index < least || snapshot.index > lastIndex) {
    throw new RangeError(`snapshot index must lie between ${String(least)} and ${String(lastIndex)}`)
  }
  if (snapshot.term < 1n || snapshot.term > lastTerm) throw new RangeError('snapshot term must be one of the log')
  if (snapshot.data.length > MAX_SNAPSHOT_BYTES) {
    throw new RangeError(`snapshot must have at most ${MAX_SNAPSHOT_BYTES} bytes, got ${snapshot.data.length}`)
  }
}

/** What an append may not touch, and where it may begin at the latest. */
export interface AppendBounds {
  /** Index of the newest snapshot, 0 without one. */
  readonly snapshot: bigint
  /** Index up to which entries are committed. */
  readonly commit: bigint
  readonly last: bigint
}

/**
 * Up to where nothing can be replaced any more: in a log with a hard state up to what is committed or in a snapshot,
 * otherwise up to the end.
 */
export function settledIndex(last: Position, state: HardState | null, snapshot: Position | null): bigint {
  if (state === null) return last.index
  const covered = snapshot?.index ?? 0n
  return state.commit > covered ? state.commit : covered
}

/** Refuses to begin behind a hole, or to replace what a snapshot covers or what is committed. */
export function checkAt(at: bigint, { snapshot, commit, last }: AppendBounds): void {
  if (typeof at !== 'bigint') throw new TypeError('at must be a bigint')
  const final = snapshot > commit ? snapshot : commit
  if (at <= final || at > last + 1n) {
    throw new RangeError(`an append must begin between ${String(final + 1n)} and ${String(last + 1n)}`)
  }
}

/** Refuses a hard state that takes something back, or commits what is not there. */
export function checkState(state: HardState, before: HardState | null, last: bigint): void {
  const { term, vote, commit } = state
  if (typeof term !== 'bigint' || typeof commit !== 'bigint') throw new TypeError('term and commit must be bigint')
  if (vote !== null && !isLogId(vote)) throw new RangeError('vote must be 1 to 64 visible ASCII characters, or null')
  if (term < (before?.term ?? 0n) || term > MAX_INDEX) throw new RangeError('term of the hard state must never fall')
  if (commit < (before?.commit ?? 0n) || commit > last) {
    throw new RangeError('commit must never fall, and lie in the log')
  }
  if (before !== null && term === before.term && before.vote !== null && vote !== before.vote) {
    throw new RangeError('vote must stay what it is for the rest of its term')
  }
}

/** Refuses a snapshot from elsewhere that does not lead beyond what is known already. */
export function checkInstalled(snapshot: Snapshot, newest: bigint, commit: bigint): void {
  checkSnapshot(snapshot, newest + 1n, MAX_INDEX - 1n, MAX_INDEX)
  if (snapshot.index < commit) throw new RangeError('a snapshot from elsewhere must reach as far as what is committed')
}

/** Refuses what is no index. */
export function checkIndex(index: bigint): void {
  if (typeof index !== 'bigint') throw new TypeError('index must be a bigint')
}

/** Refuses to read what is no longer there. */
export function checkFrom(from: bigint, firstIndex: bigint): void {
  if (typeof from !== 'bigint') throw new TypeError('from must be a bigint')
  if (from < firstIndex)
    throw new RaftLogError('LOG_GAP', 'entries from there on are compacted away; load the snapshot first')
}

/** Refuses to drop what the newest snapshot does not cover. */
export function checkCompaction(upTo: bigint, snapshotIndex: bigint): void {
  if (typeof upTo !== 'bigint') throw new TypeError('upTo must be a bigint')
  if (upTo > snapshotIndex) throw new RangeError('only what the newest snapshot covers can be compacted')
}

/** The refusal of everything after closing. */
export const closedLog = (): RaftLogError => new RaftLogError('LOG_CLOSED', 'log is closed; open it again')
