import { type CipherSuite, type Clock, FRAME_TYPE, RaftLogError, type RandomSource } from '@leastwise/raftlog'
import { sameBytes } from './byte-fields.ts'
import type { EtcdClient, KeyValue, Operation } from './etcd/etcd.ts'
import { decodeHead, encodeHead, type HeadRecord } from './head/head-record.ts'
import type { Places } from './head/places.ts'
import type { MemberKey } from './keys/member-key.ts'
import { checkPin, openRoster, pinOf, type Roster } from './keys/roster.ts'
import {
  type ClearValue,
  decodeValue,
  NO_TAG,
  openValue,
  sealValue,
  VALUE_KIND,
  VALUE_VERSION,
  type ValueContext,
  type ValueKind,
  type ValuePlace,
} from './keys/sealed-value.ts'
import { damaged, missing, rolledBack } from './log-refusals.ts'
import { closedLog } from './shared-rules.ts'

/** A head as etcd holds it. */
export interface KnownHead {
  readonly record: HeadRecord
  /** Revision of its last change: what a transaction is bound to. */
  readonly modRevision: bigint
  /** A revision of etcd at which it was the head. */
  readonly seenAt: bigint
  /** Data key that it lies under. */
  readonly keyId: string
  readonly tag: Uint8Array
}

/** What every part of one open log works with. */
export interface LogParts {
  readonly etcd: EtcdClient
  readonly places: Places
  readonly clusterId: string
  readonly logId: string
  readonly suite: CipherSuite
  readonly random: RandomSource
  readonly clock: Clock
  readonly member: { readonly id: string; readonly key: MemberKey }
  readonly history: 'forget' | 'keep'
  readonly patienceMs: number
}

/** A sealed value that was opened and proven. */
export interface OpenedValue {
  readonly clear: ClearValue
  readonly body: Uint8Array<ArrayBuffer>
}

/** What this handle knows of the log, and how it learns more. */
export interface LogView {
  readonly parts: LogParts
  readonly head: () => KnownHead
  /** Calls `run` whenever a newer head is known, however this handle came to know it, until it is disposed. */
  readonly onHead: (run: () => void) => Disposable
  readonly roster: () => Roster
  /** Revision of etcd at which the known roster was written. */
  readonly rosterRevision: () => bigint
  /** Reads the roster, linearizably. */
  readonly learnRoster: (signal: AbortSignal) => Promise<void>
  /** Goes on as another member of the roster, whose box opens with this key. */
  readonly become: (member: LogParts['member'], signal: AbortSignal) => Promise<void>
  /** Reads the head, linearizably. */
  readonly refresh: (signal: AbortSignal) => Promise<KnownHead>
  /**
   * Takes over a head that came with another answer; null means that the key is absent. It must not be older than the
   * change `floor`, the one that was known when the question was asked.
   */
  readonly adopt: (
    kv: KeyValue | null,
    seenAt: bigint,
    signal: AbortSignal,
    floor?: bigint | null,
  ) => Promise<KnownHead>
  /** Runs one change of the head after the other, so that those of this handle do not race. */
  readonly inTurn: <T>(task: () => Promise<T>) => Promise<T>
  /** Takes over what this handle has written itself. */
  readonly wrote: (head: KnownHead, roster?: Roster) => void
  readonly sealHead: (record: HeadRecord, key?: Roster['key']) => { readonly put: Operation; readonly head: KnownHead }
  readonly seal: (
    place: ValuePlace,
    head: Parameters<typeof sealValue>[3],
    body: Uint8Array,
  ) => { readonly value: Uint8Array<ArrayBuffer>; readonly tag: Uint8Array<ArrayBuffer> }
  /** Wipes the data keys; nothing can be sealed or opened any more. What is under way must only read. */
  readonly forget: () => void
  /** Opens a value of this kind; learns of a new data key where it has to. */
  readonly open: (kind: ValueKind, value: Uint8Array, what: string, signal: AbortSignal) => Promise<OpenedValue>
}

/** A view that knows nothing yet; {@link LogView.wrote} or `load` must come first. */
export function logView(parts: LogParts): LogView & { readonly load: (signal: AbortSignal) => Promise<boolean> } {
  const { etcd, places, suite, random } = parts
  let { member } = parts
  const context: ValueContext = parts
  let known: KnownHead | null = null
  let roster: Roster | null = null
  let rosterRevision = 0n
  let turn: Promise<unknown> = Promise.resolve()
  let isForgotten = false
  const listeners = new Set<{ readonly run: () => void }>()

  const know = (newer: KnownHead): void => {
    known = newer
    for (const { run } of [...listeners]) run()
  }
  const head = (): KnownHead => {
    if (known === null) throw new RangeError('log was not loaded')
    return known
  }
  const currentRoster = (): Roster => {
    if (roster === null) throw new RangeError('roster was not loaded')
    return roster
  }
  const checkOpen = (): void => {
    if (isForgotten) throw closedLog()
  }
  const keyOf = (id: string): Uint8Array | null => {
    checkOpen()
    if (roster?.key.id === id) return roster.key.dek
    return roster?.previous?.key.id === id ? roster.previous.key.dek : null
  }

  const takeRoster = (kv: KeyValue): void => {
    if (kv.modRevision <= rosterRevision) return
    const fresh = openRoster(context, kv.value, member)
    if (roster !== null) checkPin(fresh, pinOf(roster, suite), suite)
    roster = fresh
    rosterRevision = kv.modRevision
  }

  const readBoth = async (
    signal: AbortSignal,
  ): Promise<{ readonly revision: bigint; readonly head: KeyValue | null; readonly roster: KeyValue | null }> => {
    const ranges: Operation[] = [places.head, places.roster].map((key) => ({ kind: 'range', range: { key } }))
    const answer = await etcd.txn({ compare: [], success: ranges }, { signal })
    return {
      revision: answer.revision,
      head: answer.ranges[0]?.kvs[0] ?? null,
      roster: answer.ranges[1]?.kvs[0] ?? null,
    }
  }

  const learnRoster = async (signal: AbortSignal): Promise<void> => {
    const answer = await etcd.range({ key: places.roster }, { signal })
    const kv = answer.kvs[0]
    if (kv === undefined) throw rolledBack()
    takeRoster(kv)
  }

  const become: LogView['become'] = async (next, signal) => {
    const { kvs } = await etcd.range({ key: places.roster }, { signal })
    const kv = kvs[0]
    if (kv === undefined) throw rolledBack()
    const fresh = openRoster(context, kv.value, next)
    if (roster !== null) checkPin(fresh, pinOf(roster, suite), suite)
    member = next
    if (kv.modRevision > rosterRevision) {
      roster = fresh
      rosterRevision = kv.modRevision
    }
  }

  const open: LogView['open'] = async (kind, value, what, signal) => {
    const clear = decodeValue(value, suite)
    if (clear?.kind !== kind) throw damaged(what)
    if (clear.version !== VALUE_VERSION) {
      throw new RaftLogError(
        'RECORD_UNSUPPORTED_VERSION',
        `${what} has version ${clear.version}; use a release that knows it`,
      )
    }
    if (keyOf(clear.keyId) === null) await learnRoster(signal)
    const dek = keyOf(clear.keyId)
    if (dek === null) {
      throw new RaftLogError(
        'RECORD_UNKNOWN_KEY',
        `${what} lies under a data key that the roster does not hold; read the head again`,
      )
    }
    const body = openValue(context, dek, clear, value)
    if (body === null) throw damaged(what)
    return { clear, body }
  }

  const take = async (kv: KeyValue, seenAt: bigint, signal: AbortSignal, floor: bigint | null): Promise<KnownHead> => {
    if (known !== null && kv.modRevision === known.modRevision) {
      const seen = decodeValue(kv.value, suite)
      if (seen === null || !sameBytes(seen.tag, known.tag)) throw rolledBack()
      if (seenAt > known.seenAt) known = { ...known, seenAt }
      return known
    }
    const { clear, body } = await open(VALUE_KIND.head, kv.value, 'head', signal)
    const record = decodeHead(body)
    if (record?.change !== clear.sequence) throw damaged('head')
    if (floor !== null && record.change < floor) throw rolledBack()
    const fresh = { record, modRevision: kv.modRevision, seenAt, keyId: clear.keyId, tag: clear.tag }
    // An answer may be overtaken by a later one; that is no step back.
    if (known === null || record.change > known.record.change) {
      know(fresh)
      // A rotation that is over shows in the roster alone.
      const unfinished = roster?.previous ?? null
      if (unfinished !== null) await learnRoster(signal)
    }
    const newest = head()
    if (record.change === newest.record.change && !sameBytes(fresh.tag, newest.tag)) throw rolledBack()
    return fresh.record.change >= newest.record.change ? fresh : newest
  }

  const adopt = async (
    kv: KeyValue | null,
    seenAt: bigint,
    signal: AbortSignal,
    floor: bigint | null,
  ): Promise<KnownHead> => {
    if (kv === null) throw known === null ? missing() : rolledBack()
    try {
      return await take(kv, seenAt, signal, floor)
    } catch (error) {
      if (!(error instanceof RaftLogError && error.code === 'RECORD_UNKNOWN_KEY')) throw error
    }
    // Between the head and the roster others may have changed the data key, and be done with it: as of one moment both fit.
    const both = await readBoth(signal)
    if (both.head === null || both.roster === null) throw rolledBack()
    takeRoster(both.roster)
    return await take(both.head, both.revision, signal, floor)
  }

  const sealHead: LogView['sealHead'] = (record, key = currentRoster().key) => {
    checkOpen()
    const place = { kind: VALUE_KIND.head, sequence: record.change, previous: NO_TAG }
    const { index, term } = record.last
    const body = encodeHead(record)
    const { value, tag } = sealValue(
      context,
      key,
      place,
      { type: FRAME_TYPE.state, count: 0, index, term },
      body,
      random,
    )
    return {
      put: { kind: 'put', key: places.head, value },
      head: { record, modRevision: 0n, seenAt: 0n, keyId: key.id, tag },
    }
  }

  return {
    parts,
    head,
    onHead: (run) => {
      const mine = { run }
      listeners.add(mine)
      return {
        [Symbol.dispose]: () => {
          listeners.delete(mine)
        },
      }
    },
    roster: currentRoster,
    rosterRevision: () => rosterRevision,
    learnRoster,
    become,
    load: async (signal) => {
      const answer = await readBoth(signal)
      if (answer.head === null && answer.roster === null) return false
      if (answer.roster === null) throw damaged('roster')
      takeRoster(answer.roster)
      await adopt(answer.head, answer.revision, signal, null)
      return true
    },
    refresh: async (signal) => {
      const floor = known?.record.change ?? null
      const answer = await etcd.range({ key: places.head }, { signal })
      return await adopt(answer.kvs[0] ?? null, answer.revision, signal, floor)
    },
    adopt: async (kv, seenAt, signal, floor = null) => await adopt(kv, seenAt, signal, floor),
    inTurn: async (task) => {
      const mine = turn.then(task)
      turn = mine.catch(() => undefined)
      return await mine
    },
    wrote: (written, changed) => {
      if (changed !== undefined) {
        roster = changed
        rosterRevision = written.modRevision
      }
      if (known === null || written.record.change > known.record.change) know(written)
    },
    sealHead,
    forget: () => {
      isForgotten = true
      roster?.key.dek.fill(0)
      roster?.previous?.key.dek.fill(0)
    },
    seal: (place, frame, body) => {
      checkOpen()
      return sealValue(context, currentRoster().key, place, frame, body, random)
    },
    open,
  }
}
