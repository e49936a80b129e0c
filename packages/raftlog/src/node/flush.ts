import { fdatasync, fdatasyncSync } from 'node:fs'
import { performance } from 'node:perf_hooks'
import { promisify } from 'node:util'

const datasync = promisify(fdatasync)

/** The longest that the event loop may be held up by a flush. */
const MAX_BLOCK_MS = 1
// A disk that was once slow must be quick as often in a row before it is trusted again.
const QUICK_IN_A_ROW = 8
// Of so many flushes one goes to another thread, to see what the event loop does meanwhile.
const FLUSHES_A_LOOK = 16
// How much of a flush the loop may have been busy with something else for it to count as idle.
const MAX_BUSY_SHARE = 0.2

/** What a flush is given to decide with. */
export interface FlushParts {
  /** A monotonic clock in milliseconds. */
  readonly now?: () => number
  /** How long the event loop has waited for something to do so far, in milliseconds. */
  readonly idleMs?: () => number
}

/**
 * Flushes file data to stable storage, on another thread or on this one.
 *
 * The way through the thread pool and back costs 50 to 200 µs, which is nothing beside a disk that takes milliseconds, and as
 * much as the flush itself where that takes 200 µs. So a flush blocks if it keeps nobody waiting: the last ones all took less than a
 * millisecond, and while the last one on another thread was under way the loop had nothing else to do. Every sixteenth goes
 * there to look again.
 */
export function flusher({
  now = () => performance.now(),
  idleMs = () => performance.eventLoopUtilization().idle,
}: FlushParts = {}): (fd: number) => Promise<void> {
  let quick = 0
  let mayBlock = 0
  return async (fd) => {
    const began = now()
    if (quick >= QUICK_IN_A_ROW && mayBlock > 0) {
      mayBlock -= 1
      fdatasyncSync(fd)
    } else {
      const idleBefore = idleMs()
      await datasync(fd)
      const tookMs = now() - began
      const busyMs = tookMs - (idleMs() - idleBefore)
      mayBlock = busyMs <= MAX_BUSY_SHARE * tookMs ? FLUSHES_A_LOOK - 1 : 0
    }
    quick = now() - began <= MAX_BLOCK_MS ? quick + 1 : 0
  }
}
