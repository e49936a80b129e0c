import type {
  Appended,
  AppendOptions,
  CipherSuite,
  Clock,
  Entry,
  RandomSource,
  SealedLog,
  Snapshot,
  SnapshotSource,
} from '@leastwise/raftlog'
import type { CallOptions, EtcdClient } from './etcd/etcd.ts'
import type { MemberKey } from './keys/member-key.ts'

/** Options of {@link SharedLog.append}. */
export interface SharedAppendOptions extends Omit<AppendOptions, 'state'> {
  /**
   * Index that the first entry must get. Give it whenever the entries were decided on a state: one more than the last
   * entry that went into it. If the log has gone on meanwhile, nothing is appended and `LOG_CONFLICT` says so.
   */
  readonly at?: bigint
  /** Appends only while this leadership lasts, checked by etcd in the same step; `LEADERSHIP_LOST` otherwise. */
  readonly fence?: Leadership
}

/** The newest entry, to be remembered elsewhere: an etcd that is set back to an older state then shows. */
export interface LogHead {
  readonly index: bigint
  readonly term: bigint
  /** Number of frames that were ever written. */
  readonly frames: bigint
  /** Authentication tag of the last frame, zeros in an empty log; it stands for all that came before. */
  readonly tag: Uint8Array<ArrayBuffer>
}

/** One step of {@link SharedLog.follow}. */
export type FollowStep =
  | { readonly kind: 'entries'; readonly entries: readonly Entry[] }
  /** The entries up to `snapshot.index` are compacted away: take the snapshot in the place of the state so far. */
  | { readonly kind: 'snapshot'; readonly snapshot: Snapshot }

/** Options of {@link SharedLog.follow}. */
export interface FollowOptions extends CallOptions {
  /** First index to give; the log's first unless given. */
  readonly from?: bigint
}

/** Being the one that does background work, for as long as `signal` is not aborted. */
export interface Leadership extends AsyncDisposable {
  readonly name: string
  /** Grows with every leadership under this name: whoever gets orders from several leaders obeys the highest. */
  readonly revision: bigint
  /** Aborted when the lease is lost, resigned or may have ended by this clock; always before etcd gives it to another. */
  readonly signal: AbortSignal
  /** Steps down at once. Calling it again does nothing. */
  readonly resign: () => Promise<void>
}

/** Options of {@link SharedLog.campaign}. */
export interface CampaignOptions extends CallOptions {
  /** Which work it is about: 1 to 64 characters of `A-Z a-z 0-9 . _ -`. */
  readonly name: string
  /** How long a leader that went silent stays leader; 10 s unless given, at least 2 s. */
  readonly ttlMs?: number
}

/** A manager that may open the log. */
export interface Member {
  /** 1 to 64 visible ASCII characters. */
  readonly id: string
  /** X25519 public key of its box, 32 bytes. */
  readonly publicKey: Uint8Array
}

/**
 * Which data key a manager has last seen. It is no secret; whoever opens the log with it cannot be given a log under
 * a key that was not handed down from that one.
 */
export interface KeyPin {
  readonly generation: number
  /** 64 lower-case hexadecimal digits. */
  readonly mark: string
}

/** The managers that can open the log, and its data key. */
export interface Membership {
  /** The members by the roster that this handle read last. */
  readonly members: readonly Member[]
  /** Keep it with the head, and open with it the next time; hand it to a new member over an authenticated channel. */
  readonly pin: KeyPin
  /**
   * Wraps the data key for another manager. Only a member can do that, for only a member has the key.
   *
   * @throws EtcdLogError `MEMBER_EXISTS` if the id is taken.
   */
  readonly admit: (member: Member) => Promise<void>
  /**
   * Goes on as another member that was admitted, for a manager that replaces its box key: admit the new one, keep its key durably,
   * become it, remove the old one. A crash between any two of these leaves a manager that can open the log.
   *
   * @throws EtcdLogError `MEMBER_UNKNOWN` or `MEMBER_KEY_WRONG`, and then nothing changes.
   */
  readonly become: (
    member: { readonly id: string; readonly key: MemberKey },
    options?: { readonly signal?: AbortSignal },
  ) => Promise<void>
  /**
   * Takes a member's access away: a new data key that is wrapped for the others only, then everything under the old
   * one is replaced by a snapshot. When it resolves, nothing in the log opens with a key that the member had.
   *
   * @throws EtcdLogError `MEMBER_UNKNOWN` if there is none of this id, or it is the last one.
   */
  readonly remove: (
    id: string,
    options: { readonly snapshot: SnapshotSource; readonly signal?: AbortSignal },
  ) => Promise<void>
}

/**
 * A sealed log in etcd, for several managers at once. It is a {@link SealedLog} but for what belongs to the storage of
 * one Raft node: `saveState`, replacing entries, `rewrap` and `lock` are refused with `OPERATION_NOT_SHARED`, and
 * `state` is null. What was appended is committed and stays.
 *
 * The properties (`lastIndex` and so on) say what this handle knew last; `refresh` asks etcd. Reading asks by itself.
 */
export interface SharedLog extends Omit<SealedLog, 'append'> {
  /**
   * Appends all entries or none; durable on a majority before it resolves. Appends of one handle keep their order and
   * share transactions. Of several handles that append at the same place one wins; the others get `LOG_CONFLICT`, read
   * what came in between, and decide again.
   *
   * @throws EtcdLogError `LOG_CONFLICT` if somebody else was first; nothing was appended.
   * @throws EtcdLogError `APPEND_UNKNOWN` if etcd stayed silent for too long: it may have been appended, or be
   * appended yet. Follow the log, and decide again on what it holds; give `at`, so that it cannot count twice.
   * @throws EtcdLogError `ETCD_FULL` if etcd's quota is used up, `LEADERSHIP_LOST`, `ETCD_UNREACHABLE`, `ETCD_REFUSED`.
   * @throws RaftLogError `ENTRY_TOO_LARGE` if the entries hold more than `MAX_SHARED_APPEND_BYTES` together.
   */
  readonly append: (entries: readonly Uint8Array[], options?: SharedAppendOptions) => Promise<Appended>
  /** The newest entry as this handle knew it last. */
  readonly head: LogHead
  /** Asks etcd for the head, linearizably: what was acknowledged to anybody before the call is in it. */
  readonly refresh: (options?: { readonly signal?: AbortSignal }) => Promise<LogHead>
  /**
   * Gives all entries from an index on, in order, each once, and then waits for more; across lost connections,
   * compaction by others and changes of the data key. It ends only by its signal, by `return`, or with a refusal.
   */
  readonly follow: (options: FollowOptions) => AsyncGenerator<FollowStep, void, void>
  /** Waits until this handle leads, then keeps the lease until it resigns or loses it. */
  readonly campaign: (options: CampaignOptions) => Promise<Leadership>
  readonly membership: Membership
}

/** What a log in etcd is made of. */
export interface SharedLogParts {
  readonly etcd: EtcdClient
  readonly clusterId: string
  readonly logId: string
  /** This manager: its id among the members, and its box key. */
  readonly member: { readonly id: string; readonly key: MemberKey }
  readonly suite: CipherSuite
  readonly random: RandomSource
  readonly clock: Clock
  /** The pin of the last time, or the one that the admitting manager handed over. Without it the first key seen is believed. */
  readonly pin?: KeyPin
  /**
   * The head of the last time, kept where etcd's operator cannot reach it. A log that does not hold it is refused with
   * `LOG_ROLLED_BACK`; if it is compacted away by now, the number of frames is all that can be compared.
   */
  readonly remembered?: LogHead
  /** Start of all keys in etcd, `/leastwise` unless given. */
  readonly prefix?: string
  /** How long one append or other change goes on asking an etcd that is silent, 20 s unless given. */
  readonly patienceMs?: number
  /**
   * Whether compacting the log also makes etcd forget old revisions, which is for the whole of etcd: `forget` unless
   * given. With `keep`, what was compacted or lies under an old data key stays readable as history until somebody
   * else compacts etcd.
   */
  readonly history?: 'forget' | 'keep'
}
