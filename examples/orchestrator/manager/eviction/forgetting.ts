import type { Announce } from '../../announce.ts'
import { codeOf } from '../../errors.ts'
import type { Store } from '../store.ts'

/** Entries end on the hour. */
export const FORGET_EVERY_MS = 3_600_000

export interface ForgettingOptions {
  readonly store: Store
  readonly now: () => number
  readonly sleep: (ms: number, options: { readonly signal: AbortSignal }) => Promise<void>
  readonly announce: Announce
}

/**
 * Takes evictions that have ended out of the log's state, at the start and every hour, whether somebody is evicted or not. Where nothing has ended, nothing is
 * written; of several managers that look at the same time one writes.
 *
 * @throws the reason of `signal`.
 */
export async function forgetEnded(
  { store, now, sleep, announce }: ForgettingOptions,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    signal.throwIfAborted()
    const at = now()
    try {
      await store.commit(() => [
        { part: 'membership', command: { type: 'prune', now: at } },
        { part: 'operators', command: { type: 'prune', now: at } },
        { part: 'evictions', command: { type: 'forget-ended', now: at } },
        { part: 'issuers', command: { type: 'forget-ended', now: at } },
      ])
    } catch (error) {
      announce({ event: 'forgetting-delayed', code: codeOf(error) ?? 'INTERNAL' })
    }
    await sleep(FORGET_EVERY_MS, { signal })
  }
}
