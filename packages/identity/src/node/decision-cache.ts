import { LRUCache } from 'lru-cache'
import type { Clock } from '../ports.ts'

/** How much a {@link DecisionCache} keeps, and for how long. */
export interface DecisionCacheOptions<Decision> {
  /** Most decisions kept; the least recently used one goes first. */
  readonly max: number
  /** Longest time for which a decision is reused, in milliseconds. */
  readonly ttlMs: number
  readonly clock: Pick<Clock, 'now'>
  /** Instant from which a decision no longer holds, such as the end of the certificate; epoch milliseconds. */
  readonly expiresAt?: (decision: Decision) => number
}

/** Remembers decisions about peers: what was decided under one epoch is never given under another. */
export interface DecisionCache<Decision> {
  /**
   * The decision about `key` under `epoch`: the remembered one, or what `decide` gives. What `decide` throws is thrown and not remembered,
   * so a refusal is always a fresh one.
   *
   * @param key - Fingerprint of the peer's certificate, with whatever else the decision depends on.
   * @param epoch - A number that the host changes whenever trust, roles or membership change.
   */
  readonly recall: (key: string, epoch: number, decide: () => Decision) => Decision
  /** Forgets everything. */
  readonly clear: () => void
  readonly size: number
}

interface Kept<Decision> {
  readonly epoch: number
  readonly decision: Decision
}

/** A bounded {@link DecisionCache}. A decision may be any value but `undefined`; it is handed out as it is. */
export function createDecisionCache<Decision>(options: DecisionCacheOptions<Decision>): DecisionCache<Decision> {
  const { max, ttlMs, clock, expiresAt } = options
  const kept = new LRUCache<string, Kept<Decision>>({
    max,
    ttl: ttlMs,
    // The clock is asked each time: a cached instant would be reset by a real timer and not by the clock that was given.
    ttlResolution: 0,
    perf: { now: clock.now },
  })
  return {
    recall: (key, epoch, decide) => {
      const found = kept.get(key)
      if (found?.epoch === epoch) return found.decision
      const decision = decide()
      const leftMs = expiresAt === undefined ? ttlMs : Math.min(ttlMs, expiresAt(decision) - clock.now())
      // A ttl of 0 would mean "for ever" to the cache.
      if (leftMs > 0) kept.set(key, { epoch, decision }, { ttl: leftMs })
      else kept.delete(key)
      return decision
    },
    clear: () => {
      kept.clear()
    },
    get size() {
      return kept.size
    },
  }
}
