import type { NodeCredentials } from '../agent/events.ts'
import type { Clock } from '../ports.ts'
import { CALL_TIMEOUT_MS, type ManagerLink, openManagerLink } from './manager-link.ts'

/** The connections of one session to one manager. */
export interface SessionLinks extends Disposable {
  /** Carries the streams; keeps the identity that the session began with. */
  readonly streams: ManagerLink
  /** Carries the short calls, always under the newest identity. */
  readonly calls: () => ManagerLink
}

/** What {@link openSessionLinks} works with. */
export interface SessionLinksOptions {
  readonly address: string
  readonly current: () => NodeCredentials
  readonly bridgesOf: (credentials: NodeCredentials) => readonly string[]
  readonly clock: Pick<Clock, 'sleep'>
}

/** Prepares the connections of a session; a second one is opened only after a renewal. */
export function openSessionLinks({ address, current, bridgesOf, clock }: SessionLinksOptions): SessionLinks {
  let credentials = current()
  const over = new AbortController()
  const open = (): ManagerLink =>
    openManagerLink(address, { kind: 'identity', credentials, bridges: bridgesOf(credentials) })
  const streams = open()
  let calls = streams
  /** A call may be under way on it, which would end the session if it failed. */
  const retire = (link: ManagerLink): void => {
    const close = (): void => {
      link[Symbol.dispose]()
    }
    clock.sleep(CALL_TIMEOUT_MS, { signal: over.signal }).then(close, close)
  }
  return {
    streams,
    calls: () => {
      const newest = current()
      if (newest === credentials) return calls
      if (calls !== streams) retire(calls)
      credentials = newest
      calls = open()
      return calls
    },
    [Symbol.dispose]: () => {
      over.abort(new DOMException('session is over', 'AbortError'))
      streams[Symbol.dispose]()
      if (calls !== streams) calls[Symbol.dispose]()
    },
  }
}
