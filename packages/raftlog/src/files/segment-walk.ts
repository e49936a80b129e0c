import { type Entry, MAX_FRAME_ENTRIES } from '../entry.ts'
import { RaftLogError, type RecordPlace } from '../errors.ts'
import { ENTRY_OVERHEAD_BYTES, FRAME_TYPE, type FrameHead } from '../format/frame.ts'
import { decodeHardState, type HardState } from '../format/hard-state.ts'
import type { CipherSuite } from '../ports.ts'
import { frameWalk } from './frame-walk.ts'
import type { ProvenFile } from './log-context.ts'

/** What a walk over a segment met next. */
export type SegmentStep =
  | { readonly kind: 'entries'; readonly entries: readonly Entry[]; readonly state: HardState | null }
  | { readonly kind: 'passed' }
  | { readonly kind: 'end' }
  | { readonly kind: 'broken'; readonly incomplete: boolean }

/** Walks over one segment and keeps count of index and term. */
export interface SegmentWalk {
  /** Goes on by one frame. Frames that hold nothing from `from` to `to` are passed over unopened. */
  readonly next: (from?: bigint, to?: bigint) => Promise<SegmentStep>
  readonly offset: () => number
  readonly tag: () => Uint8Array<ArrayBuffer>
  readonly place: () => RecordPlace
  /** Index that the next entry must have. */
  readonly nextIndex: () => bigint
  /** Term of the last entry so far. */
  readonly term: () => bigint
}

const malformed = (what: string, place: RecordPlace): RaftLogError =>
  new RaftLogError('RECORD_MALFORMED', `frame ${what}; restore the log from a backup`, { place })

/** count × (length(4) ‖ data), then a hard state or nothing, as the type says. */
export function decodeBody(
  head: FrameHead,
  body: Uint8Array<ArrayBuffer>,
  place: RecordPlace,
): { readonly entries: readonly Entry[]; readonly state: HardState | null } {
  const { buffer, byteOffset } = body
  const view = new DataView(buffer, byteOffset, body.byteLength)
  const entries: Entry[] = []
  let at = 0
  let index = head.index
  for (let nth = 0; nth < head.count; nth += 1) {
    if (body.length - at < ENTRY_OVERHEAD_BYTES) throw malformed('holds fewer entries than it says', place)
    const from = at + ENTRY_OVERHEAD_BYTES
    const until = from + view.getUint32(at)
    if (until > body.length) throw malformed('holds an entry longer than itself', place)
    // A subarray takes longer, for it asks the body first which kind of array to make.
    entries.push({ index, term: head.term, data: new Uint8Array(buffer, byteOffset + from, until - from) })
    index += 1n
    at = until
  }
  if (head.type === FRAME_TYPE.state) {
    const state = decodeHardState(body.subarray(at))
    if (state === null) throw malformed('holds no hard state', place)
    return { entries, state }
  }
  if (at !== body.length) throw malformed('goes on after its last entry', place)
  return { entries, state: null }
}

export function segmentWalk(file: ProvenFile, limit: number, suite: CipherSuite): SegmentWalk {
  const frames = frameWalk(file, limit, suite)
  let nextIndex = file.header.index
  let term = file.header.term
  let ended = false

  const count = (head: FrameHead, place: RecordPlace): void => {
    if (ended) throw malformed('stands after the end of its segment', place)
    if (head.type === FRAME_TYPE.end) {
      if (head.count !== 0 || head.bodyBytes !== 0) throw malformed('ends the segment with a body', place)
      ended = true
      return
    }
    if (head.type !== FRAME_TYPE.entries && head.type !== FRAME_TYPE.state) {
      throw new RaftLogError('RECORD_UNSUPPORTED_VERSION', `frame has type ${head.type}; use a release that knows it`, {
        place,
      })
    }
    if ((head.count === 0 && head.type === FRAME_TYPE.entries) || head.count > MAX_FRAME_ENTRIES)
      throw malformed('holds an impossible number of entries', place)
    if (head.index !== nextIndex || head.term < term) throw malformed('does not follow the one before', place)
    nextIndex += BigInt(head.count)
    term = head.term
  }

  return {
    offset: frames.offset,
    tag: frames.tag,
    place: frames.place,
    nextIndex: () => nextIndex,
    term: () => term,
    next: async (from = 0n, to) => {
      const place = frames.place()
      const step = await frames.next(
        ({ type, index, count: held }) =>
          (type === FRAME_TYPE.entries || type === FRAME_TYPE.state) &&
          (index + BigInt(held) <= from || (to !== undefined && index > to)),
      )
      if (step.kind === 'end' || step.kind === 'broken') return step
      count(step.head, place)
      if (step.kind === 'skipped' || step.head.type === FRAME_TYPE.end) return { kind: 'passed' }
      return { kind: 'entries', ...decodeBody(step.head, step.body, place) }
    },
  }
}
