/** A signal that aborts with another one, or when the time is over. */
export interface Deadline extends Disposable {
  readonly signal: AbortSignal
}

/** `AbortSignal.any` over an `AbortSignal.timeout` would be shorter, and may never abort: nothing holds the latter, and Node lets it go together with its timer. */
export function deadlineOf(signal: AbortSignal, waitMs: number): Deadline {
  const over = new AbortController()
  const end = (): void => {
    over.abort(signal.aborted ? signal.reason : new DOMException('the time is over', 'TimeoutError'))
  }
  const timer = setTimeout(end, waitMs)
  if (signal.aborted) end()
  else signal.addEventListener('abort', end, { once: true })
  return {
    signal: over.signal,
    [Symbol.dispose]: () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
    },
  }
}
