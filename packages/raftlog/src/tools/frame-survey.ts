import type { RaftLogErrorCode } from '../errors.ts'
import { type ByteWindow, byteWindow } from '../files/byte-window.ts'
import { marks, mayStandIn, type Tail, tailAt } from '../files/torn-tail.ts'
import { type DecodedHeader, lifeOf, TAG_BYTES } from '../format/file-header.ts'
import {
  decodeFrameHead,
  FRAME_HEAD_BYTES,
  FRAME_OVERHEAD_BYTES,
  type FrameContext,
  type FrameHead,
  isLinked,
  openFrame,
} from '../format/frame.ts'
import type { CipherSuite, ReadHandle } from '../ports.ts'
import { oneByteChanges } from './one-byte.ts'
import { trueTag } from './true-tag.ts'

/** A file with a header that reads; `frames` is null where the key is not at hand. */
export interface SurveyedFile {
  readonly name: string
  readonly handle: ReadHandle
  readonly header: DecodedHeader
  readonly frames: FrameContext | null
}

/** What may lie behind the last frame of a log: see {@link Tail}. */
export type TailContent = Exclude<Tail['holds'], 'damage'>

/** What a survey met next. Every byte behind the header belongs to a step. */
export type SurveyStep =
  | {
      readonly kind: 'frame'
      readonly offset: number
      readonly lengthBytes: number
      readonly head: FrameHead
      /** Opened, or null without the key. */
      readonly body: Uint8Array<ArrayBuffer> | null
      /** Tag that the next frame or segment must name. */
      readonly tag: Uint8Array<ArrayBuffer>
    }
  | {
      readonly kind: 'damage'
      readonly offset: number
      readonly lengthBytes: number
      readonly code: RaftLogErrorCode
      /** Head or tag of the frame that is given next, which is known all the same. */
      readonly isMended: boolean
    }
  /** What lies behind the last frame, and is no damage. */
  | { readonly kind: 'tail'; readonly offset: number; readonly lengthBytes: number; readonly holds: TailContent }

/** Options of {@link surveyFrames}. */
export interface SurveyOptions {
  readonly suite: CipherSuite
  /** True for the last segment of a log, the only file whose end a crash can tear. */
  readonly mayBeTorn: boolean
  /** The tag that the next segment says this one ends with. */
  readonly endTag?: Uint8Array | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Bytes that may be decrypted in one file in vain while the next good frame is searched. Heads can be forged without the
 * key, and each would cost a whole frame; an honest file needs a few frames.
 */
export const SEARCH_BYTES: number = 64 * 1024 * 1024
// Little, since behind most damage the next frame is near.
const SCAN_BYTES = 64 * 1024
// What mending a head counts as: it takes about as long as decrypting so much.
const MENDING_BYTES = 64 * 1024

interface Here {
  readonly offset: number
  readonly number: number
  readonly previous: Uint8Array<ArrayBuffer>
}

type Looked =
  | {
      readonly kind: 'good'
      readonly head: FrameHead
      readonly body: Uint8Array<ArrayBuffer> | null
      readonly tag: Uint8Array<ArrayBuffer>
    }
  | {
      readonly kind: 'bad'
      readonly code: RaftLogErrorCode
      readonly head: FrameHead | null
      readonly isDisplaced: boolean
    }

const bad = (code: RaftLogErrorCode, head: FrameHead | null = null, isDisplaced = false): Looked => ({
  kind: 'bad',
  code,
  head,
  isDisplaced,
})

const view = async (window: ByteWindow, offset: number, length: number): Promise<Uint8Array> =>
  window.peek(offset, length) ?? (await window.load(offset, length))

/** Looks at one place of a file: a good frame that belongs there, or why there is none. */
async function look(file: SurveyedFile, window: ByteWindow, here: Here, suite: CipherSuite): Promise<Looked> {
  const left = file.handle.sizeBytes - here.offset
  if (left < FRAME_HEAD_BYTES) return bad('RECORD_TRUNCATED')
  const headBytes = await view(window, here.offset, FRAME_HEAD_BYTES)
  const head = decodeFrameHead(headBytes, suite)
  if (head === null || head.life === file.header.over) return bad('RECORD_NOT_AUTHENTIC')
  if (!mayStandIn(file.header, head) || !isLinked(headBytes, here.previous))
    return bad('RECORD_NOT_AUTHENTIC', head, true)
  const length = FRAME_OVERHEAD_BYTES + head.bodyBytes
  if (left < length) return bad('RECORD_TRUNCATED', head)
  const frame = await view(window, here.offset, length)
  const body = file.frames === null ? null : openFrame(file.frames, here, frame)
  if (body === null && file.frames !== null) return bad('RECORD_NOT_AUTHENTIC', head)
  return { kind: 'good', head, body, tag: new Uint8Array(frame.subarray(length - TAG_BYTES)) }
}

/**
 * Searches for the next frame that is good in its place. The frames between are gone, and how many they were is found by
 * trying: the number of a frame is part of what its tag covers.
 */
async function search(
  file: SurveyedFile,
  window: ByteWindow,
  from: Here,
  { suite, signal }: SurveyOptions,
  budget: { bytes: number },
): Promise<Here | null> {
  const limit = file.handle.sizeBytes
  const life = lifeOf(file.header)
  for (let start = from.offset + 1; start + FRAME_HEAD_BYTES <= limit; start += SCAN_BYTES) {
    signal?.throwIfAborted()
    // A copy: looking at a candidate moves the window.
    const base = Math.max(start - TAG_BYTES, file.header.lengthBytes)
    const until = Math.min(start + SCAN_BYTES + FRAME_HEAD_BYTES - 1, limit)
    const bytes = new Uint8Array(await view(window, base, until - base))
    for (const inside of marks(bytes, Math.max(start - base, TAG_BYTES))) {
      const at = base + inside
      const headBytes = bytes.subarray(inside, inside + FRAME_HEAD_BYTES)
      const head = decodeFrameHead(headBytes, suite)
      const previous = new Uint8Array(bytes.subarray(inside - TAG_BYTES, inside))
      if (head?.life !== life || !isLinked(headBytes, previous)) continue
      const most = from.number + 1 + Math.floor((at - from.offset) / FRAME_OVERHEAD_BYTES)
      for (let number = from.number + 1; number <= most; number += 1) {
        const here = { offset: at, number, previous }
        const looked = await look(file, window, here, suite)
        if (looked.kind === 'good') return here
        if (looked.code === 'RECORD_TRUNCATED') break
        budget.bytes -= FRAME_OVERHEAD_BYTES + head.bodyBytes
        if (budget.bytes < 0) return null
      }
    }
  }
  return null
}

/** A head of which one byte changed: its checksum says what it may have been, and the tag of the frame what it was. */
async function mendHead(
  file: SurveyedFile,
  window: ByteWindow,
  here: Here,
  suite: CipherSuite,
  budget: { bytes: number },
): Promise<Extract<Looked, { kind: 'good' }> | null> {
  const left = file.handle.sizeBytes - here.offset
  if (file.frames === null || left < FRAME_OVERHEAD_BYTES || budget.bytes < MENDING_BYTES) return null
  budget.bytes -= MENDING_BYTES
  const found = new Uint8Array(await view(window, here.offset, FRAME_HEAD_BYTES))
  for (const bytes of oneByteChanges(found, suite)) {
    const head = decodeFrameHead(bytes, suite)
    const length = FRAME_OVERHEAD_BYTES + (head?.bodyBytes ?? 0)
    if (head?.life !== lifeOf(file.header) || !isLinked(bytes, here.previous) || left < length) continue
    const frame = new Uint8Array(await view(window, here.offset, length))
    frame.set(bytes)
    const body = openFrame(file.frames, here, frame)
    if (body !== null) return { kind: 'good', head, body, tag: frame.slice(length - TAG_BYTES) }
  }
  return null
}

/** A frame whose tag alone is damaged: what follows names the tag that it must have had, and so vouches for it. */
async function vouched(
  file: SurveyedFile,
  window: ByteWindow,
  here: Here,
  head: FrameHead,
  { suite, endTag }: SurveyOptions,
): Promise<Extract<Looked, { kind: 'good' }> | null> {
  const length = FRAME_OVERHEAD_BYTES + head.bodyBytes
  if (file.frames === null || file.handle.sizeBytes - here.offset < length) return null
  const frame = await view(window, here.offset, length)
  const { tag, body } = trueTag(file.frames, here, head, frame.subarray(FRAME_HEAD_BYTES, length - TAG_BYTES), suite)
  const next = { offset: here.offset + length, number: here.number + 1, previous: tag }
  const isNamed =
    next.offset === file.handle.sizeBytes
      ? endTag?.every((byte, at) => tag[at] === byte) === true
      : (await look(file, window, next, suite)).kind === 'good'
  return isNamed ? { kind: 'good', head, body, tag } : null
}

/**
 * Goes over the frames of one file from its beginning to its end, and over damage to whatever is good behind it.
 *
 * With the key a frame is given only if it was sealed for this very place; without it, a head that matches its checksum and
 * the tag before is all that can be told. At most one frame and a window of 1 MiB are held.
 */
export async function* surveyFrames(
  file: SurveyedFile,
  options: SurveyOptions,
): AsyncGenerator<SurveyStep, void, void> {
  const { suite, mayBeTorn, signal } = options
  const limit = file.handle.sizeBytes
  const window = byteWindow(file.handle, limit)
  const budget = { bytes: SEARCH_BYTES }
  let here: Here = { offset: file.header.lengthBytes, number: 0, previous: file.header.tag }
  while (here.offset < limit) {
    signal?.throwIfAborted()
    const { offset } = here
    let looked = await look(file, window, here, suite)
    if (looked.kind === 'bad') {
      const { code, head, isDisplaced } = looked
      const mended =
        head === null
          ? await mendHead(file, window, here, suite, budget)
          : isDisplaced
            ? null
            : await vouched(file, window, here, head, options)
      if (mended === null) {
        const next = await search(file, window, here, options, budget)
        if (next === null && mayBeTorn && !isDisplaced) {
          const { holds } = await tailAt(file.handle, offset, file.header, suite)
          if (holds !== 'damage') {
            yield { kind: 'tail', offset, lengthBytes: limit - offset, holds }
            return
          }
        }
        yield { kind: 'damage', offset, lengthBytes: (next?.offset ?? limit) - offset, code, isMended: false }
        if (next === null) return
        here = next
        continue
      }
      const end = offset + FRAME_OVERHEAD_BYTES + mended.head.bodyBytes
      const place =
        head === null ? { offset, lengthBytes: FRAME_HEAD_BYTES } : { offset: end - TAG_BYTES, lengthBytes: TAG_BYTES }
      yield { kind: 'damage', ...place, code, isMended: true }
      looked = mended
    }
    const lengthBytes = FRAME_OVERHEAD_BYTES + looked.head.bodyBytes
    yield { kind: 'frame', offset, lengthBytes, head: looked.head, body: looked.body, tag: looked.tag }
    here = { offset: offset + lengthBytes, number: here.number + 1, previous: looked.tag }
  }
}
