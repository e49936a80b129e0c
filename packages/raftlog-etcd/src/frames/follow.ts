import { EtcdLogError } from '../errors.ts'
import type { WatchAnswer } from '../etcd/etcd.ts'
import { type JoinedSignal, joinSignals } from '../joined-signal.ts'
import type { KnownHead, LogView } from '../log-view.ts'
import { type Patience, patienceFor } from '../patience.ts'
import type { FollowStep } from '../shared-log.ts'
import { loadSnapshot } from '../snapshots/maintenance.ts'
import { readFrames } from './frame-reader.ts'

/** A silent watch is not believed for longer: the head is read again. */
export const RECHECK_MS = 15_000
const PAUSE_MS = 500

/**
 * Waits for a head that is newer than one; whatever ends the watch, the head is read again. What this handle learns by a call of its
 * own counts as well: the member with the watch may hang while the others answer.
 */
interface HeadWatch extends AsyncDisposable {
  readonly newerThan: (head: KnownHead) => Promise<KnownHead>
}

function watchHead(view: LogView, signal: AbortSignal): HeadWatch {
  const { etcd, places, clock } = view.parts
  let control = new AbortController()
  let joined: JoinedSignal | null = null
  let changes: AsyncIterator<WatchAnswer> | null = null
  let pending: Patience<IteratorResult<WatchAnswer>> | null = null

  const stop = (): void => {
    control.abort(new EtcdLogError('ETCD_UNREACHABLE', 'watch was given up'))
    control = new AbortController()
    changes = null
    pending = null
  }
  const begin = (revision: bigint): AsyncIterator<WatchAnswer> => {
    joined?.[Symbol.dispose]()
    joined = joinSignals(signal, control.signal)
    return etcd.watch({ key: places.head }, revision, { signal: joined.signal })[Symbol.asyncIterator]()
  }

  /** The newest head that the watch told of, or that is known by now; null if nothing was heard for too long. */
  const told = async (head: KnownHead): Promise<KnownHead | null> => {
    const newer = (): KnownHead | null => (view.head().record.change > head.record.change ? view.head() : null)
    const known = newer()
    if (known !== null) return known
    changes ??= begin(head.seenAt + 1n)
    pending ??= patienceFor(changes.next())
    const waiting = new AbortController()
    let tell = (): void => undefined
    const learned = new Promise<null>((resolve) => {
      tell = () => {
        resolve(null)
      }
    })
    using _listening = view.onHead(() => {
      tell()
    })
    try {
      // The end of the watch ends this wait as well, so it needs no signal but its own.
      const idle = clock.sleep(RECHECK_MS, { signal: waiting.signal }).then(() => null)
      const enough = Promise.race([idle, learned])
      enough.catch(() => undefined)
      const next = await pending(enough)
      if (next === null) return newer()
      pending = null
      if (next.done === true) throw new EtcdLogError('ETCD_UNREACHABLE', 'watch ended')
      const { events, revision } = next.value
      const event = events.at(-1)
      if (event === undefined || event.modRevision <= head.modRevision) return head
      // Deleted: reading says what that means.
      if (event.kind === 'delete') return null
      const kv = { ...event, createRevision: 0n, version: 0n, lease: 0n }
      const at = revision > event.modRevision ? event.modRevision : revision
      return await view.adopt(kv, at, signal)
    } finally {
      waiting.abort()
    }
  }

  return {
    newerThan: async (head) => {
      for (;;) {
        signal.throwIfAborted()
        try {
          const next = (await told(head)) ?? (await view.refresh(signal))
          if (next.modRevision !== head.modRevision) return next
        } catch (error) {
          signal.throwIfAborted()
          if (!isPassing(error)) throw error
          stop()
          await clock.sleep(PAUSE_MS, { signal })
          const next = await refreshed(view, signal)
          if (next !== null && next.modRevision !== head.modRevision) return next
          if (next !== null) head = next
        }
      }
    },
    [Symbol.asyncDispose]: async () => {
      stop()
      joined?.[Symbol.dispose]()
      await Promise.resolve()
    },
  }
}

const isPassing = (error: unknown): boolean =>
  error instanceof EtcdLogError && (error.code === 'ETCD_UNREACHABLE' || error.code === 'ETCD_COMPACTED')

async function refreshed(view: LogView, signal: AbortSignal): Promise<KnownHead | null> {
  try {
    return await view.refresh(signal)
  } catch (error) {
    if (!isPassing(error)) throw error
    return null
  }
}

/** Refreshes until etcd answers. */
async function present(view: LogView, signal: AbortSignal): Promise<KnownHead> {
  for (;;) {
    const head = await refreshed(view, signal)
    if (head !== null) return head
    await view.parts.clock.sleep(PAUSE_MS, { signal })
  }
}

/** Entries from an index on, then what is appended, each once and in order. */
export async function* followLog(
  view: LogView,
  from: bigint | null,
  signal: AbortSignal,
): AsyncGenerator<FollowStep, void, void> {
  let head = await present(view, signal)
  let next = from ?? head.record.base.index + 1n
  await using watch = watchHead(view, signal)
  for (;;) {
    try {
      if (next <= head.record.base.index) {
        const snapshot = await loadSnapshot(view, signal)
        if (snapshot === null)
          throw new EtcdLogError(
            'ETCD_ANSWER_INVALID',
            'entries are gone without a snapshot; restore etcd from a backup',
          )
        // Entries that the snapshot covers may still be there; they are not given twice.
        yield { kind: 'snapshot', snapshot }
        next = snapshot.index + 1n
      }
      const to = head.record.last.index
      for await (const entries of readFrames(view, head, { from: next, to, signal })) {
        const last = entries.at(-1)
        if (last === undefined) continue
        next = last.index + 1n
        yield { kind: 'entries', entries }
      }
      head = await watch.newerThan(head)
    } catch (error) {
      signal.throwIfAborted()
      if (!isPassing(error) && !isGone(error)) throw error
      await view.parts.clock.sleep(PAUSE_MS, { signal })
      const fresh = await present(view, signal)
      // A gap that a newer head does not explain will not close by itself.
      if (isGone(error) && fresh.modRevision === head.modRevision && next > fresh.record.base.index) throw error
      head = fresh
    }
  }
}

/** What a compaction or a rotation by another manager looks like from the middle of a read. */
const isGone = (error: unknown): boolean =>
  typeof error === 'object' &&
  error !== null &&
  'code' in error &&
  (error.code === 'LOG_GAP' || error.code === 'RECORD_UNKNOWN_KEY')
