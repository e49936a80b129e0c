import { LRUCache } from 'lru-cache'
import type { Clock, DataKeyCache } from '../ports.ts'

/** How many data keys stay unwrapped, and for how long after they were last unwrapped. */
export interface DataKeyCacheOptions {
  /** At least 1; two serve a rotation. */
  readonly maxKeys: number
  readonly maxAgeMs: number
  readonly clock: Clock
}

/** A cache of unwrapped data keys that wipes each key as it leaves. */
export function dataKeyCache({ maxKeys, maxAgeMs, clock }: DataKeyCacheOptions): DataKeyCache {
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
