import type { Anchoring } from '../anchor/anchoring.ts'
import { createSealedLog, openSealedLog, type SealedLogParts } from '../files/file-log.ts'
import type { Clock, KeyStore, KeyWrapper, LogFiles, RandomSource } from '../ports.ts'
import type { SealedLog } from '../sealed-log.ts'
import { nodeCipherSuite } from './cipher-suite.ts'
import { dataKeyCache } from './data-key-cache.ts'
import { loopTurn } from './loop-turn.ts'
import { nodeFiles } from './node-files.ts'
import { systemClock, systemRandom } from './system.ts'

/** Where a log is, whose it is, and what opens it. */
export interface LogOptions {
  /** Directory of the log alone; its parent must exist when the log is created. */
  readonly directory: string
  /** Id of the cluster: 1 to 64 visible ASCII characters. */
  readonly clusterId: string
  /** Id of this log in the cluster, usually the node's id: 1 to 64 visible ASCII characters. */
  readonly logId: string
  readonly keys: KeyStore
  /** What the data keys are wrapped with; `clearWrapper` for a log without a lock. */
  readonly wrapper: KeyWrapper
  readonly random?: RandomSource
  readonly clock?: Clock
  /** In place of the directory, for tests and other media. */
  readonly files?: LogFiles
  /** Size from which on a new segment is begun; 64 MiB unless given. */
  readonly segmentBytes?: number
  /** How long a data key stays unwrapped in memory without being unwrapped anew; 10 minutes unless given, at least 1. */
  readonly keyMaxAgeMs?: number
  /** What remembers how far the log had come, so that an older copy of it is refused; nothing unless given. */
  readonly anchoring?: Anchoring
}

const KEY_MAX_AGE_MS = 10 * 60 * 1000
// The current key, the pending one, and no other.
const MAX_KEYS = 2

/** The parts of a log in a directory. */
export const logParts = (options: LogOptions): SealedLogParts => ({
  clusterId: options.clusterId,
  logId: options.logId,
  keys: options.keys,
  wrapper: options.wrapper,
  files: options.files ?? nodeFiles(options.directory),
  suite: nodeCipherSuite,
  random: options.random ?? systemRandom,
  cache: dataKeyCache({
    maxKeys: MAX_KEYS,
    maxAgeMs: options.keyMaxAgeMs ?? KEY_MAX_AGE_MS,
    clock: options.clock ?? systemClock,
  }),
  turn: loopTurn,
  ...(options.segmentBytes === undefined ? {} : { segmentBytes: options.segmentBytes }),
  ...(options.anchoring === undefined ? {} : { anchoring: options.anchoring }),
})

/**
 * Creates an empty log in a directory and opens it. If it was cut short, repeat it: keys already kept are never replaced.
 *
 * @throws RaftLogError `LOG_EXISTS`, `LOG_BUSY`, `DIRECTORY_UNSAFE`, `DIRECTORY_UNWRITABLE`, `DISK_FULL`, `KEYS_LOCKED`,
 * `KEYS_WRONG`, `KEYS_MALFORMED`; with an anchor also `ROLLED_BACK` and the `ANCHOR_` codes.
 */
export const createLog = async (options: LogOptions): Promise<SealedLog> => await createSealedLog(logParts(options))

/**
 * Opens the log in a directory: everything after the newest snapshot is proven, a torn tail is cut off.
 *
 * @throws RaftLogError `LOG_MISSING`, `LOG_BUSY`, `LOG_FOREIGN`, `LOG_GAP`, `KEYS_LOCKED`, `KEYS_WRONG`, `KEYS_MALFORMED`,
 * `DIRECTORY_UNSAFE`, `DIRECTORY_UNWRITABLE`, or a `RECORD_` code that says what kind of damage there is; with an anchor
 * also `ROLLED_BACK` and the `ANCHOR_` codes.
 */
export const openLog = async (options: LogOptions): Promise<SealedLog> => await openSealedLog(logParts(options))
