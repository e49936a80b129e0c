import { holdsLog, scanDirectory } from './directory-scan.ts'
import { RaftLogError } from './errors.ts'
import { isLogId, TAG_BYTES } from './file-header.ts'
import { liveLog } from './live-log.ts'
import type { LogContext } from './log-context.ts'
import { createLogKeys, openLogKeys } from './log-keys.ts'
import type { CipherSuite, DataKeyCache, KeyStore, KeyWrapper, LogFiles, RandomSource } from './ports.ts'
import type { SealedLog } from './sealed-log.ts'
import { openSegments, type SegmentsStart } from './segments.ts'
import { termRuns } from './term-runs.ts'

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
}

/**
 * Creates an empty log and opens it. A creation that was cut short is simply repeated: keys that are already kept are
 * used, never replaced.
 *
 * @throws {@link RaftLogError} `LOG_EXISTS` if the directory holds a log, `LOG_BUSY`, `DIRECTORY_UNSAFE`,
 * `DIRECTORY_UNWRITABLE`, `DISK_FULL`, or `KEYS_LOCKED`, `KEYS_WRONG`, `KEYS_MALFORMED` if other keys are kept.
 * @throws RangeError if an id or `segmentBytes` lies outside its bounds.
 */
export async function createSealedLog(parts: SealedLogParts): Promise<SealedLog> {
  checkParts(parts)
  await parts.files.enter({ create: true })
  const unlock = await parts.files.lock()
  try {
    if (holdsLog(await parts.files.list())) {
      throw new RaftLogError('LOG_EXISTS', 'directory already holds a log; open it, or give another directory')
    }
    const log: LogContext = { ...parts, keys: await createLogKeys(keyParts(parts)) }
    const segments = openSegments(log, noSegments(), parts.segmentBytes ?? SEGMENT_BYTES)
    // From here on the log exists: an empty directory is never taken for an empty log.
    await segments.roll()
    return liveLog({ log, segments, snapshot: null, repair: null, turn: parts.turn, unlock })
  } catch (error) {
    parts.cache.clear()
    await unlock()
    throw error
  }
}

/**
 * Opens an existing log: proves everything after the newest snapshot, repairs a torn tail.
 *
 * @throws {@link RaftLogError} `LOG_MISSING`, `LOG_BUSY`, `LOG_FOREIGN`, `LOG_GAP`, `KEYS_LOCKED`, `KEYS_WRONG`,
 * `KEYS_MALFORMED`, `DIRECTORY_UNSAFE`, or a `RECORD_` code that says what kind of damage there is, and where.
 * @throws RangeError if an id or `segmentBytes` lies outside its bounds.
 */
export async function openSealedLog(parts: SealedLogParts): Promise<SealedLog> {
  checkParts(parts)
  if (!(await parts.files.enter({ create: false }))) {
    throw new RaftLogError('LOG_MISSING', 'directory does not exist; create the log first, or give the right directory')
  }
  const unlock = await parts.files.lock()
  try {
    const log: LogContext = { ...parts, keys: await openLogKeys(keyParts(parts)) }
    const scanned = await scanDirectory(log)
    const { repair, snapshot } = scanned
    const segments = openSegments(log, scanned, parts.segmentBytes ?? SEGMENT_BYTES)
    const kept =
      snapshot === null ? null : { at: { index: snapshot.index, term: snapshot.term }, anchor: snapshot.sequence }
    return liveLog({ log, segments, snapshot: kept, repair, turn: parts.turn, unlock })
  } catch (error) {
    parts.cache.clear()
    await unlock()
    throw error
  }
}

const noSegments = (): SegmentsStart => ({
  segments: [],
  terms: termRuns({ index: 0n, term: 0n }),
  state: null,
  lastTag: new Uint8Array(TAG_BYTES),
})

const keyParts = ({ keys, wrapper, cache, random, suite }: SealedLogParts) =>
  ({ store: keys, wrapper, cache, random, suite }) as const

function checkParts({ clusterId, logId, segmentBytes }: SealedLogParts): void {
  if (!isLogId(clusterId)) throw new RangeError('cluster id must be 1 to 64 visible ASCII characters')
  if (!isLogId(logId)) throw new RangeError('log id must be 1 to 64 visible ASCII characters')
  if (segmentBytes !== undefined && !(Number.isSafeInteger(segmentBytes) && segmentBytes > 0)) {
    throw new RangeError('segmentBytes must be a whole number above 0')
  }
}
