import { LRUCache } from 'lru-cache'
import type { Clock, DataKeyCache } from '../ports.ts'

/** How many data keys stay unwrapped, and for how long after they were last unwrapped. */
export interface DataKeyCacheOptions {
  /** At least 1; two serve a rotation. */
  readonly maxKeys: number
  /** At least 1. */
  readonly maxAgeMs: number
  readonly clock: Clock
}

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 1

/**
 * A cache of unwrapped data keys that wipes each key as it leaves.
 *
 * @throws RangeError if `maxKeys` or `maxAgeMs` is no whole number of at least 1.
 */
export function dataKeyCache({ maxKeys, maxAgeMs, clock }: DataKeyCacheOptions): DataKeyCache {
  // To the cache below, 0 and NaN mean "without an end".
  if (!isCount(maxKeys)) throw new RangeError('maxKeys must be a whole number of at least 1')
  if (!isCount(maxAgeMs)) throw new RangeError('maxAgeMs (keyMaxAgeMs of a log) must be a whole number of at least 1')
  const cache = new LRUCache<string, Uint8Array>({
    max: maxKeys,
    ttl: maxAgeMs,
    // Each look at an entry asks the given clock: no timer of the cache's own may keep an old instant.
    ttlResolution: 0,
    perf: { now: clock.now },
    dispose: (key) => {
      key.fill(0)
    },
    noDisposeOnSet: false,
  })
  return {
    get: (id) => cache.get(id),
    set: (id, key) => {
      cache.set(id, key)
    },
    delete: (id) => {
      cache.delete(id)
    },
    clear: () => {
      cache.clear()
    },
  }
}
