import { MAX_REGISTRATIONS, REGISTRATION_WINDOW_MS } from '../manager/sessions.ts'

/** When a node has registered of late. Instants are epoch milliseconds of its own clock. */
export interface RegistrationPace {
  /** Notes that a manager has taken a registration, when its answer is here. */
  readonly note: (now: number) => void
  /** How long to wait until a manager takes the next one, in milliseconds, at most {@link REGISTRATION_WINDOW_MS}. */
  readonly pauseMs: (now: number) => number
}

/**
 * Keeps a node that has something new to report within the manager's limit ({@link MAX_REGISTRATIONS}): refused, it would have lost the session that it
 * has, and be without one for seconds. A root rotation alone makes a node register three times.
 */
export function createRegistrationPace(): RegistrationPace {
  const latest: number[] = []
  return {
    note: (now) => {
      latest.push(now)
      if (latest.length > MAX_REGISTRATIONS) latest.shift()
    },
    pauseMs: (now) => {
      const [oldest] = latest
      if (oldest === undefined || latest.length < MAX_REGISTRATIONS) return 0
      return Math.min(REGISTRATION_WINDOW_MS, Math.max(0, oldest + REGISTRATION_WINDOW_MS - now))
    },
  }
}
