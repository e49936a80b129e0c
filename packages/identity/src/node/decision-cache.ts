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
  /** When it was decided, and until when it holds; both belong to it. A clock that is set back leaves this period too. */
  readonly from: number
  readonly to: number
}

/** A bounded {@link DecisionCache}. A decision may be any value but `undefined`; it is handed out as it is. */
export function createDecisionCache<Decision>(options: DecisionCacheOptions<Decision>): DecisionCache<Decision> {
  const { max, ttlMs, clock, expiresAt } = options
  // Without the cache's own times: they end by a clock that only goes forward.
  const kept = new LRUCache<string, Kept<Decision>>({ max })
  return {
    recall: (key, epoch, decide) => {
      const found = kept.get(key)
      const now = clock.now()
      if (found?.epoch === epoch && found.from <= now && now <= found.to) return found.decision
      // What is thrown now must not uncover what was decided before.
      if (found !== undefined) kept.delete(key)
      const decision = decide()
      const leftMs = expiresAt === undefined ? ttlMs : Math.min(ttlMs, expiresAt(decision) - now)
      if (leftMs > 0) kept.set(key, { epoch, decision, from: now, to: now + leftMs })
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
