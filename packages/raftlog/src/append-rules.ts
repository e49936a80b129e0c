import { MAX_ENTRY_BYTES, MAX_FRAME_ENTRIES, MAX_INDEX, MAX_SNAPSHOT_BYTES, type Snapshot } from './entry.ts'
import { RaftLogError } from './errors.ts'

/** Refuses entries that no frame can hold; the same rules for every engine. */
export function checkEntries(entries: readonly Uint8Array[]): void {
  if (!Array.isArray(entries) || !entries.every((data) => data instanceof Uint8Array)) {
    throw new TypeError('entries must be an array of Uint8Array')
  }
  if (entries.length === 0 || entries.length > MAX_FRAME_ENTRIES) {
    throw new RangeError(`an append takes 1 to ${MAX_FRAME_ENTRIES} entries, got ${entries.length}`)
  }
  const total = entries.reduce((sum, data) => sum + data.length, 0)
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
