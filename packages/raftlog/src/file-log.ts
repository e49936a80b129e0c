import { checkCompaction, checkEntries, checkFrom, checkSnapshot, checkTerm, closedLog } from './append-rules.ts'
import { commitLoop } from './commit-loop.ts'
import { holdsLog, scanDirectory } from './directory-scan.ts'
import type { Position } from './entry.ts'
import { RaftLogError } from './errors.ts'
import { isLogId } from './file-header.ts'
import { snapshotName } from './file-names.ts'
import { flatten } from './flatten.ts'
import type { LogContext } from './log-context.ts'
import { createLogKeys, openLogKeys } from './log-keys.ts'
import type { CipherSuite, DataKeyCache, KeyStore, KeyWrapper, LogFiles, RandomSource } from './ports.ts'
import { replay } from './replay.ts'
import type { Repair, RotationOptions, SealedLog } from './sealed-log.ts'
import { noSegments, openSegments, type Segments } from './segments.ts'
import { readSnapshot, writeSnapshot } from './snapshot-file.ts'
import { turns } from './turns.ts'

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

/** The newest snapshot, and the segment that it names: that one must stay. */
interface KeptSnapshot {
  readonly at: Position
  readonly anchor: bigint
}

interface OpenParts {
  readonly log: LogContext
  readonly segments: Segments
  readonly snapshot: KeptSnapshot | null
  readonly repair: Repair | null
  readonly turn: () => Promise<void>
  readonly unlock: () => Promise<void>
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
    const segments = openSegments(log, noSegments, parts.segmentBytes ?? SEGMENT_BYTES)
    // From here on the log exists: an empty directory is never taken for an empty log.
    await segments.roll()
    return openParts({ log, segments, snapshot: null, repair: null, turn: parts.turn, unlock })
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
    const last = { index: scanned.lastIndex, term: scanned.lastTerm }
    const { segments: found, lastTag, repair, snapshot } = scanned
    const segments = openSegments(log, { segments: found, last, lastTag }, parts.segmentBytes ?? SEGMENT_BYTES)
    const kept =
      snapshot === null ? null : { at: { index: snapshot.index, term: snapshot.term }, anchor: snapshot.sequence }
    return openParts({ log, segments, snapshot: kept, repair, turn: parts.turn, unlock })
  } catch (error) {
    parts.cache.clear()
    await unlock()
    throw error
  }
}

const keyParts = ({ keys, wrapper, cache, random, suite }: SealedLogParts) =>
  ({ store: keys, wrapper, cache, random, suite }) as const

function checkParts({ clusterId, logId, segmentBytes }: SealedLogParts): void {
  if (!isLogId(clusterId)) throw new RangeError('cluster id must be 1 to 64 visible ASCII characters')
  if (!isLogId(logId)) throw new RangeError('log id must be 1 to 64 visible ASCII characters')
  if (segmentBytes !== undefined && !(Number.isSafeInteger(segmentBytes) && segmentBytes > 0)) {
    throw new RangeError('segmentBytes must be a whole number above 0')
  }
}

function openParts({ log, segments, snapshot: found, repair, turn, unlock }: OpenParts): SealedLog {
  const maintenance = turns()
  const loop = commitLoop({ nextIndex: segments.last().index + 1n, turn, commit: segments.commit })
  let kept = found
  let queuedTerm = segments.last().term
  let closing: Promise<void> | null = null
  let nextRotation: Promise<void> | null = null

  const check = (): void => {
    if (closing !== null) throw closedLog()
  }
  const checkWritable = (): void => {
    check()
    const failure = loop.failure()
    if (failure !== null) throw failure
  }
  const firstIndex = (): bigint => segments.list()[0]?.header.index ?? segments.last().index + 1n

  const keepSnapshot: SealedLog['saveSnapshot'] = async (snapshot) => {
    const last = segments.last()
    checkSnapshot(snapshot, kept?.at.index ?? 1n, last.index, last.term)
    const anchor = await loop.exclusive(segments.roll)
    await writeSnapshot(log, snapshot, anchor)
    const older = kept
    kept = { at: { index: snapshot.index, term: snapshot.term }, anchor: anchor.sequence }
    if (older === null || older.at.index === snapshot.index) return
    await log.files.remove(snapshotName(older.at.index))
    await log.files.syncDirectory()
  }

  const rotate = async ({ snapshot, signal }: RotationOptions, wrapper?: KeyWrapper): Promise<void> => {
    checkWritable()
    signal?.throwIfAborted()
    await log.keys.beginRotation(wrapper)
    const { anchor, atLeast } = await loop.exclusive(async () => {
      const begun = await segments.roll()
      return { anchor: begun, atLeast: segments.last().index }
    })
    signal?.throwIfAborted()
    if (atLeast > 0n) {
      const made = await snapshot(atLeast)
      signal?.throwIfAborted()
      const last = segments.last()
      // One that reaches less far would lose the entries between, which only the old key opens.
      checkSnapshot(made, atLeast, last.index, last.term)
      await keepSnapshot(made)
    }
    await loop.exclusive(async () => {
      await segments.drop((segment) => segment.header.sequence < anchor.sequence)
    })
    await log.keys.finishRotation()
  }

  const close = async (): Promise<void> => {
    try {
      await maintenance.take(loop.drained)
      if (loop.failure() === null) await segments.end()
    } finally {
      await segments.close().finally(unlock)
      log.keys.close()
    }
  }

  const result: SealedLog = {
    get firstIndex() {
      return firstIndex()
    },
    get lastIndex() {
      return segments.last().index
    },
    get lastTerm() {
      return segments.last().term
    },
    get snapshotAt() {
      return kept?.at ?? null
    },
    get rotating() {
      return log.keys.state().phase === 'rotating'
    },
    repair,
    append: async (entries, { term, signal } = {}) => {
      checkWritable()
      signal?.throwIfAborted()
      checkEntries(entries)
      const chosen = term ?? (queuedTerm === 0n ? 1n : queuedTerm)
      checkTerm(chosen, queuedTerm)
      queuedTerm = chosen
      return await loop.append(entries, chosen)
    },
    entries: ({ from, to, signal } = {}) => {
      check()
      const first = firstIndex()
      const last = segments.last().index
      if (from !== undefined) checkFrom(from, first)
      const until = to !== undefined && to < last ? to : last
      return flatten(replay(log, segments.list(), { from: from ?? first, to: until, signal }))
    },
    saveSnapshot: async (snapshot) => {
      checkWritable()
      await maintenance.take(async () => {
        await keepSnapshot(snapshot)
      })
    },
    loadSnapshot: async () => {
      check()
      return await maintenance.take(async () => (kept === null ? null : await readSnapshot(log, kept.at.index)))
    },
    compact: async (upTo) => {
      checkWritable()
      await maintenance.take(async () => {
        checkCompaction(upTo, kept?.at.index ?? 0n)
        const anchor = kept?.anchor ?? 0n
        await loop.exclusive(async () => {
          await segments.drop(
            (segment, next) => next !== undefined && next.header.index <= upTo + 1n && segment.header.sequence < anchor,
          )
        })
      })
    },
    rotateDek: async (options) => {
      checkWritable()
      // The one that is still waiting serves this caller as well; the one that runs may be past its snapshot.
      nextRotation ??= maintenance.take(async () => {
        nextRotation = null
        await rotate(options)
      })
      await nextRotation
    },
    rewrap: async (wrapper) => {
      checkWritable()
      await maintenance.take(async () => {
        await log.keys.rewrap(wrapper)
      })
    },
    lock: async (wrapper, options) => {
      checkWritable()
      await maintenance.take(async () => {
        // A key that an unfinished rotation had chosen may have lain on the disk in the clear as well.
        if (log.keys.state().phase === 'rotating') await rotate(options)
        await rotate(options, wrapper)
      })
    },
    close: async () => {
      await (closing ??= close())
    },
    [Symbol.asyncDispose]: async () => {
      await (closing ??= close())
    },
  }
  return result
}
