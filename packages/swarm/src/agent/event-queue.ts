/** Events on their way from the agent's loops to the caller that iterates. */
export interface EventQueue<T> {
  readonly push: (event: T) => void
  /** Ends the iteration once everything pushed has been taken; with an error, it throws then. */
  readonly close: (failure?: { readonly error: unknown }) => void
  readonly drain: () => AsyncGenerator<T, void, void>
}

/** An empty queue for one reader. */
export function createEventQueue<T>(): EventQueue<T> {
  const waiting: T[] = []
  let ended: { readonly failure: { readonly error: unknown } | null } | null = null
  let wake: () => void = () => undefined
  return {
    push: (event) => {
      waiting.push(event)
      wake()
    },
    close: (failure) => {
      ended ??= { failure: failure ?? null }
      wake()
    },
    drain: async function* () {
      for (;;) {
        for (let event = waiting.shift(); event !== undefined; event = waiting.shift()) yield event
        if (ended !== null) {
          if (ended.failure !== null) throw ended.failure.error
          return
        }
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    },
  }
}
