import type { Clock } from '../ports.ts'

/** What {@link sleepOrWake} works with. */
export interface SleepOptions {
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Resolves when the sleep is to end early. */
  readonly wake?: ((options: { readonly signal: AbortSignal }) => Promise<void>) | undefined
}

/** Why a sleep ended. */
export type Woken = 'woken' | 'slept'

/** One slice of sleep, cut short by `wake`. Whichever loses is cancelled, so no timer and no waiter outlives the slice. */
export async function sleepOrWake(ms: number, { clock, signal, wake }: SleepOptions): Promise<Woken> {
  signal.throwIfAborted()
  const slice = new AbortController()
  const stop = (): void => {
    slice.abort(signal.reason)
  }
  signal.addEventListener('abort', stop, { once: true })
  const slept = clock.sleep(ms, { signal: slice.signal }).then((): Woken => 'slept')
  try {
    if (wake === undefined) return await slept
    return await Promise.race([slept, wake({ signal: slice.signal }).then((): Woken => 'woken')])
  } finally {
    signal.removeEventListener('abort', stop)
    slice.abort()
  }
}
