/** A promise that rejects with the signal's reason, and the way to stop listening. */
interface Abortion extends Disposable {
  readonly aborted: Promise<never>
}

/** Listens to a signal for as long as the scope lives, so that long-lived signals gather no dead listeners. */
export function onAbort(signal: AbortSignal): Abortion {
  let listener: () => void = () => undefined
  const aborted = new Promise<never>((_resolve, reject) => {
    listener = () => {
      reject(signal.reason as Error)
    }
    if (signal.aborted) listener()
    else signal.addEventListener('abort', listener, { once: true })
  })
  // Nobody may be waiting when it happens; that is not an unhandled rejection.
  aborted.catch(() => undefined)
  return {
    aborted,
    [Symbol.dispose]: () => {
      signal.removeEventListener('abort', listener)
    },
  }
}

/** Waits for a promise, but no longer than the signal allows. */
export async function within<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  using abortion = onAbort(signal)
  return await Promise.race([work, abortion.aborted])
}

/** A signal that aborts with any of its parents, and by hand. */
export interface LinkedSignal extends Disposable {
  readonly signal: AbortSignal
  readonly abort: (reason: unknown) => void
}

/** Joins signals. Disposing unhooks it from its parents. */
export function linkSignals(...parents: readonly AbortSignal[]): LinkedSignal {
  const controller = new AbortController()
  const unhook = parents.map((parent) => {
    const listener = (): void => {
      controller.abort(parent.reason)
    }
    if (parent.aborted) listener()
    else parent.addEventListener('abort', listener, { once: true })
    return (): void => {
      parent.removeEventListener('abort', listener)
    }
  })
  return {
    signal: controller.signal,
    abort: (reason) => {
      controller.abort(reason)
    },
    [Symbol.dispose]: () => {
      for (const release of unhook) release()
    },
  }
}

/** Passes values on until the source ends or the signal aborts, even when the source does not heed the signal. */
export async function* until<T>(source: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T, void, void> {
  const iterator = source[Symbol.asyncIterator]()
  let ended = false
  try {
    for (;;) {
      // Each wait is a race of its own: a promise that lasts as long as the stream would hold every value that ever won against it.
      const next = await within(iterator.next(), signal)
      if (next.done === true) {
        ended = true
        return
      }
      yield next.value
    }
  } finally {
    // Not awaited: a source that is stuck in its own wait would hold the caller here.
    if (!ended) void Promise.resolve(iterator.return?.()).catch(() => undefined)
  }
}
