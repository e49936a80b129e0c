import { type Entry, MAX_FRAME_ENTRIES } from '../entry.ts'
import { RaftLogError, type RaftLogErrorCode } from '../errors.ts'
import { decodeBody } from '../files/segment-walk.ts'
import { FILE_KIND } from '../format/file-header.ts'
import { FRAME_TYPE, type FrameHead } from '../format/frame.ts'
import type { HardState } from '../format/hard-state.ts'
import { type SurveyedFile, type SurveyOptions, surveyFrames, type TailContent } from './frame-survey.ts'

/** A frame that is good in its place. */
export interface SurveyedFrame {
  readonly kind: 'frame'
  readonly offset: number
  readonly lengthBytes: number
  readonly head: FrameHead
  /** What it holds; null without the key, and in a snapshot. */
  readonly entries: readonly Entry[] | null
  /** Part of a snapshot; null without the key, and in a segment. */
  readonly chunk: Uint8Array<ArrayBuffer> | null
  readonly state: HardState | null
  readonly tag: Uint8Array<ArrayBuffer>
}

/** What a file holds, step by step. */
export type FileStep =
  | SurveyedFrame
  | {
      readonly kind: 'damage'
      readonly offset: number
      readonly lengthBytes: number
      readonly code: RaftLogErrorCode
      /** Head or tag of the frame that is given next, which is known all the same. */
      readonly isMended: boolean
    }
  | { readonly kind: 'tail'; readonly offset: number; readonly lengthBytes: number; readonly holds: TailContent }

/** Keeps count of what may follow in a file; says what is wrong with a frame, or null. */
interface Order {
  readonly check: (head: FrameHead) => RaftLogErrorCode | null
  /** What is missing at the end, or null. */
  readonly end: () => RaftLogErrorCode | null
  /** Frames may be missing from here on. */
  readonly hole: () => void
}

function segmentOrder({ header }: SurveyedFile): Order {
  let { index, term } = header
  let ended = false
  let isHole = false
  return {
    check: (head) => {
      const { type, count } = head
      if (ended) return 'RECORD_MALFORMED'
      if (type === FRAME_TYPE.end) {
        ended = true
        return count === 0 && head.bodyBytes === 0 ? null : 'RECORD_MALFORMED'
      }
      if (type !== FRAME_TYPE.entries && type !== FRAME_TYPE.state) return 'RECORD_UNSUPPORTED_VERSION'
      if ((count === 0 && type === FRAME_TYPE.entries) || count > MAX_FRAME_ENTRIES) return 'RECORD_MALFORMED'
      if ((isHole ? head.index < index : head.index !== index) || head.term < term) return 'RECORD_MALFORMED'
      index = head.index + BigInt(count)
      term = head.term
      isHole = false
      return null
    },
    end: () => null,
    hole: () => {
      isHole = true
    },
  }
}

function snapshotOrder({ header }: SurveyedFile): Order {
  let nth = 0
  let ended = false
  let isHole = false
  return {
    check: ({ type, count, index, term }) => {
      const isLast = type === FRAME_TYPE.lastChunk
      const fits = !ended && (isLast || type === FRAME_TYPE.chunk) && index === header.index && term === header.term
      if (!fits || (isHole ? count < nth : count !== nth)) return 'RECORD_MALFORMED'
      nth = count + 1
      ended = isLast
      isHole = false
      return null
    },
    end: () => (ended ? null : 'RECORD_TRUNCATED'),
    hole: () => {
      isHole = true
    },
  }
}

/** Goes over the frames of a segment or snapshot and says what they hold, and what does not fit. */
export async function* surveyFile(file: SurveyedFile, options: SurveyOptions): AsyncGenerator<FileStep, void, void> {
  const isSnapshot = file.header.kind === FILE_KIND.snapshot
  const order = isSnapshot ? snapshotOrder(file) : segmentOrder(file)
  let end = file.header.lengthBytes
  for await (const step of surveyFrames(file, options)) {
    end = step.offset + step.lengthBytes
    if (step.kind !== 'frame') {
      // A damaged head or tag is part of a frame that is given all the same.
      if (step.kind === 'damage' && !step.isMended) {
        order.hole()
      }
      yield step
      continue
    }
    const { offset, lengthBytes, head, body, tag } = step
    const found = contents(head, body, isSnapshot, { file: file.name, offset })
    const code = order.check(head) ?? (found instanceof RaftLogError ? found.code : null)
    if (code !== null || found instanceof RaftLogError) {
      order.hole()
      yield { kind: 'damage', offset, lengthBytes, code: code ?? 'RECORD_MALFORMED', isMended: false }
      continue
    }
    yield { kind: 'frame', offset, lengthBytes, head, ...found, tag }
  }
  const code = order.end()
  if (code !== null) yield { kind: 'damage', offset: end, lengthBytes: 0, code, isMended: false }
}

function contents(
  head: FrameHead,
  body: Uint8Array<ArrayBuffer> | null,
  isSnapshot: boolean,
  place: { readonly file: string; readonly offset: number },
): RaftLogError | Pick<SurveyedFrame, 'entries' | 'state' | 'chunk'> {
  const holdsEntries = head.type === FRAME_TYPE.entries || head.type === FRAME_TYPE.state
  if (body === null || isSnapshot) return { entries: null, state: null, chunk: body }
  if (!holdsEntries || head.count > MAX_FRAME_ENTRIES) return { entries: [], state: null, chunk: null }
  try {
    return { ...decodeBody(head, body, place), chunk: null }
  } catch (error) {
    if (error instanceof RaftLogError) return error
    throw error
  }
}
