import type { NodeCredentials } from '../agent/events.ts'
import { type ManagerLink, openManagerLink } from './manager-link.ts'

/** The connections of one session to one manager. */
export interface SessionLinks extends Disposable {
  /** Carries the streams; keeps the identity that the session began with. */
  readonly streams: ManagerLink
  /** Carries the short calls, always under the newest identity. */
  readonly calls: () => ManagerLink
}

/** Prepares the connections of a session; a second one is opened only after a renewal. */
export function openSessionLinks(
  address: string,
  current: () => NodeCredentials,
  bridgesOf: (credentials: NodeCredentials) => readonly string[],
): SessionLinks {
  let credentials = current()
  const open = (): ManagerLink =>
    openManagerLink(address, { kind: 'identity', credentials, bridges: bridgesOf(credentials) })
  const streams = open()
  let calls = streams
  return {
    streams,
    calls: () => {
      const newest = current()
      if (newest === credentials) return calls
      if (calls !== streams) calls[Symbol.dispose]()
      credentials = newest
      calls = open()
      return calls
    },
    [Symbol.dispose]: () => {
      streams[Symbol.dispose]()
      if (calls !== streams) calls[Symbol.dispose]()
    },
  }
}
