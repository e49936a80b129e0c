/** What an {@link EtcdLogError} can say. The set is closed: a `switch` over it is checked for completeness. */
export type EtcdLogErrorCode =
  | 'ETCD_UNREACHABLE'
  | 'ETCD_UNTRUSTED'
  | 'ETCD_REFUSED'
  | 'ETCD_FULL'
  | 'ETCD_COMPACTED'
  | 'ETCD_ANSWER_INVALID'
  | 'LOG_CONFLICT'
  | 'APPEND_UNKNOWN'
  | 'LOG_ROLLED_BACK'
  | 'LEADERSHIP_LOST'
  | 'OPERATION_NOT_SHARED'
  | 'MEMBER_UNKNOWN'
  | 'MEMBER_EXISTS'
  | 'MEMBER_KEY_WRONG'
  | 'ROSTER_NOT_AUTHENTIC'

/** Every code, once, in the order of the documentation. */
export const ETCD_LOG_ERROR_CODES: readonly EtcdLogErrorCode[] = [
  'ETCD_UNREACHABLE',
  'ETCD_UNTRUSTED',
  'ETCD_REFUSED',
  'ETCD_FULL',
  'ETCD_COMPACTED',
  'ETCD_ANSWER_INVALID',
  'LOG_CONFLICT',
  'APPEND_UNKNOWN',
  'LOG_ROLLED_BACK',
  'LEADERSHIP_LOST',
  'OPERATION_NOT_SHARED',
  'MEMBER_UNKNOWN',
  'MEMBER_EXISTS',
  'MEMBER_KEY_WRONG',
  'ROSTER_NOT_AUTHENTIC',
]

/**
 * What can go wrong because the log is shared and lies in etcd. What a log on disk can say as well is a `RaftLogError`
 * with the same code as there (`LOG_GAP`, `RECORD_NOT_AUTHENTIC`, `ENTRY_TOO_LARGE`, `LOG_CLOSED` and so on).
 *
 * Messages carry the violated rule, lengths, indices and revisions, never a key or an entry.
 */
export class EtcdLogError extends Error {
  override readonly name = 'EtcdLogError'
  readonly code: EtcdLogErrorCode
  constructor(code: EtcdLogErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
