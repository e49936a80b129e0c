/** A request that something be done now, which waits until somebody asks for it. */
export interface Poke {
  /** Asks; asking again before {@link Poke.wake} was answered changes nothing. */
  readonly poke: () => void
  /** Resolves once when asked, at once when that was before; an aborted wait uses nothing up. Meant for one waiter. */
  readonly wake: (options: { readonly signal: AbortSignal }) => Promise<void>
}

/** A {@link Poke} for the `wake` port of {@link renewals}: an operator, or a session that says "rotate", calls `poke`. */
export function createPoke(): Poke {
  let asked = false
  let answer: (() => void) | null = null
  return {
    poke: () => {
      asked = true
      answer?.()
    },
    wake: async ({ signal }) => {
      signal.throwIfAborted()
      if (!asked) {
        let mine: () => void = () => undefined
        await new Promise<void>((resolve) => {
          mine = resolve
          answer = mine
          signal.addEventListener('abort', mine, { once: true })
        })
        signal.removeEventListener('abort', mine)
        // The next wait may have begun already.
        if (answer === mine) answer = null
        signal.throwIfAborted()
      }
      asked = false
    },
  }
}
