import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type ClientSessionOptions,
  type ClientSessionRequestOptions,
  connect,
  type OutgoingHttpHeaders,
} from 'node:http2'
import type { HotTls } from '../hot-tls.ts'
import type { ManagerServerName } from '../tls-options.ts'

/** How the session of a {@link hotHttp2} is made. */
export interface HotHttp2Options {
  /** The name that the server must prove. Default is `swarm-manager`. */
  readonly servername?: ManagerServerName
  readonly session?: Omit<ClientSessionOptions, 'createConnection' | 'protocol'>
}

/** A client of one HTTP/2 server, on one session at a time. connect-node takes it as its option `sessionManager`. */
export interface HotHttp2 {
  /** Such as `https://127.0.0.1:4242`. */
  authority: string
  /** The open session, or a new one. Ask again for each request. */
  readonly session: () => ClientHttp2Session
  /** One request on that session. */
  readonly request: (
    method: string,
    path: string,
    headers: OutgoingHttpHeaders,
    options: Omit<ClientSessionRequestOptions, 'signal'>,
  ) => Promise<ClientHttp2Stream>
  /** For connect-node; nothing here depends on it. */
  readonly notifyResponseByteRead: (stream: ClientHttp2Stream) => void
  /** Lets the streams end that are open, and follows the identity no longer. */
  readonly close: () => void
}

/**
 * A client of `node:http2`. After an update, requests go over a new session; the old one closes when its streams are done. So it is when the
 * server says that it goes away.
 *
 * @param authority - The server's URL; the port is 443 when it has none.
 */
export function hotHttp2(hot: HotTls, authority: string | URL, options: HotHttp2Options = {}): HotHttp2 {
  const url = new URL(authority)
  const { servername } = options
  let current: ClientHttp2Session | null = null

  const dial = () => {
    // An address of the sixth kind stands in brackets in a URL.
    const host = url.hostname.replace(/^\[(.*)\]$/u, '$1')
    const where = { host, port: url.port === '' ? 443 : Number(url.port) }
    return hot.dial(servername === undefined ? where : { ...where, servername })
  }
  const open = (): ClientHttp2Session => {
    const socket = dial()
    const session = connect(url, { ...options.session, createConnection: () => socket })
    // Each request that fails with the session says so itself.
    session.on('error', () => undefined)
    socket.once('secureConnect', () => {
      hot.finishWith(socket, () => {
        session.close()
      })
    })
    return session
  }
  const session = (): ClientHttp2Session => {
    if (current === null || current.closed || current.destroyed) current = open()
    return current
  }
  const retire = (): void => {
    current?.close()
    current = null
  }
  const leave = hot.follow({ swap: retire })
  return {
    authority: url.origin,
    session,
    request: async (method, path, headers, requestOptions) =>
      await Promise.resolve(session().request({ ...headers, ':method': method, ':path': path }, requestOptions)),
    notifyResponseByteRead: () => undefined,
    close: () => {
      leave()
      retire()
    },
  }
}
