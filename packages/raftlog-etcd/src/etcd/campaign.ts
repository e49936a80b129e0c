import type { Clock } from '@leastwise/raftlog'
import { EtcdLogError } from '../errors.ts'
import { joinSignals, onAbort } from '../joined-signal.ts'
import type { Leadership } from '../shared-log.ts'
import type { EtcdClient } from './etcd.ts'

/** Lease of a leader that does not ask for another one. */
export const LEADERSHIP_TTL_MS = 10_000
/** Shortest lease; etcd counts in seconds, and a change of its leader takes about one. */
export const MIN_LEADERSHIP_TTL_MS = 2000
/** Longest lease. */
export const MAX_LEADERSHIP_TTL_MS = 600_000
// The part of its lease after which a leader that could not renew it stops: clocks do not run at quite the same speed.
const SAFE_PART = 0.8
const RENEWALS = 4
const PAUSE_MS = 250

/** What a campaign works with. */
export interface CampaignParts {
  readonly etcd: EtcdClient
  readonly clock: Clock
  readonly key: string
  readonly name: string
  /** Shown in etcd as the leader. */
  readonly memberId: string
  readonly ttlMs: number
}

const lost = (): EtcdLogError => new EtcdLogError('LEADERSHIP_LOST', 'this manager leads no longer; stop the work')

const isPassing = (error: unknown): boolean =>
  error instanceof EtcdLogError && (error.code === 'ETCD_UNREACHABLE' || error.code === 'ETCD_COMPACTED')

const isRefused = (error: unknown): boolean => error instanceof EtcdLogError && error.code === 'ETCD_REFUSED'

interface Won {
  readonly lease: bigint
  readonly revision: bigint
  /** When the lease was asked for; it cannot end earlier than its duration after that. */
  readonly since: number
  readonly ttlMs: number
}

/**
 * Waits for the key to be free, and takes it under a lease.
 *
 * @throws RangeError if the lease is too short or too long.
 */
export async function campaign(parts: CampaignParts, signal: AbortSignal, closing: AbortSignal): Promise<Leadership> {
  const { ttlMs, clock } = parts
  if (!(ttlMs >= MIN_LEADERSHIP_TTL_MS && ttlMs <= MAX_LEADERSHIP_TTL_MS)) {
    throw new RangeError(`a lease lasts ${MIN_LEADERSHIP_TTL_MS} to ${MAX_LEADERSHIP_TTL_MS} ms, not ${ttlMs}`)
  }
  using joined = joinSignals(signal, closing)
  const ends = joined.signal
  for (;;) {
    try {
      const won = await takeOrWait(parts, ends)
      if (won !== null) return lead(parts, won, closing)
    } catch (error) {
      ends.throwIfAborted()
      if (!isPassing(error)) throw error
      await clock.sleep(PAUSE_MS, { signal: ends })
    }
  }
}

async function takeOrWait(parts: CampaignParts, signal: AbortSignal): Promise<Won | null> {
  const { etcd, key } = parts
  const seen = await etcd.range({ key }, { signal })
  if (seen.kvs.length === 0) return await take(parts, signal)
  const waiting = new AbortController()
  using joined = joinSignals(signal, waiting.signal)
  try {
    for await (const { events } of etcd.watch({ key }, seen.revision + 1n, { signal: joined.signal })) {
      if (events.some(({ kind }) => kind === 'delete')) return null
    }
    return null
  } finally {
    waiting.abort()
  }
}

async function take({ etcd, clock, key, memberId, ttlMs }: CampaignParts, signal: AbortSignal): Promise<Won | null> {
  const since = clock.now()
  const granted = await etcd.grantLease(ttlMs, { signal })
  let kept = false
  try {
    const value = new TextEncoder().encode(memberId)
    const request = {
      compare: [{ key, target: 'createRevision', is: '=', value: 0n } as const],
      success: [{ kind: 'put', key, value, lease: granted.lease } as const],
    }
    const unsure = await etcd.txn(request, { signal }).catch(async (error: unknown) => {
      if (isPassing(error)) return null
      // This manager may have slept for longer than the lease lasts, and etcd takes nothing under one that has ended.
      if (isRefused(error) && (await etcd.keepLease(granted.lease, { signal })) === 0) return null
      throw error
    })
    if (unsure?.succeeded === false) return null
    // Read back in any case: a lost answer may have been a yes, and the lease belongs to nobody else.
    const found = (await etcd.range({ key }, { signal })).kvs[0]
    if (found?.lease !== granted.lease) return null
    kept = true
    return { lease: granted.lease, revision: found.createRevision, since, ttlMs: granted.ttlMs }
  } finally {
    // Whatever was put under it, or may still be, goes with it.
    if (!kept) await etcd.revokeLease(granted.lease, { signal }).catch(() => undefined)
  }
}

function lead({ etcd, clock, name }: CampaignParts, won: Won, closing: AbortSignal): Leadership {
  const control = new AbortController()
  const { signal } = control
  let until = won.since + won.ttlMs * SAFE_PART

  const stop = (reason: Error): void => {
    ending[Symbol.dispose]()
    control.abort(reason)
  }
  /**
   * Ends the leadership after a time, unless it is aborted before. It does not depend on an answer: a renewal that hangs
   * keeps nobody in office. Nor does it on the time of day, which may be set back.
   */
  const countDown = (ms: number): AbortController => {
    const counting = new AbortController()
    const run = async (): Promise<void> => {
      using joined = joinSignals(signal, counting.signal)
      await clock.sleep(ms, { signal: joined.signal })
      stop(lost())
    }
    void run().catch(() => undefined)
    return counting
  }
  const ending = onAbort(closing, () => {
    control.abort(lost())
  })
  const longest = won.ttlMs * SAFE_PART
  let term = countDown(Math.max(0, Math.min(until - clock.now(), longest)))

  const renew = async (): Promise<void> => {
    while (!signal.aborted) {
      await clock.sleep(won.ttlMs / RENEWALS, { signal })
      const sent = clock.now()
      // The machine may have slept, and the countdown with it.
      if (sent >= until) stop(lost())
      signal.throwIfAborted()
      const next = countDown(longest)
      try {
        const ttlMs = await etcd.keepLease(won.lease, { signal })
        if (ttlMs > 0) {
          until = sent + ttlMs * SAFE_PART
          term.abort()
          term = next
          continue
        }
        stop(lost())
      } catch (error) {
        if (!isPassing(error)) stop(lost())
      }
      next.abort()
    }
  }
  // It ends with the leadership, by its own signal.
  void renew().catch(() => undefined)

  let resigning: Promise<void> | null = null
  const resign = async (): Promise<void> => {
    stop(lost())
    // If etcd cannot be reached, the lease ends by itself.
    await etcd.revokeLease(won.lease, { signal: closing }).catch(() => undefined)
  }
  const once = async (): Promise<void> => {
    await (resigning ??= resign())
  }
  return { name, revision: won.revision, signal, resign: once, [Symbol.asyncDispose]: once }
}
