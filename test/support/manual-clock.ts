/** A clock that moves only when told to; sleepers wake in the order of their instants. Starts well away from zero. */
export interface ManualClock {
  readonly now: () => number
  readonly sleep: (ms: number, options: { readonly signal: AbortSignal }) => Promise<void>
  /** Moves time forward and lets every sleeper that became due run, one after the other. */
  readonly advance: (ms: number) => Promise<void>
  readonly sleepers: () => number
}

interface Sleeper {
  readonly due: number
  readonly wake: () => void
}

export function manualClock(start: number = Date.UTC(2026, 10, 21, 12)): ManualClock {
  let now = start
  const sleepers: Sleeper[] = []
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn += 1) await new Promise<void>((resolve) => setImmediate(resolve))
  }
  return {
    now: () => now,
    sleepers: () => sleepers.length,
    sleep: async (ms, { signal }) => {
      signal.throwIfAborted()
      await new Promise<void>((resolve, reject) => {
        const stop = (): void => {
          const at = sleepers.indexOf(sleeper)
          if (at >= 0) sleepers.splice(at, 1)
          reject(signal.reason as Error)
        }
        const wake = (): void => {
          signal.removeEventListener('abort', stop)
          resolve()
        }
        const sleeper: Sleeper = { due: now + ms, wake }
        sleepers.push(sleeper)
        signal.addEventListener('abort', stop, { once: true })
      })
    },
    advance: async (ms) => {
      const until = now + ms
      await settle()
      for (;;) {
        const next = sleepers.filter((sleeper) => sleeper.due <= until).sort((a, b) => a.due - b.due)[0]
        if (next === undefined) break
        sleepers.splice(sleepers.indexOf(next), 1)
        now = Math.max(now, next.due)
        next.wake()
        await settle()
      }
      now = until
    },
  }
}
