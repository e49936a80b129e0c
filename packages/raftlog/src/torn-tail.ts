import { decodeFrameHead, FRAME_HEAD_BYTES, FRAME_MARK, FRAME_OVERHEAD_BYTES, MAX_FRAME_BYTES } from './frame.ts'
import type { CipherSuite, ReadHandle } from './ports.ts'

/** Whether there is nothing but zeros, as they are written ahead of the frames. No frame begins with one. */
export const isZeros = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0)

/**
 * Whether the bytes after the last good frame of the last segment can be what a crash left.
 *
 * One frame at a time is on its way to the disk, so a crash leaves at most one: cut short, in zeros or in patches, and
 * nothing behind it but zeros that were written ahead. It is damage of another kind if a further head lies behind it, if
 * anything else than zeros follows where the broken frame ends, or if more bytes are there than a frame can have. (A
 * first head that follows another tag was refused before.)
 */
export function isTornTail(rest: Uint8Array, suite: CipherSuite): boolean {
  if (rest.length > MAX_FRAME_BYTES) return false
  const head = decodeFrameHead(rest, suite)
  if (head !== null && !isZeros(rest.subarray(FRAME_OVERHEAD_BYTES + head.bodyBytes))) return false
  for (let at = 1; at + FRAME_HEAD_BYTES <= rest.length; at += 1) {
    // The body is sealed, so it holds no such bytes by chance, nor because somebody chose the entries.
    if (rest[at] === FRAME_MARK[0] && decodeFrameHead(rest.subarray(at), suite) !== null) return false
  }
  return true
}

/** Reads what lies after `offset`, as far as {@link isTornTail} needs to see it. */
export const readTail = async (handle: ReadHandle, offset: number): Promise<Uint8Array> =>
  await handle.read(offset, Math.min(handle.sizeBytes - offset, MAX_FRAME_BYTES + 1))
