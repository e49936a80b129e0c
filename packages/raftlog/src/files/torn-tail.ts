import { type DecodedHeader, lifeOf } from '../format/file-header.ts'
import {
  decodeFrameHead,
  type FoundHead,
  FRAME_HEAD_BYTES,
  FRAME_MARK,
  FRAME_OVERHEAD_BYTES,
  MAX_FRAME_BYTES,
} from '../format/frame.ts'
import type { CipherSuite, ReadHandle } from '../ports.ts'

/** What lies behind the last good frame of the last segment, and what is lost with it. */
export interface Tail {
  /**
   * `zeros` that were written ahead, or the bytes of an `earlier` file that the segment is written over: nothing is lost.
   * `torn`: a frame that never was acknowledged. `damage`: what no crash leaves.
   */
  readonly holds: 'zeros' | 'earlier' | 'torn' | 'damage'
  /** Bytes of the torn frame, as far as they can be told from what was there before. */
  readonly tornBytes: number
}

// What is read at once while a segment that is written over is searched.
const PIECE_BYTES = 1024 * 1024

const isZeros = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0)

/** Places from `from` on at which a frame's head may begin and end within these bytes. */
export function* marks(bytes: Uint8Array, from: number): Generator<number, void, void> {
  const [first = 0, second = 0] = FRAME_MARK
  for (let at = bytes.indexOf(first, from); at >= 0; at = bytes.indexOf(first, at + 1)) {
    if (at + FRAME_HEAD_BYTES > bytes.length) return
    if (bytes[at + 1] === second) yield at
  }
}

/** Intact heads that begin at `from` or later. A sealed body holds no such bytes, neither by chance nor because somebody chose the entries. */
function* heads(bytes: Uint8Array, from: number, suite: CipherSuite): Generator<FoundHead, void, void> {
  for (const at of marks(bytes, from)) {
    const head = decodeFrameHead(bytes.subarray(at, at + FRAME_HEAD_BYTES), suite)
    if (head !== null) yield head
  }
}

const tail = (holds: Tail['holds'], tornBytes = 0): Tail => ({ holds, tornBytes })

/**
 * In a file of its own blocks: one broken frame, cut short, in zeros or in patches, and nothing behind it but zeros. It is
 * damage if a further head lies behind it, if anything else than zeros follows where it ends, or if more bytes are there
 * than a frame can have.
 */
function tailOnZeros(rest: Uint8Array, suite: CipherSuite): Tail {
  if (rest.length > MAX_FRAME_BYTES) return tail('damage')
  if (isZeros(rest)) return tail('zeros')
  const head = decodeFrameHead(rest, suite)
  if (head !== null && !isZeros(rest.subarray(FRAME_OVERHEAD_BYTES + head.bodyBytes))) return tail('damage')
  for (const _ of heads(rest, 1, suite)) return tail('damage')
  return tail('torn', rest.length)
}

/**
 * In a file that is written over an earlier one: one broken frame at most, and behind it what was there before. The frames
 * of that file bear its mark, so it is damage if any other head lies there. Behind each frame that was written lie zeros
 * for a further head at least; if they are there, no frame was begun.
 */
async function tailOverEarlier(handle: ReadHandle, offset: number, over: number, suite: CipherSuite): Promise<Tail> {
  const { sizeBytes } = handle
  const first = new Uint8Array(await handle.read(offset, Math.min(FRAME_HEAD_BYTES, sizeBytes - offset)))
  const head = decodeFrameHead(first, suite)
  for (let start = offset; start < sizeBytes; start += PIECE_BYTES) {
    // Far enough that a head which begins in this piece ends in what is read of it.
    const piece = await handle.read(start, Math.min(PIECE_BYTES + FRAME_HEAD_BYTES - 1, sizeBytes - start))
    for (const { life } of heads(piece, start === offset ? 1 : 0, suite)) if (life !== over) return tail('damage')
  }
  if (isZeros(first)) return tail('earlier')
  const isOurs = head !== null && head.life !== over
  return tail('torn', Math.min(sizeBytes - offset, isOurs ? FRAME_OVERHEAD_BYTES + head.bodyBytes : FRAME_HEAD_BYTES))
}

/**
 * Tells what a crash leaves behind the last good frame of the last segment from damage. One frame at a time is on its way
 * to the disk, so a crash leaves at most one that is broken. (A whole head of another file, or one that follows another
 * tag, was refused before.)
 */
export async function tailAt(
  handle: ReadHandle,
  offset: number,
  header: DecodedHeader,
  suite: CipherSuite,
): Promise<Tail> {
  if (header.over !== null) return await tailOverEarlier(handle, offset, header.over, suite)
  return tailOnZeros(await handle.read(offset, Math.min(handle.sizeBytes - offset, MAX_FRAME_BYTES + 1)), suite)
}

/**
 * Whether a head stands in a file where a crash may have left it: its own, or one of the file below. Any other was put there.
 */
export const mayStandIn = (header: DecodedHeader, { life }: FoundHead): boolean =>
  life === lifeOf(header) || life === header.over
