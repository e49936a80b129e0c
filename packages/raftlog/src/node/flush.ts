import { fdatasync, fdatasyncSync } from 'node:fs'
import { promisify } from 'node:util'

const datasync = promisify(fdatasync)

/** The longest that the event loop may be held up by a flush. */
const MAX_BLOCK_MS = 1
// A disk that was once slow must be quick as often in a row before it is trusted again.
const QUICK_IN_A_ROW = 8

/** What a flush is given to decide with. */
export interface FlushParts {
  /** Whether the event loop has nothing else to do at the moment. */
  readonly isIdle: () => boolean
  /** A monotonic clock in milliseconds. */
  readonly now?: () => number
}

/**
 * Flushes file data to stable storage, on another thread or on this one.
 *
 * The way through the thread pool costs about 50 µs, which is nothing beside a disk that takes milliseconds, and a
 * quarter of the whole where it takes 150 µs. So a flush blocks if all of this holds: one append alone waits for it, the
 * event loop is idle, and the last flushes all took less than a millisecond.
 */
export function flusher({
  isIdle,
  now = () => performance.now(),
}: FlushParts): (fd: number, options?: { readonly alone: boolean }) => Promise<void> {
  let quick = 0
  return async (fd, options) => {
    const began = now()
    if (options?.alone === true && quick >= QUICK_IN_A_ROW && isIdle()) fdatasyncSync(fd)
    else await datasync(fd)
    quick = now() - began <= MAX_BLOCK_MS ? quick + 1 : 0
  }
}
