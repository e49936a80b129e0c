/** What a {@link RaftLogError} can say. The set is closed: a `switch` over it is checked for completeness. */
export type RaftLogErrorCode =
  | 'LOG_MISSING'
  | 'LOG_EXISTS'
  | 'LOG_BUSY'
  | 'LOG_FAILED'
  | 'LOG_CLOSED'
  | 'LOG_FOREIGN'
  | 'LOG_GAP'
  | 'RECORD_MALFORMED'
  | 'RECORD_NOT_AUTHENTIC'
  | 'RECORD_TRUNCATED'
  | 'RECORD_UNSUPPORTED_VERSION'
  | 'RECORD_UNKNOWN_KEY'
  | 'KEYS_LOCKED'
  | 'KEYS_WRONG'
  | 'KEYS_MALFORMED'
  | 'ENTRY_TOO_LARGE'
  | 'DISK_FULL'
  | 'DIRECTORY_UNSAFE'
  | 'DIRECTORY_UNWRITABLE'
  | 'KEEPER_UNREACHABLE'
  | 'KEEPER_REFUSED'
  | 'KEEPER_ANSWER_INVALID'
  | 'KEEPER_WRAPPING_TOO_LARGE'
  | 'SHARE_MALFORMED'
  | 'SHARE_UNSUPPORTED_VERSION'
  | 'SHARE_DAMAGED'
  | 'SHARES_TOO_FEW'
  | 'SHARES_REPEATED'
  | 'SHARES_MIXED'
  | 'SHARES_WRONG'
  | 'ROLLED_BACK'
  | 'ANCHOR_EMPTY'
  | 'ANCHOR_CONFLICT'
  | 'ANCHOR_UNREACHABLE'
  | 'ANCHOR_MALFORMED'
  | 'BACKUP_MALFORMED'
  | 'BACKUP_TRUNCATED'
  | 'BACKUP_NOT_AUTHENTIC'
  | 'RESTORE_UNFINISHED'

/** Every code, once, in the order of the documentation. */
export const RAFT_LOG_ERROR_CODES: readonly RaftLogErrorCode[] = [
  'LOG_MISSING',
  'LOG_EXISTS',
  'LOG_BUSY',
  'LOG_FAILED',
  'LOG_CLOSED',
  'LOG_FOREIGN',
  'LOG_GAP',
  'RECORD_MALFORMED',
  'RECORD_NOT_AUTHENTIC',
  'RECORD_TRUNCATED',
  'RECORD_UNSUPPORTED_VERSION',
  'RECORD_UNKNOWN_KEY',
  'KEYS_LOCKED',
  'KEYS_WRONG',
  'KEYS_MALFORMED',
  'ENTRY_TOO_LARGE',
  'DISK_FULL',
  'DIRECTORY_UNSAFE',
  'DIRECTORY_UNWRITABLE',
  'KEEPER_UNREACHABLE',
  'KEEPER_REFUSED',
  'KEEPER_ANSWER_INVALID',
  'KEEPER_WRAPPING_TOO_LARGE',
  'SHARE_MALFORMED',
  'SHARE_UNSUPPORTED_VERSION',
  'SHARE_DAMAGED',
  'SHARES_TOO_FEW',
  'SHARES_REPEATED',
  'SHARES_MIXED',
  'SHARES_WRONG',
  'ROLLED_BACK',
  'ANCHOR_EMPTY',
  'ANCHOR_CONFLICT',
  'ANCHOR_UNREACHABLE',
  'ANCHOR_MALFORMED',
  'BACKUP_MALFORMED',
  'BACKUP_TRUNCATED',
  'BACKUP_NOT_AUTHENTIC',
  'RESTORE_UNFINISHED',
]

/** Where in a log directory a refusal happened: a file name without its directory, and a byte offset. */
export interface RecordPlace {
  readonly file: string
  readonly offset: number
}

/** A place in a log's history. */
export interface RollbackPlace {
  /** Number of the segment, and bytes of it. */
  readonly sequence: bigint
  readonly offset: number
  /** Position of the last entry up to there. */
  readonly index: bigint
  readonly term: bigint
}

/** In what a log differs from what its anchor remembers. */
export interface Rollback {
  /** The log ends too early, or it went another way, or its key ring is not the one that was kept last. */
  readonly kind: 'older' | 'forked' | 'keys'
  readonly anchored: RollbackPlace
  /** Where the log on the disk ends; null if there is none, or if its keys were refused first. */
  readonly found: RollbackPlace | null
  /** Epoch of the anchor; accepting the log begins the next one. */
  readonly epoch: number
}

/** Options of a {@link RaftLogError}. */
export interface RaftLogErrorOptions extends ErrorOptions {
  readonly place?: RecordPlace
  readonly shares?: readonly number[]
  readonly rollback?: Rollback
}

/**
 * Every refusal of this package. Messages carry the violated rule, lengths, indices and file names, never a key or an
 * entry. A wrong key, a flipped bit and a wrong place look the same (`RECORD_NOT_AUTHENTIC`).
 */
export class RaftLogError extends Error {
  override readonly name = 'RaftLogError'
  readonly code: RaftLogErrorCode
  /** The damaged place, or null where no single place is to blame. */
  readonly place: RecordPlace | null
  /** The shares to blame: their places in the list that was given, counted from 1. Empty where none is to blame alone. */
  readonly shares: readonly number[]
  /** What a `ROLLED_BACK` is about, or null. */
  readonly rollback: Rollback | null
  constructor(code: RaftLogErrorCode, message: string, options?: RaftLogErrorOptions) {
    super(message, options)
    this.code = code
    this.place = options?.place ?? null
    this.shares = options?.shares ?? []
    this.rollback = options?.rollback ?? null
  }
}
