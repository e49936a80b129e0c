import type { ReadHandle } from '../ports.ts'

// Large enough that a read costs little beside the decryption of what it brings, small enough to stay in a cache.
const WINDOW_BYTES = 1024 * 1024

/** A file seen through a window that slides forward: one read for many frames. */
export interface ByteWindow {
  /** A view of these bytes if the window holds them. It is valid until the next `load`. */
  readonly peek: (offset: number, length: number) => Uint8Array | null
  /** Moves the window; shorter than asked for only at the end of the file. */
  readonly load: (offset: number, length: number) => Promise<Uint8Array>
}

export function byteWindow(handle: ReadHandle, limit: number): ByteWindow {
  let held: Uint8Array = new Uint8Array(0)
  let start = 0
  return {
    peek: (offset, length) =>
      offset >= start && offset + length <= start + held.length
        ? held.subarray(offset - start, offset - start + length)
        : null,
    load: async (offset, length) => {
      held = await handle.read(offset, Math.min(Math.max(length, WINDOW_BYTES), limit - offset))
      start = offset
      return held.subarray(0, length)
    },
  }
}
