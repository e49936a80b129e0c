/** A signal that follows several others until it is disposed. */
export interface JoinedSignal extends Disposable {
  readonly signal: AbortSignal
}

/** Those that follow one signal. */
interface Followers {
  readonly all: Set<{ readonly run: () => void }>
  readonly tell: () => void
}

const followers = new WeakMap<AbortSignal, Followers>()

function follow(signal: AbortSignal): Followers {
  const all: Followers['all'] = new Set()
  const tell = (): void => {
    for (const { run } of [...all]) run()
  }
  signal.addEventListener('abort', tell, { once: true })
  return { all, tell }
}

/**
 * Calls `run` when a signal is aborted, at once if it is already, until it is disposed. A signal has one listener for all
 * of these: many readers of one log are no leak, and Node would warn of one.
 */
export function onAbort(signal: AbortSignal, run: () => void): Disposable {
  if (signal.aborted) run()
  const known = followers.get(signal) ?? follow(signal)
  followers.set(signal, known)
  const mine = { run }
  known.all.add(mine)
  return {
    [Symbol.dispose]: () => {
      known.all.delete(mine)
      if (known.all.size > 0 || followers.get(signal) !== known) return
      followers.delete(signal)
      signal.removeEventListener('abort', known.tell)
    },
  }
}

/**
 * Joins signals for the time of one operation. `AbortSignal.any` would do, but some of these live as long as the
 * process, and what it hangs on them stays there.
 */
export function joinSignals(...signals: readonly (AbortSignal | undefined)[]): JoinedSignal {
  const control = new AbortController()
  const followed = signals.flatMap((signal) => {
    if (signal === undefined) return []
    return [
      onAbort(signal, () => {
        control.abort(signal.reason)
      }),
    ]
  })
  return {
    signal: control.signal,
    [Symbol.dispose]: () => {
      for (const each of followed) each[Symbol.dispose]()
    },
  }
}
