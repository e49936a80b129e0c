import { decodeFrameHead, FRAME_MARK, FRAME_OVERHEAD_BYTES, isIntact, MAX_FRAME_BYTES } from './frame.ts'
import type { CipherSuite, ReadHandle } from './ports.ts'

/**
 * Whether the bytes after the last good frame of the last segment can be what a crash left.
 *
 * One frame at a time is on its way to the disk, so a crash leaves at most one, at the very end: cut short, in zeros or
 * in patches. It is damage of another kind if an intact frame lies further on, if the broken frame ends before the
 * file does, or if more bytes are there than a frame can have.
 */
export function isTornTail(rest: Uint8Array, suite: CipherSuite): boolean {
  if (rest.length > MAX_FRAME_BYTES) return false
  const head = decodeFrameHead(rest, suite)
  if (head !== null && FRAME_OVERHEAD_BYTES + head.bodyBytes < rest.length) return false
  for (let at = 1; at + FRAME_OVERHEAD_BYTES <= rest.length; at += 1) {
    if (rest[at] === FRAME_MARK[0] && beginsWithFrame(rest.subarray(at), suite)) return false
  }
  return true
}

function beginsWithFrame(bytes: Uint8Array, suite: CipherSuite): boolean {
  const head = decodeFrameHead(bytes, suite)
  if (head === null) return false
  const length = FRAME_OVERHEAD_BYTES + head.bodyBytes
  return length <= bytes.length && isIntact(bytes.subarray(0, length), suite)
}

/** Reads what lies after `offset`, as far as {@link isTornTail} needs to see it. */
export const readTail = async (handle: ReadHandle, offset: number): Promise<Uint8Array> =>
  await handle.read(offset, Math.min(handle.sizeBytes - offset, MAX_FRAME_BYTES + 1))
