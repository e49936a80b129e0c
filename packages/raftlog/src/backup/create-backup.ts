import { type Entry, MAX_ENTRY_BYTES, MAX_FRAME_ENTRIES, type Position, type Snapshot } from '../entry.ts'
import { byteWriter } from '../format/byte-writer.ts'
import { isLogId } from '../format/file-header.ts'
import type { HardState } from '../format/hard-state.ts'
import { isClear } from '../keys/key-wrapper.ts'
import { decodeKeyring } from '../keys/keyring.ts'
import type { CipherSuite, KeyStore, KeyWrapper, RandomSource } from '../ports.ts'
import type { SealedLog } from '../sealed-log.ts'
import {
  type BackupCompanion,
  encodeAbout,
  encodeCompanion,
  isCompanionName,
  MAX_COMPANION_BYTES,
  MAX_COMPANIONS,
} from './about.ts'
import { encodeTrailer, runningDigest } from './backup-digest.ts'
import { BACKUP_ID_BYTES, BACKUP_VERSION, type BackupHeader, encodeBackupHeader } from './backup-header.ts'
import { backupAead, PART, PART_ENTRY_BYTES, sealPart } from './backup-part.ts'

/** The log to back up, open. */
export type BackupSource = Pick<SealedLog, 'batches' | 'lastIndex' | 'loadSnapshot' | 'state' | 'termAt'>

/** What a backup is made with. */
export interface BackupOptions {
  readonly clusterId: string
  readonly logId: string
  /** What the backup's fresh key is wrapped with: any keeper with a lock, or age recipients. */
  readonly wrapper: KeyWrapper
  readonly suite: CipherSuite
  readonly random: RandomSource
  /** The present instant, in epoch milliseconds. */
  readonly now: number
  /**
   * Last index to hold, the last durable one unless given. A Raft node gives the index up to which entries are committed:
   * what lies behind may still be replaced.
   */
  readonly upTo?: bigint
  /** Where the log's key ring is; a ring with a lock goes along as it is, one in the clear never does. */
  readonly keys?: KeyStore
  readonly companions?: readonly BackupCompanion[]
  readonly signal?: AbortSignal
}

/** What to note about a backup, best elsewhere: with its digest it can be verified without its key. */
export interface BackupReceipt {
  readonly backupId: Uint8Array<ArrayBuffer>
  readonly last: Position
  readonly digest: Uint8Array<ArrayBuffer>
}

const KEY_BYTES = 32
const PIECE_BYTES = 1024 * 1024
// A part costs its own tag and checksum; at this size neither is felt.
const GATHERED_BYTES = 256 * 1024

function checkOptions({ clusterId, logId, wrapper, companions = [] }: BackupOptions): void {
  if (!isLogId(clusterId)) throw new RangeError('cluster id must be 1 to 64 visible ASCII characters')
  if (!isLogId(logId)) throw new RangeError('log id must be 1 to 64 visible ASCII characters')
  if (isClear(wrapper.id)) throw new TypeError('a backup must have a lock; the clear wrapper would open for everybody')
  if (companions.length > MAX_COMPANIONS) throw new RangeError(`companions must be at most ${MAX_COMPANIONS}`)
  if (new Set(companions.map(({ name }) => name)).size !== companions.length) {
    throw new RangeError('names of companions must differ')
  }
  for (const { name, bytes } of companions) {
    if (!isCompanionName(name)) throw new RangeError('name of a companion must be 1 to 64 visible ASCII characters')
    if (bytes.length > MAX_COMPANION_BYTES)
      throw new RangeError(`a companion must have at most ${MAX_COMPANION_BYTES} bytes`)
  }
}

/** The ring as it is kept, unless anybody could read it. */
async function lockedRing(keys: KeyStore | undefined): Promise<Uint8Array<ArrayBuffer> | null> {
  const ring = (await keys?.load()) ?? null
  return ring === null || isClear(decodeKeyring(ring).wrapperId) ? null : new Uint8Array(ring)
}

/** The state up to this index: what is committed behind it is not in the backup. */
const stateUpTo = (state: HardState | null, last: bigint): HardState | null =>
  state === null || state.commit <= last ? state : { ...state, commit: last }

/** Packs the entries of small batches into one part. */
async function* gathered(batches: AsyncIterable<readonly Entry[]>): AsyncGenerator<readonly Entry[], void, void> {
  let held: Entry[] = []
  let size = 0
  for await (const batch of batches) {
    const added = batch.reduce((sum, { data }) => sum + data.length, 0)
    if (held.length > 0 && (held.length + batch.length > MAX_FRAME_ENTRIES || size + added > MAX_ENTRY_BYTES)) {
      yield held
      held = []
      size = 0
    }
    held.push(...batch)
    size += added
    if (size < GATHERED_BYTES) continue
    yield held
    held = []
    size = 0
  }
  if (held.length > 0) yield held
}

function encodeEntries(entries: readonly Entry[]): Uint8Array<ArrayBuffer> {
  const out = byteWriter(entries.reduce((sum, { data }) => sum + PART_ENTRY_BYTES + data.length, 0))
  for (const { term, data } of entries) out.u64(term).u32(data.length).bytes(data)
  return out.written()
}

interface Sealable {
  readonly type: number
  readonly count: number
  readonly index: bigint
  readonly body: Uint8Array
}

/** What a backup holds, part by part. */
async function* contents(
  about: Uint8Array,
  companions: readonly BackupCompanion[],
  snapshot: Snapshot | null,
  batches: AsyncIterable<readonly Entry[]>,
): AsyncGenerator<Sealable, void, void> {
  yield { type: PART.about, count: 0, index: 0n, body: about }
  for (const [count, companion] of companions.entries()) {
    yield { type: PART.companion, count, index: 0n, body: encodeCompanion(companion) }
  }
  if (snapshot !== null) {
    const { index, data } = snapshot
    for (let at = 0, count = 0; at < data.length || count === 0; at += PIECE_BYTES, count += 1) {
      yield { type: PART.snapshot, count, index, body: data.subarray(at, at + PIECE_BYTES) }
    }
  }
  for await (const entries of gathered(batches)) {
    const index = entries[0]?.index ?? 0n
    yield { type: PART.entries, count: entries.length, index, body: encodeEntries(entries) }
  }
}

/**
 * Backs up a log while it is being written: its newest snapshot and the entries from there to one index, its hard state,
 * its key ring as it is kept, and what the host gives along, all sealed under a fresh key.
 *
 * Memory holds the snapshot and one part. If the log drops entries before they were read (a compaction, a rotation of the
 * data key), the backup fails with `LOG_GAP` or `RECORD_UNKNOWN_KEY` and is to be made again.
 *
 * @returns Pieces of the file, in order; at the end what to note about it. Without the last piece it is not a backup.
 * @throws {@link RaftLogError} what reading the log throws, and what the wrapper throws.
 * @throws TypeError if the wrapper has no lock, RangeError if an id, a companion or `upTo` lies outside its bounds.
 */
export async function* createBackup(
  log: BackupSource,
  options: BackupOptions,
): AsyncGenerator<Uint8Array<ArrayBuffer>, BackupReceipt, void> {
  checkOptions(options)
  const { clusterId, logId, wrapper, suite, random, now, companions = [], signal } = options
  signal?.throwIfAborted()
  const ring = await lockedRing(options.keys)
  const snapshot = await log.loadSnapshot()
  // From here to the reading nothing waits: this is the point in time that the backup shows.
  const index = options.upTo ?? log.lastIndex
  const from = (snapshot?.index ?? 0n) + 1n
  if (index > log.lastIndex || index < from - 1n) {
    throw new RangeError(`upTo must lie between ${String(from - 1n)} and ${String(log.lastIndex)}`)
  }
  const about = encodeAbout({ state: stateUpTo(log.state, index), ring })
  const batches = log.batches({ from, to: index, ...(signal === undefined ? {} : { signal }) })

  const term = index === 0n ? 0n : ((await log.termAt(index)) ?? 0n)
  const key = random.bytes(KEY_BYTES)
  const backupId = random.bytes(BACKUP_ID_BYTES)
  const header: BackupHeader = {
    version: BACKUP_VERSION,
    ...{ backupId, madeAt: now, clusterId, logId, last: { index, term } },
    snapshot: snapshot === null ? null : { index: snapshot.index, term: snapshot.term },
    wrapperId: wrapper.id,
    wrappedKey: await wrapper.wrap(key),
  }
  const headerBytes = encodeBackupHeader(header, suite)
  const aead = backupAead(key, headerBytes, suite)
  key.fill(0)

  const digest = runningDigest(suite)
  digest.add(headerBytes)
  yield headerBytes
  let number = 0
  const seal = ({ body, ...head }: Sealable): Uint8Array<ArrayBuffer> => {
    const part = sealPart(aead, number, head, body, suite)
    number += 1
    digest.add(part)
    return part
  }
  for await (const part of contents(about, companions, snapshot, batches)) {
    signal?.throwIfAborted()
    yield seal(part)
  }
  yield seal({ type: PART.end, count: 0, index, body: new Uint8Array(0) })
  yield encodeTrailer(digest.value())
  return { backupId, last: { index, term }, digest: digest.value() }
}
