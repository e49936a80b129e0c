import { RaftLogError, type Snapshot } from '@leastwise/raftlog'
import { EtcdLogError } from '../errors.ts'
import { openFrameAt } from '../frames/frame-reader.ts'
import { changeHead } from '../head/head-changes.ts'
import type { ChainEnd, HeadRecord } from '../head/head-record.ts'
import type { KnownHead, LogView } from '../log-view.ts'
import { chunksStand, clearOthers, readChunks, writeChunks } from './snapshot-chunks.ts'

const MOST_UPLOADS = 8

/** Refuses a snapshot on this head; throws what the caller should see. */
export type SnapshotCheck = (record: HeadRecord) => void

/** The refusal of a snapshot because another manager saved one meanwhile. */
export const overtaken = (): EtcdLogError =>
  new EtcdLogError('LOG_CONFLICT', 'another manager saved a snapshot meanwhile; read the log and decide again')

/**
 * Writes a snapshot beside the newest one, and makes it the newest in one step. With `restart`, all entries go in the
 * same step, and the log goes on behind it.
 */
export async function putSnapshot(
  view: LogView,
  snapshot: Snapshot,
  { check, restart }: { readonly check: SnapshotCheck; readonly restart: boolean },
  signal: AbortSignal,
): Promise<KnownHead> {
  const { places } = view.parts
  const { index, term } = snapshot
  for (let upload = 1; ; upload += 1) {
    check((await view.refresh(signal)).record)
    const under = view.roster().key.id
    const uploaded = await writeChunks(view, snapshot, signal)
    if (uploaded === null) {
      if (upload === MOST_UPLOADS) throw overtaken()
      await view.learnRoster(signal)
      continue
    }
    const { record } = uploaded
    const attempt = { isStale: false }
    const done = await changeHead(
      view,
      {
        plan: (head) => {
          // A lost answer: it is there already.
          if (head.record.snapshot?.id === record.id) return null
          attempt.isStale = view.roster().key.id !== under
          if (attempt.isStale) return null
          check(head.record)
          const { last } = head.record
          const end: ChainEnd = { index, term, frames: last.frames, tag: last.tag }
          const rest = restart ? { last: end, base: end } : { last, base: head.record.base }
          return {
            record: { ...rest, snapshot: record },
            operations: [
              ...clearOthers(places, record),
              ...(restart ? [{ kind: 'delete' as const, ...places.frames }] : []),
            ],
            compare: [chunksStand(places, uploaded)],
            refused: overtaken,
          }
        },
      },
      signal,
    )
    if (!attempt.isStale) return done
    // The data key changed on the way, and a snapshot under the old one must not become the newest.
    if (upload === MOST_UPLOADS) throw overtaken()
  }
}

/** The newest snapshot, or null. */
export async function loadSnapshot(view: LogView, signal: AbortSignal): Promise<Snapshot | null> {
  let head = await view.refresh(signal)
  for (;;) {
    try {
      const snapshot = await readChunks(view, head, signal)
      if (snapshot !== null || head.record.snapshot === null) return snapshot
    } catch (error) {
      if (!(error instanceof RaftLogError && error.code === 'RECORD_UNKNOWN_KEY')) throw error
    }
    const fresh = await view.refresh(signal)
    if (fresh.seenAt <= head.seenAt)
      throw new EtcdLogError('ETCD_ANSWER_INVALID', 'etcd forgets revisions that are not over yet')
    head = fresh
  }
}

/** Drops frames of which no entry lies after `upTo`, and the history of all that is gone. */
export async function compactLog(view: LogView, upTo: bigint, signal: AbortSignal): Promise<void> {
  const { etcd, places } = view.parts
  const head = await changeHead(
    view,
    {
      plan: async (now, ends) => {
        const { record } = now
        const base = upTo >= record.last.index ? record.last : await endBefore(view, now, upTo, ends)
        if (base.index <= record.base.index) return null
        return {
          record: { ...record, base },
          operations: [{ kind: 'delete', key: places.frames.key, end: places.frame(base.index + 1n) }],
        }
      },
    },
    signal,
  )
  if (view.parts.history === 'forget') await etcd.compact(head.seenAt, { signal })
}

/** End of the last frame that reaches no further than `upTo`; the base if there is none. */
async function endBefore(
  view: LogView,
  { record, seenAt }: KnownHead,
  upTo: bigint,
  signal: AbortSignal,
): Promise<ChainEnd> {
  if (upTo <= record.base.index) return record.base
  const { etcd, places } = view.parts
  const range = {
    key: places.frame(record.base.index + 1n),
    end: places.frame(upTo + 1n),
    limit: 1,
    order: 'descending' as const,
  }
  const { kvs } = await etcd.range(range, { signal })
  const kv = kvs[0]
  if (kv === undefined || kv.modRevision > seenAt) return record.base
  return (await openFrameAt(view, kv, signal)).end
}
