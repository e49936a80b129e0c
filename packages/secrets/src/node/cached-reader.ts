import { LRUCache } from 'lru-cache'
import type { Clock, SecretReader } from '../ports.ts'
import type { Secret } from '../secret.ts'

/** Options of {@link cachedReader}. */
export interface CachedReaderOptions {
  /** How long a value is kept, in milliseconds, more than 0. A value that was changed at its source is seen after this at the latest. */
  readonly ttlMs: number
  /** Sum of the kept values' sizes in bytes, more than 0. A value larger than this is never kept. */
  readonly maxBytes: number
  readonly clock: Pick<Clock, 'now'>
}

/** A reader with a memory that is bounded in size and time. */
export interface CachedReader extends SecretReader, Disposable {
  /** Wipes the kept value of one id, so that the next read asks the source. */
  readonly forget: (id: string) => void
  /** Number of values kept, expired ones included until they are looked at. */
  readonly size: () => number
}

/**
 * Keeps what a slow reader gave: an external store asked over the network for each start of a task.
 *
 * Every kept value is wiped when it is pushed out, expires and is looked at, is forgotten, or the reader is disposed. A failed
 * read is not kept.
 *
 * @throws RangeError if a limit is not a positive whole number.
 */
export function cachedReader(reader: SecretReader, { ttlMs, maxBytes, clock }: CachedReaderOptions): CachedReader {
  for (const limit of [ttlMs, maxBytes]) {
    if (!Number.isSafeInteger(limit) || limit < 1)
      throw new RangeError('expected ttlMs and maxBytes as positive whole numbers')
  }
  let open = true
  const kept = new LRUCache<string, Secret>({
    maxSize: maxBytes,
    sizeCalculation: (secret) => Math.max(1, secret.sizeBytes),
    ttl: ttlMs,
    // The cache would otherwise remember "now" with a timer of its own, and takes 0 for "no time given".
    ttlResolution: 0,
    perf: { now: () => clock.now() + 1 },
    dispose: (secret) => {
      secret[Symbol.dispose]()
    },
  })
  const close = (): void => {
    open = false
    kept.clear()
  }
  return {
    read: async (id, options) => {
      options.signal.throwIfAborted()
      const hit = kept.get(id)
      if (hit !== undefined) return hit.clone()
      const secret = await reader.read(id, options)
      if (!open || secret.sizeBytes > maxBytes) return secret
      kept.set(id, secret.clone())
      return secret
    },
    forget: (id) => {
      kept.delete(id)
    },
    size: () => kept.size,
    [Symbol.dispose]: close,
  }
}
