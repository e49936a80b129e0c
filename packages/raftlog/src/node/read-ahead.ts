import type { ReadHandle } from '../ports.ts'

/** Fills `into` with what stands at `offset`; resolves to how many bytes there were. */
export type FillFrom = (into: Uint8Array, offset: number) => Promise<number>

/** How much is read ahead: what one read of a log that is replayed asks for. */
export const AHEAD_BYTES: number = 1024 * 1024
// Room in front of it, for the rest of the read before: a frame is seldom larger.
const ROOM_BYTES = AHEAD_BYTES

/** A stretch of the file in memory: `length` bytes from `offset`, which stand `at` in the buffer. */
interface Stretch {
  readonly buffer: Uint8Array<ArrayBuffer>
  readonly at: number
  readonly offset: number
  readonly length: number
}

const end = ({ offset, length }: Stretch): number => offset + length

/**
 * A place for one buffer that nobody looks at any more, for the next file: a replay goes through many, and those of
 * closed files would stay until a collection that may be far away.
 */
export interface SpareBuffer {
  buffer: Uint8Array<ArrayBuffer> | null
}

/**
 * Reads a file, and what follows as well while the reader is at work, once it goes on where it stopped. Two buffers
 * serve all reads: fresh memory for each would cost more than the reading.
 */
export function readAhead(
  sizeBytes: number,
  fill: FillFrom,
  left: SpareBuffer = { buffer: null },
): {
  readonly read: ReadHandle['read']
  /** Resolves when nothing is being read any more; there may be no further read then. */
  readonly settled: () => Promise<void>
} {
  let held: Stretch = { buffer: new Uint8Array(0), at: 0, offset: 0, length: 0 }
  let spare = new Uint8Array(0)
  let lastLength = 0
  // Null if the read failed: whoever needs these bytes reads again and learns why.
  let ahead: Promise<Stretch | null> | null = null

  const sized = (buffer: Uint8Array<ArrayBuffer>, length: number): Uint8Array<ArrayBuffer> => {
    if (buffer.length >= length) return buffer
    const { buffer: found } = left
    if (found === null || found.length < length) return new Uint8Array(length)
    left.buffer = null
    return found
  }

  const begin = (): void => {
    const offset = end(held)
    const length = Math.min(AHEAD_BYTES, sizeBytes - offset)
    if (length <= 0) return
    const buffer = sized(spare, ROOM_BYTES + AHEAD_BYTES)
    spare = buffer
    ahead = fill(buffer.subarray(ROOM_BYTES, ROOM_BYTES + length), offset).then(
      (filled) => ({ buffer, at: ROOM_BYTES, offset, length: filled }),
      () => null,
    )
  }

  /** Takes what was read ahead, with the rest of what is held in front of it. */
  const join = (next: Stretch, offset: number): void => {
    const rest = end(held) - offset
    const from = held.at + offset - held.offset
    const at = next.at - rest
    next.buffer.set(held.buffer.subarray(from, from + rest), at)
    spare = held.buffer
    held = { buffer: next.buffer, at, offset, length: rest + next.length }
  }

  const load = async (offset: number, length: number): Promise<void> => {
    const next = await ahead
    ahead = null
    const rest = end(held) - offset
    if (next !== null && offset >= held.offset && rest >= 0 && rest <= ROOM_BYTES && length <= rest + AHEAD_BYTES) {
      join(next, offset)
      return
    }
    // Where what is read ahead will stand, so that the same memory serves for it.
    const at = length === AHEAD_BYTES ? ROOM_BYTES : 0
    const buffer = sized(spare, at + length)
    spare = new Uint8Array(0)
    const filled = await fill(buffer.subarray(at, at + length), offset)
    spare = held.buffer
    held = { buffer, at, offset, length: filled }
  }

  return {
    read: async (offset, length) => {
      const goesOn = lastLength >= AHEAD_BYTES && offset > held.offset && offset <= end(held)
      lastLength = length
      if (offset < held.offset || offset + length > end(held)) await load(offset, length)
      if (goesOn && ahead === null) begin()
      const at = held.at + offset - held.offset
      return held.buffer.subarray(at, at + Math.min(length, end(held) - offset))
    },
    settled: async () => {
      await ahead
      // What is held stays out of it: somebody may still look at what the last read gave.
      if (spare.length === ROOM_BYTES + AHEAD_BYTES) left.buffer = spare
      spare = new Uint8Array(0)
    },
  }
}
