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
import { resetsApart } from './resets-apart.ts'

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

interface Opened {
  readonly session: ClientHttp2Session
  /** Closes the session when its last request is done. */
  readonly finish: () => void
}

/**
 * Counts the requests of a session: one that closes refuses those which wait for the connection, or for their turn on it.
 */
function counted(session: ClientHttp2Session): Opened {
  let open = 0
  let leaving = false
  const request = session.request.bind(session)
  session.request = (...call) => {
    const stream = resetsApart(request(...call))
    open += 1
    stream.once('close', () => {
      open -= 1
      if (leaving && open === 0) session.close()
    })
    return stream
  }
  return {
    session,
    finish: () => {
      leaving = true
      if (open === 0) session.close()
    },
  }
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
  let current: Opened | null = null

  const dial = () => {
    // An address of the sixth kind stands in brackets in a URL.
    const host = url.hostname.replace(/^\[(.*)\]$/u, '$1')
    const where = { host, port: url.port === '' ? 443 : Number(url.port) }
    return hot.dial(servername === undefined ? where : { ...where, servername })
  }
  const open = (): Opened => {
    const socket = dial()
    const opened = counted(connect(url, { ...options.session, createConnection: () => socket }))
    // Each request that fails with the session says so itself.
    opened.session.on('error', () => undefined)
    socket.once('secureConnect', () => {
      hot.finishWith(socket, opened.finish)
    })
    return opened
  }
  const session = (): ClientHttp2Session => {
    if (current === null || current.session.closed || current.session.destroyed) current = open()
    return current.session
  }
  const retire = (): void => {
    current?.finish()
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
