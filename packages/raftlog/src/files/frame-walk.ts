import { RaftLogError, type RecordPlace } from '../errors.ts'
import { lifeOf, TAG_BYTES } from '../format/file-header.ts'
import {
  decodeFrameHead,
  FRAME_HEAD_BYTES,
  FRAME_OVERHEAD_BYTES,
  type FrameHead,
  isLinked,
  openFrame,
} from '../format/frame.ts'
import type { CipherSuite } from '../ports.ts'
import { byteWindow } from './byte-window.ts'
import type { ProvenFile } from './log-context.ts'

/** What a walk met next. `broken`: no whole frame that opens in this place; whether a crash did it is decided elsewhere. */
export type WalkStep =
  | { readonly kind: 'frame'; readonly head: FrameHead; readonly body: Uint8Array<ArrayBuffer> }
  | { readonly kind: 'skipped'; readonly head: FrameHead }
  | { readonly kind: 'end' }
  | { readonly kind: 'broken'; readonly incomplete: boolean }

/** Walks over the frames of one file, each authenticated in its place. */
export interface FrameWalk {
  /** Goes on by one frame; `skip` may pass over a frame without opening it. */
  readonly next: (skip?: (head: FrameHead) => boolean) => Promise<WalkStep>
  /** Where the next frame begins. */
  readonly offset: () => number
  /** Tag of the last frame, or of the header. */
  readonly tag: () => Uint8Array<ArrayBuffer>
  readonly place: () => RecordPlace
}

export function frameWalk(file: ProvenFile, limit: number, suite: CipherSuite): FrameWalk {
  const window = byteWindow(file.handle, limit)
  let offset = file.header.lengthBytes
  let number = 0
  let tag = file.header.tag
  const life = lifeOf(file.header)
  const place = (): RecordPlace => ({ file: file.name, offset })
  const view = async (at: number, length: number): Promise<Uint8Array> =>
    window.peek(at, length) ?? (await window.load(at, length))
  return {
    offset: () => offset,
    tag: () => tag,
    place,
    next: async (skip) => {
      if (offset === limit) return { kind: 'end' }
      if (limit - offset < FRAME_HEAD_BYTES) return { kind: 'broken', incomplete: true }
      const headBytes = await view(offset, FRAME_HEAD_BYTES)
      const head = decodeFrameHead(headBytes, suite)
      // In a file that is written over an earlier one, frames of that one lie behind the last.
      if (head === null || head.life === file.header.over) return { kind: 'broken', incomplete: false }
      // A crash leaves half of the frame that belongs here, never one that belongs elsewhere.
      if (head.life !== life || !isLinked(headBytes, tag)) throw brokenFrame(place(), false)
      const length = FRAME_OVERHEAD_BYTES + head.bodyBytes
      if (limit - offset < length) return { kind: 'broken', incomplete: true }
      const frame = await view(offset, length)
      let body: Uint8Array<ArrayBuffer> | null = null
      if (skip?.(head) !== true) {
        body = openFrame(file.frames, { number, previous: tag }, frame)
        if (body === null) return { kind: 'broken', incomplete: false }
      }
      tag = new Uint8Array(frame.subarray(length - TAG_BYTES))
      offset += length
      number += 1
      return body === null ? { kind: 'skipped', head } : { kind: 'frame', head, body }
    },
  }
}

/** The error for a break that no crash can explain. */
export const brokenFrame = (place: RecordPlace, incomplete: boolean): RaftLogError =>
  incomplete
    ? new RaftLogError('RECORD_TRUNCATED', 'frame ends before its length; restore the log from a backup', { place })
    : new RaftLogError('RECORD_NOT_AUTHENTIC', 'frame is not authentic; restore the log from a backup', {
        place,
      })
