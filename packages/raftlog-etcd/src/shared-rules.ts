import {
  MAX_FRAME_ENTRIES,
  MAX_INDEX,
  MAX_SNAPSHOT_BYTES,
  type Position,
  RaftLogError,
  type Snapshot,
} from '@leastwise/raftlog'
import { EtcdLogError } from './errors.ts'

/** Largest sum of one append, and of what shares its transaction: etcd takes 1.5 MiB in a request, all else included. */
export const MAX_SHARED_APPEND_BYTES: number = 1024 * 1024

/** Refuses entries that no frame can hold. */
export function checkEntries(entries: readonly Uint8Array[]): void {
  if (!Array.isArray(entries) || !entries.every((data) => data instanceof Uint8Array)) {
    throw new TypeError('entries must be an array of Uint8Array')
  }
  if (entries.length === 0 || entries.length > MAX_FRAME_ENTRIES) {
    throw new RangeError(`an append takes 1 to ${MAX_FRAME_ENTRIES} entries, got ${entries.length}`)
  }
  const total = entries.reduce((sum, { length }) => sum + length, 0)
  if (total > MAX_SHARED_APPEND_BYTES) {
    throw new RaftLogError(
      'ENTRY_TOO_LARGE',
      `entries hold ${total} bytes together; keep them to ${MAX_SHARED_APPEND_BYTES}`,
    )
  }
}

/** Refuses a term that falls or does not fit the format. */
export function checkTerm(term: bigint, last: bigint): void {
  if (typeof term !== 'bigint') throw new TypeError('term must be a bigint')
  if (term < 1n || term > MAX_INDEX || term < last) throw new RangeError('term must be at least 1 and never fall')
}

/** Refuses a snapshot of anything but entries between two positions. */
export function checkSnapshot({ index, term, data }: Snapshot, least: bigint, last: Position): void {
  if (!(data instanceof Uint8Array)) throw new TypeError('snapshot data must be a Uint8Array')
  if (typeof index !== 'bigint' || typeof term !== 'bigint')
    throw new TypeError('snapshot index and term must be bigint')
  if (index < 1n || index < least || index > last.index) {
    throw new RangeError(`snapshot index must lie between ${String(least)} and ${String(last.index)}`)
  }
  if (term < 1n || term > last.term) throw new RangeError('snapshot term must be one of the log')
  if (data.length > MAX_SNAPSHOT_BYTES) {
    throw new RangeError(`snapshot must have at most ${MAX_SNAPSHOT_BYTES} bytes, got ${data.length}`)
  }
}

/** Refuses a snapshot from elsewhere that would take back what was acknowledged, or a newer snapshot. */
export function checkInstalled(snapshot: Snapshot, newest: bigint, last: Position): void {
  const least = newest + 1n > last.index ? newest + 1n : last.index
  checkSnapshot(snapshot, least, { index: MAX_INDEX - 1n, term: MAX_INDEX })
  if (snapshot.term < last.term) throw new RangeError('term of a snapshot from elsewhere must never fall')
}

/** Refuses what is no index. */
export function checkIndex(index: bigint): void {
  if (typeof index !== 'bigint') throw new TypeError('index must be a bigint')
}

/** Refuses to read what is no longer there. */
export function checkFrom(from: bigint, firstIndex: bigint): void {
  if (typeof from !== 'bigint') throw new TypeError('from must be a bigint')
  if (from < firstIndex) {
    throw new RaftLogError('LOG_GAP', 'entries from there on are compacted away; load the snapshot first')
  }
}

/** Refuses to drop what the newest snapshot does not cover. */
export function checkCompaction(upTo: bigint, snapshotIndex: bigint): void {
  if (typeof upTo !== 'bigint') throw new TypeError('upTo must be a bigint')
  if (upTo > snapshotIndex) throw new RangeError('only what the newest snapshot covers can be compacted')
}

/** The refusal of everything after closing. */
export const closedLog = (): RaftLogError => new RaftLogError('LOG_CLOSED', 'log is closed; open it again')

/** The refusal of what belongs to the storage of one Raft node. */
export const notShared = (): EtcdLogError =>
  new EtcdLogError(
    'OPERATION_NOT_SHARED',
    'a log in etcd has no hard state, no lock of its own, and replaces nothing; leave this out',
  )
