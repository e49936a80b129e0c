import { RaftLogError } from '../errors.ts'

/** Takes exact lengths from bytes that come in pieces of any size. */
export interface ByteFeed {
  /** The next `length` bytes, in a fresh array. `BACKUP_TRUNCATED` if there are fewer. */
  readonly take: (length: number) => Promise<Uint8Array<ArrayBuffer>>
  /** Whether nothing follows. */
  readonly isAtEnd: () => Promise<boolean>
  /** Lets the source go. */
  readonly close: () => Promise<void>
}

/** Holds one piece of the source at a time, and what was asked for. */
export function byteFeed(source: AsyncIterable<Uint8Array>, signal?: AbortSignal): ByteFeed {
  const pieces = source[Symbol.asyncIterator]()
  let piece: Uint8Array = new Uint8Array(0)
  let isDone = false
  const refill = async (): Promise<void> => {
    while (piece.length === 0 && !isDone) {
      signal?.throwIfAborted()
      const next = await pieces.next()
      if (next.done === true) isDone = true
      else piece = next.value
    }
  }
  return {
    take: async (length) => {
      const parts: Uint8Array[] = []
      for (let missing = length; missing > 0; ) {
        await refill()
        if (isDone) throw new RaftLogError('BACKUP_TRUNCATED', 'backup ends too early; use a whole copy')
        const part = new Uint8Array(piece.subarray(0, missing))
        parts.push(part)
        piece = piece.subarray(part.length)
        missing -= part.length
      }
      const out = new Uint8Array(length)
      let at = 0
      for (const part of parts) {
        out.set(part, at)
        at += part.length
      }
      return out
    },
    isAtEnd: async () => {
      await refill()
      return isDone
    },
    close: async () => {
      if (!isDone) await pieces.return?.()
      isDone = true
    },
  }
}
