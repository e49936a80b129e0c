import { type Entry, RaftLogError } from '@leastwise/raftlog'
import { sameBytes } from '../byte-fields.ts'
import { EtcdLogError } from '../errors.ts'
import type { KeyValue, RangeAnswer } from '../etcd/etcd.ts'
import type { ChainEnd } from '../head/head-record.ts'
import { VALUE_KIND } from '../keys/sealed-value.ts'
import type { KnownHead, LogView } from '../log-view.ts'
import { decodeEntries } from './frame-body.ts'

/**
 * Frames asked for at once: many small ones come quickly, and some of the largest are within an answer's limit. The last
 * one of a page only vouches for the one before it.
 */
const MOST_FRAMES = 512
const FEWEST_FRAMES = 9
const PAGE_BYTES: number = 4 * 1024 * 1024

const damaged = (what: string): RaftLogError =>
  new RaftLogError('RECORD_NOT_AUTHENTIC', `${what}; find out who can write to etcd, and restore it from a backup`)

const gap = (): RaftLogError =>
  new RaftLogError('LOG_GAP', 'entries from there on are compacted away; load the snapshot first')

/** One frame that was proven to stand where it stands. */
export interface ProvenFrame {
  readonly entries: readonly Entry[]
  readonly end: ChainEnd
  readonly previous: Uint8Array
}

/** Opens the frame under a key; its place must be the one that the key says. */
export async function openFrameAt(view: LogView, kv: KeyValue, signal: AbortSignal): Promise<ProvenFrame> {
  const { clear, body } = await view.open(VALUE_KIND.frame, kv.value, 'frame', signal)
  const { index, term, count } = clear.head
  const entries = decodeEntries(body, { index, term, count })
  if (entries === null) throw damaged('frame does not hold the entries that it names')
  const last = index + BigInt(count) - 1n
  if (view.parts.places.lastIndexAt(kv.key) !== last) throw damaged('frame stands under a key that is not its own')
  return { entries, end: { frames: clear.sequence, index: last, term, tag: clear.tag }, previous: clear.previous }
}

/** Which entries to read; both ends belong to the range, and `to` lies in the log. */
export interface ReadRange {
  readonly from: bigint
  readonly to: bigint
  readonly signal: AbortSignal
}

/**
 * Reads frames as of one revision of etcd, so that a compaction meanwhile takes nothing away. Where etcd itself has
 * forgotten that revision, or a rotation the key, it goes on from where it is with a new head.
 *
 * A frame is given once the next one names its tag, or the head does. That it was sealed for its place is not enough: so
 * was the frame of a manager that lost the race for it, and whoever runs etcd has seen that one, too.
 */
export async function* readFrames(
  view: LogView,
  start: KnownHead,
  { from, to, signal }: ReadRange,
): AsyncGenerator<readonly Entry[], void, void> {
  let head = start
  let next = from
  let before: ChainEnd | null = null
  let held: readonly Entry[] | null = null
  let limit = FEWEST_FRAMES
  while (next <= to || held !== null) {
    signal.throwIfAborted()
    if (next <= head.record.base.index) throw gap()
    const page = await readPage(view, head, next, limit, signal)
    if (page === null) {
      const fresh = await view.refresh(signal)
      if (fresh.seenAt <= head.seenAt) throw gap()
      head = fresh
      continue
    }
    if ('tooLarge' in page) {
      limit = Math.max(1, limit >> 1)
      continue
    }
    if (page.kvs.length === 0) throw truncated()
    let bytes = 0
    for (const kv of page.kvs) {
      bytes += kv.value.length
      const frame = await openOrForget(view, kv, signal)
      if (frame === null) {
        head = await view.refresh(signal)
        if (next <= head.record.base.index) throw gap()
        throw damaged('frame lies under a data key that is gone')
      }
      checkLink(frame, before, next, head)
      signal.throwIfAborted()
      if (held !== null) yield held
      if (next > to) return
      before = frame.end
      held = frame.entries.filter(({ index }) => index >= next && index <= to)
      next = frame.end.index + 1n
      if (frame.end.frames === head.record.last.frames) {
        yield held
        return
      }
    }
    limit = nextLimit(limit, bytes / page.kvs.length)
  }
}

const truncated = (): RaftLogError =>
  new RaftLogError('RECORD_TRUNCATED', 'frames are missing before the head; restore etcd from a backup')

const nextLimit = (limit: number, frameBytes: number): number =>
  Math.min(limit * 2, MOST_FRAMES, Math.max(FEWEST_FRAMES, Math.floor(PAGE_BYTES / Math.max(frameBytes, 1))))

async function readPage(
  view: LogView,
  head: KnownHead,
  from: bigint,
  limit: number,
  signal: AbortSignal,
): Promise<RangeAnswer | { readonly tooLarge: true } | null> {
  const { etcd, places } = view.parts
  const range = { key: places.frame(from), end: places.frames.end ?? '', limit, revision: head.seenAt }
  try {
    return await etcd.range(range, { signal })
  } catch (error) {
    if (!(error instanceof EtcdLogError)) throw error
    if (error.code === 'ETCD_COMPACTED') return null
    if (error.code === 'ETCD_ANSWER_INVALID' && limit > 1) return { tooLarge: true }
    throw error
  }
}

async function openOrForget(view: LogView, kv: KeyValue, signal: AbortSignal): Promise<ProvenFrame | null> {
  try {
    return await openFrameAt(view, kv, signal)
  } catch (error) {
    if (error instanceof RaftLogError && error.code === 'RECORD_UNKNOWN_KEY') return null
    throw error
  }
}

/** Each frame follows the one before, the first one the base, and the last one is the head's. */
function checkLink(
  { entries, end, previous }: ProvenFrame,
  before: ChainEnd | null,
  next: bigint,
  head: KnownHead,
): void {
  const first = entries[0]?.index ?? 0n
  if (first > next) throw truncated()
  const { base, last } = head.record
  const chained = before ?? (end.frames === base.frames + 1n ? base : null)
  if (
    chained !== null &&
    (end.frames !== chained.frames + 1n || first !== chained.index + 1n || !sameBytes(previous, chained.tag))
  ) {
    throw damaged('frame does not follow the one before')
  }
  if (end.frames > last.frames || end.index > last.index) throw damaged('frame lies behind the head')
  if (end.frames === last.frames && (end.index !== last.index || !sameBytes(end.tag, last.tag))) {
    throw damaged('frame is not the one that the head names')
  }
}
