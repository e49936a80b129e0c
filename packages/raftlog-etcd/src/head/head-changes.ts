import { EtcdLogError } from '../errors.ts'
import type { Compare, Operation, TxnRequest } from '../etcd/etcd.ts'
import type { Roster } from '../keys/roster.ts'
import type { KnownHead, LogView } from '../log-view.ts'
import type { HeadRecord } from './head-record.ts'

/** One attempt to change the log: the new head, and what changes with it in the same step. */
export interface HeadChange {
  readonly record: Omit<HeadRecord, 'change'>
  readonly operations: readonly Operation[]
  /** Conditions besides "the head is still the one that this was planned on". */
  readonly compare?: readonly Compare[]
  /** What it means if one of these does not hold. */
  readonly refused?: () => Error
  /** The roster that this writes. */
  readonly roster?: Roster
}

/** How to change the log. */
export interface HeadPlan {
  /** What to do on this head. Null: nothing is left to do. It is asked again whenever the head has moved. */
  readonly plan: (head: KnownHead, signal: AbortSignal) => HeadChange | null | Promise<HeadChange | null>
  /**
   * Whether an attempt whose answer was lost is part of a later head; null if that can no longer be known. Left out
   * where `plan` itself sees it.
   */
  readonly happened?: (head: KnownHead, signal: AbortSignal) => Promise<boolean | null>
}

const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 1000

const silent = (cause: unknown): EtcdLogError =>
  new EtcdLogError(
    'APPEND_UNKNOWN',
    'etcd did not say whether the change was made, and it may still be; read the log again before deciding',
    { cause },
  )

const REFUSALS: ReadonlySet<string> = new Set(['ETCD_FULL', 'ETCD_REFUSED', 'ETCD_UNTRUSTED'])
const isRefusal = (error: unknown): boolean => error instanceof EtcdLogError && REFUSALS.has(error.code)

const isUnreachable = (error: unknown): boolean => error instanceof EtcdLogError && error.code === 'ETCD_UNREACHABLE'

/** Pauses that double; asks whether the patience is over. */
function pauses({ parts: { clock, patienceMs } }: LogView, signal: AbortSignal): () => Promise<boolean> {
  const until = clock.now() + patienceMs
  let next = FIRST_PAUSE_MS
  return async () => {
    if (clock.now() >= until) return false
    await clock.sleep(next, { signal })
    next = Math.min(next * 2, LONGEST_PAUSE_MS)
    return true
  }
}

/**
 * Replaces the head, and whatever changes with it, in one transaction that is bound to the head it was planned on.
 *
 * An attempt whose answer is lost is never planned anew before its fate is known: as long as the head is the one it
 * was bound to, the same bytes are sent again, of which only one can succeed; once the head has moved, it is in or out.
 *
 * @throws {@link EtcdLogError} `APPEND_UNKNOWN` if an attempt's fate stayed unknown, `ETCD_UNREACHABLE` if none was
 * made, or what `plan` throws.
 */
export async function changeHead(view: LogView, plan: HeadPlan, signal: AbortSignal): Promise<KnownHead> {
  return await view.inTurn(async () => await change(view, plan, signal))
}

async function change(view: LogView, { plan, happened }: HeadPlan, signal: AbortSignal): Promise<KnownHead> {
  const pause = pauses(view, signal)
  let head: KnownHead | null = view.head()
  let attempt: Attempt | null = null
  // Why the fate of the attempt is unknown.
  let lost: unknown = null
  // A refusal that etcd also gives to the one change that fills it up, and which it has made.
  let full: EtcdLogError | null = null
  for (;;) {
    let sent: Attempt | null = null
    try {
      head ??= await view.refresh(signal)
      if (full !== null && attempt?.on === head.modRevision) throw full
      full = null
      if (attempt?.on !== head.modRevision) {
        if (lost !== null && happened !== undefined) {
          const done = await happened(head, signal)
          if (done === null) throw silent(lost)
          if (done) return head
        }
        // The head that it was bound to is gone, and it is not in the new one: it can never happen.
        lost = null
        const next = await plan(head, signal)
        if (next === null) return head
        attempt = prepare(view, head, next)
      }
      sent = attempt
      const { done, seen } = await sent.send(signal)
      if (done) return seen
      head = seen
    } catch (error) {
      // A refusal of this attempt says nothing about the same one that was sent before and got lost.
      head = null
      if (error instanceof EtcdLogError && error.code === 'ETCD_FULL' && sent !== null && lost === null) {
        full = error
        lost = error
        continue
      }
      if (!isUnreachable(error) && !(lost !== null && error !== full && isRefusal(error))) throw error
      if (sent !== null) lost ??= error
      if (!(await pause())) throw lost === null ? error : silent(lost)
    }
  }
}

/** A transaction that is ready to be sent, any number of times: bound to one head, it succeeds once at most. */
interface Attempt {
  readonly on: bigint
  readonly send: (signal: AbortSignal) => Promise<{ readonly done: boolean; readonly seen: KnownHead }>
}

function prepare(view: LogView, planned: KnownHead, next: HeadChange): Attempt {
  const { etcd, places } = view.parts
  const { record, operations, compare = [], refused, roster } = next
  const { put, head } = view.sealHead({ ...record, change: planned.record.change + 1n }, roster?.key)
  const request: TxnRequest = {
    compare: [{ key: places.head, target: 'modRevision', is: '=', value: planned.modRevision }, ...compare],
    success: [...operations, put],
    failure: [{ kind: 'range', range: { key: places.head } }],
  }
  return {
    on: planned.modRevision,
    send: async (signal) => {
      const answer = await etcd.txn(request, { signal })
      if (answer.succeeded) {
        const seen = { ...head, modRevision: answer.revision, seenAt: answer.revision }
        view.wrote(seen, roster)
        return { done: true, seen }
      }
      const found = answer.ranges[0]?.kvs[0] ?? null
      const seen = await view.adopt(found, answer.revision, signal, planned.record.change)
      if (seen.modRevision === planned.modRevision) {
        throw refused?.() ?? new EtcdLogError('ETCD_ANSWER_INVALID', 'etcd refused a change whose conditions all held')
      }
      return { done: false, seen }
    },
  }
}
