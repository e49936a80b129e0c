/** A key as etcd holds it. Revisions count every change in the whole of etcd. */
export interface KeyValue {
  readonly key: string
  readonly value: Uint8Array
  readonly createRevision: bigint
  readonly modRevision: bigint
  /** How often it was written since it was created. */
  readonly version: bigint
  /** The lease that it dies with, 0 for none. */
  readonly lease: bigint
}

/** Keys from `key` up to, not including, `end`; that one key without an `end`. */
export interface KeyRange {
  readonly key: string
  readonly end?: string
}

/** What to read. */
export interface RangeRequest extends KeyRange {
  /** Most keys to give, all unless given. */
  readonly limit?: number
  /** Reads as of this revision; the newest, linearizable, unless given. */
  readonly revision?: bigint
  /** By key; ascending unless given. */
  readonly order?: 'ascending' | 'descending'
}

/** What was read. */
export interface RangeAnswer {
  /** Revision of etcd at the moment of the answer. */
  readonly revision: bigint
  readonly kvs: readonly KeyValue[]
  /** Whether `limit` cut something off. */
  readonly more: boolean
}

/** A condition of a transaction. An absent key has the revisions and the version 0. */
export interface Compare {
  readonly key: string
  readonly target: 'modRevision' | 'createRevision' | 'version'
  readonly is: '=' | '<' | '>' | '!='
  readonly value: bigint
}

/** One step of a transaction. No key may be written twice in one. */
export type Operation =
  | { readonly kind: 'put'; readonly key: string; readonly value: Uint8Array; readonly lease?: bigint }
  | ({ readonly kind: 'delete' } & KeyRange)
  | { readonly kind: 'range'; readonly range: RangeRequest }

/** All of `success` in one step if every condition holds, else all of `failure`. */
export interface TxnRequest {
  readonly compare: readonly Compare[]
  readonly success: readonly Operation[]
  readonly failure?: readonly Operation[]
}

/** What a transaction did. */
export interface TxnAnswer {
  readonly revision: bigint
  readonly succeeded: boolean
  /** What each `range` of the branch that ran has read, in order. */
  readonly ranges: readonly RangeAnswer[]
}

/** A change that a watch saw; a deletion has no value. */
export interface WatchEvent {
  readonly kind: 'put' | 'delete'
  readonly key: string
  readonly value: Uint8Array
  readonly modRevision: bigint
}

/** The changes of one or more revisions, never a part of one. */
export interface WatchAnswer {
  readonly revision: bigint
  readonly events: readonly WatchEvent[]
}

/** Options of a call; `signal` ends it, and it rejects with the signal's reason. */
export interface CallOptions {
  readonly signal: AbortSignal
}

/**
 * What the log needs of etcd (version 3 of its API). Keys are visible ASCII text.
 *
 * Every method rejects with EtcdLogError: `ETCD_UNREACHABLE` if no answer came, and then a `txn` may have happened or may
 * still happen; `ETCD_REFUSED`, `ETCD_UNTRUSTED` and `ETCD_COMPACTED` if nothing was done. `ETCD_FULL` leaves it open
 * whether the change was made, for etcd also gives it to the one change that reaches the quota; but it is settled by then.
 */
export interface EtcdClient extends AsyncDisposable {
  readonly range: (request: RangeRequest, options: CallOptions) => Promise<RangeAnswer>
  /** Sent once and never repeated: only the caller knows how to find out what became of it. */
  readonly txn: (request: TxnRequest, options: CallOptions) => Promise<TxnAnswer>
  /** Forgets what keys held before `revision`, in the whole of etcd. An earlier compaction that went further is no error. */
  readonly compact: (revision: bigint, options: CallOptions) => Promise<void>
  /**
   * Changes from `revision` on, in order. It ends with `ETCD_UNREACHABLE` when the connection or the majority is lost,
   * with `ETCD_COMPACTED` if `revision` is no longer known; and quietly never.
   */
  readonly watch: (range: KeyRange, revision: bigint, options: CallOptions) => AsyncIterable<WatchAnswer>
  /** A lease that ends `ttlMs` after its last renewal; rounded up to seconds. */
  readonly grantLease: (
    ttlMs: number,
    options: CallOptions,
  ) => Promise<{ readonly lease: bigint; readonly ttlMs: number }>
  /** Renews a lease; gives the time that it has now, 0 if it has ended. */
  readonly keepLease: (lease: bigint, options: CallOptions) => Promise<number>
  /** Ends a lease and removes its keys; one that has ended is no failure. */
  readonly revokeLease: (lease: bigint, options: CallOptions) => Promise<void>
  readonly close: () => Promise<void>
}
