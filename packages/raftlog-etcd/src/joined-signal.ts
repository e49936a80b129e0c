/** A signal that follows several others until it is disposed. */
export interface JoinedSignal extends Disposable {
  readonly signal: AbortSignal
}

/**
 * Joins signals for the time of one operation. `AbortSignal.any` would do, but some of these live as long as the
 * process, and what it hangs on them stays there.
 */
export function joinSignals(...signals: readonly (AbortSignal | undefined)[]): JoinedSignal {
  const control = new AbortController()
  const followed = signals.flatMap((signal) => {
    if (signal === undefined) return []
    const onAbort = (): void => {
      control.abort(signal.reason)
    }
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
    return [{ signal, onAbort }]
  })
  return {
    signal: control.signal,
    [Symbol.dispose]: () => {
      for (const { signal, onAbort } of followed) signal.removeEventListener('abort', onAbort)
    },
  }
}
