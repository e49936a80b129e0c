import { type AnchorGuard, openAnchorGuard } from '../anchor/anchor-guard.ts'
import { anchoredKeys, proveKeys, settleKeys } from '../anchor/anchored-keys.ts'
import { anchoredSegments } from '../anchor/anchored-segments.ts'
import type { Anchoring } from '../anchor/anchoring.ts'
import { checkRestored } from '../backup/restore-mark.ts'
import { RaftLogError } from '../errors.ts'
import { isLogId, TAG_BYTES } from '../format/file-header.ts'
import { createLogKeys, openLogKeys } from '../keys/log-keys.ts'
import { liveLog } from '../live-log.ts'
import type { CipherSuite, DataKeyCache, KeyStore, KeyWrapper, LogFiles, RandomSource } from '../ports.ts'
import type { SealedLog } from '../sealed-log.ts'
import { termRuns } from '../term-runs.ts'
import { holdsLog, scanDirectory } from './directory-scan.ts'
import type { LogContext } from './log-context.ts'
import { openSegments, type Segments, type SegmentsStart } from './segments.ts'

/** A segment is closed once it is this large: small enough to drop often, large enough that its two syncs are not felt. */
export const SEGMENT_BYTES: number = 64 * 1024 * 1024

/** Everything that a sealed log on files is made of. */
export interface SealedLogParts {
  /** Id of the cluster: 1 to 64 visible ASCII characters. Files of another cluster are refused. */
  readonly clusterId: string
  /** Id of this log in the cluster, usually the node's id: 1 to 64 visible ASCII characters. */
  readonly logId: string
  readonly keys: KeyStore
  readonly wrapper: KeyWrapper
  readonly files: LogFiles
  readonly suite: CipherSuite
  readonly random: RandomSource
  readonly cache: DataKeyCache
  /** Yields to whatever is ready to append; called before each frame is closed. */
  readonly turn: () => Promise<void>
  /** Size from which on a new segment is begun; {@link SEGMENT_BYTES} unless given. */
  readonly segmentBytes?: number
  /** What remembers how far the log had come, so that an older copy of it is refused. */
  readonly anchoring?: Anchoring
}

/**
 * Creates an empty log and opens it. A creation that was cut short is simply repeated: keys that are already kept are
 * used, never replaced.
 *
 * @throws {@link RaftLogError} `LOG_EXISTS` if the directory holds a log, `LOG_BUSY`, `DIRECTORY_UNSAFE`,
 * `DIRECTORY_UNWRITABLE`, `DISK_FULL`, or `KEYS_LOCKED`, `KEYS_WRONG`, `KEYS_MALFORMED` if other keys are kept.
 * With an anchor also `ROLLED_BACK` if it remembers a log, and an `ANCHOR_` code.
 * @throws RangeError if an id or `segmentBytes` lies outside its bounds.
 */
export async function createSealedLog(parts: SealedLogParts): Promise<SealedLog> {
  checkParts(parts)
  await parts.files.enter({ create: true })
  const unlock = await parts.files.lock()
  try {
    const names = await parts.files.list()
    checkRestored(names)
    if (holdsLog(names)) {
      throw new RaftLogError('LOG_EXISTS', 'directory already holds a log; open it, or give another directory')
    }
    const guard = await guardOf(parts, 'create')
    const log: LogContext = { ...parts, keys: await createLogKeys(keyParts(parts, guard)) }
    const segments = guarded(openSegments(log, noSegments(), parts.segmentBytes ?? SEGMENT_BYTES), guard)
    if (guard !== null) {
      await proveKeys(parts.keys, guard)
      await settleKeys(parts.keys, parts.wrapper, guard)
      await guard.begin(segments.place())
    }
    // From here on the log exists: an empty directory is never taken for an empty log.
    await segments.roll()
    return liveLog({ log, segments, snapshot: null, repair: null, turn: parts.turn, unlock })
  } catch (error) {
    parts.cache.clear()
    // What went wrong first is what must be known.
    await unlock().catch(() => undefined)
    throw error
  }
}

/**
 * Opens an existing log: proves everything after the newest snapshot, repairs a torn tail.
 *
 * @throws {@link RaftLogError} `LOG_MISSING`, `LOG_BUSY`, `LOG_FOREIGN`, `LOG_GAP`, `KEYS_LOCKED`, `KEYS_WRONG`,
 * `KEYS_MALFORMED`, `DIRECTORY_UNSAFE`, or a `RECORD_` code that says what kind of damage there is, and where. With an
 * anchor also `ROLLED_BACK`, and an `ANCHOR_` code.
 * @throws RangeError if an id or `segmentBytes` lies outside its bounds.
 */
export async function openSealedLog(parts: SealedLogParts): Promise<SealedLog> {
  checkParts(parts)
  if (!(await parts.files.enter({ create: false }))) {
    throw new RaftLogError('LOG_MISSING', 'directory does not exist; create the log first, or give the right directory')
  }
  const unlock = await parts.files.lock()
  try {
    const names = await parts.files.list()
    checkRestored(names)
    // Without a log there is nothing to hold to the anchor, and scanning says so.
    const guard = holdsLog(names) ? await guardOf(parts, 'open') : null
    const log: LogContext = { ...parts, keys: await openLogKeys(keyParts(parts, guard)) }
    if (guard !== null) await proveKeys(parts.keys, guard)
    const scanned = await scanDirectory(log, guard?.watch)
    const { repair, snapshot } = scanned
    const proven = openSegments(log, scanned, parts.segmentBytes ?? SEGMENT_BYTES)
    const segments = guarded(proven, guard)
    if (guard !== null) {
      await settleKeys(parts.keys, parts.wrapper, guard)
      // A copy that was accepted goes its own way from here: the one that was given up does not hold this segment.
      if (guard.hasAccepted()) await proven.roll()
      // A name may so far stand in the page cache alone, and the anchor must never lead.
      await parts.files.syncDirectory()
      await guard.begin(proven.place())
    }
    const kept =
      snapshot === null ? null : { at: { index: snapshot.index, term: snapshot.term }, anchor: snapshot.sequence }
    return liveLog({ log, segments, snapshot: kept, repair, turn: parts.turn, unlock })
  } catch (error) {
    parts.cache.clear()
    // What went wrong first is what must be known.
    await unlock().catch(() => undefined)
    throw error
  }
}

const noSegments = (): SegmentsStart => ({
  segments: [],
  terms: termRuns({ index: 0n, term: 0n }),
  state: null,
  lastTag: new Uint8Array(TAG_BYTES),
})

const keyParts = ({ keys, wrapper, cache, random, suite }: SealedLogParts, guard: AnchorGuard | null) =>
  ({ store: guard === null ? keys : anchoredKeys(keys, guard), wrapper, cache, random, suite }) as const

const guardOf = async (
  { anchoring, clusterId, logId, suite }: SealedLogParts,
  use: 'create' | 'open',
): Promise<AnchorGuard | null> =>
  anchoring === undefined ? null : await openAnchorGuard({ anchoring, clusterId, logId, suite, use })

const guarded = (segments: Segments, guard: AnchorGuard | null): Segments =>
  guard === null ? segments : anchoredSegments(segments, guard)

function checkParts({ clusterId, logId, segmentBytes }: SealedLogParts): void {
  if (!isLogId(clusterId)) throw new RangeError('cluster id must be 1 to 64 visible ASCII characters')
  if (!isLogId(logId)) throw new RangeError('log id must be 1 to 64 visible ASCII characters')
  if (segmentBytes !== undefined && !(Number.isSafeInteger(segmentBytes) && segmentBytes > 0)) {
    throw new RangeError('segmentBytes must be a whole number above 0')
  }
}
