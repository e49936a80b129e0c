/** A turn of the event loop, and how long the last one took. */
export interface LoopTurn {
  /** Resolves after everything that was ready has run. */
  readonly take: () => Promise<void>
  /** Whether the last turn found next to nothing to do: nobody is kept waiting by a short block. */
  readonly wasIdle: () => boolean
}

// An empty turn takes some 10 to 30 µs; one that served a request or two takes longer than this.
const IDLE_TURN_MS = 0.1

export function loopTurn(now: () => number = () => performance.now()): LoopTurn {
  let lastMs = Number.POSITIVE_INFINITY
  return {
    take: async () => {
      const began = now()
      await new Promise<void>((resolve) => {
        setImmediate(resolve)
      })
      lastMs = now() - began
    },
    wasIdle: () => lastMs <= IDLE_TURN_MS,
  }
}
