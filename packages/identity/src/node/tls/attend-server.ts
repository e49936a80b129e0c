import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ServerHttp2Session } from 'node:http2'
import type { Duplex } from 'node:stream'
import type { Server, TLSSocket } from 'node:tls'

/** What {@link attendServer} does with the connections of a server. */
export interface Attendance {
  /** Called once for each connection, before the server itself sees it; false when it was refused and destroyed. */
  readonly arrived: (socket: TLSSocket) => boolean
  readonly finishWith: (socket: TLSSocket, finish: () => void) => void
}

/**
 * Sees every connection of a server, and learns how each can be asked to end: sessions of HTTP/2 with a GOAWAY frame, connections of HTTP/1 with the
 * next response that can say so. One that is idle then ends with the server's own time for idle connections, which its client was told: ended at once, it
 * could lose a request that is on its way. What speaks neither is left to the host.
 *
 * @returns What ends that.
 */
export function attendServer(server: Server, { arrived, finishWith }: Attendance): () => void {
  const seen = new WeakSet<TLSSocket>()
  const leaving = new WeakSet<Duplex>()
  // The latest of each connection. One that had none yet is given its first one.
  const responses = new WeakMap<Duplex, ServerResponse>()
  let latest: TLSSocket | null = null

  const onConnection = (socket: TLSSocket): void => {
    // Servers that take clients without ALPN emit this again for the same socket.
    if (seen.has(socket)) return
    seen.add(socket)
    latest = arrived(socket) ? socket : null
    if (latest === null) return
    finishWith(socket, () => {
      leaving.add(socket)
      const response = responses.get(socket)
      if (response !== undefined) lastResponse(response)
    })
  }
  // Emitted while `secureConnection` is: the session is that of the latest socket, which it hides behind a proxy.
  const onSession = (session: ServerHttp2Session): void => {
    if (latest === null) return
    finishWith(latest, () => {
      session.close()
    })
  }
  const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    if (request.httpVersionMajor !== 1) return
    const { socket } = request
    responses.set(socket, response)
    if (leaving.has(socket)) lastResponse(response)
  }

  server.prependListener('secureConnection', onConnection)
  server.on('session', onSession)
  server.prependListener('request', onRequest)
  return () => {
    server.off('secureConnection', onConnection)
    server.off('session', onSession)
    server.off('request', onRequest)
  }
}

/** The client is told with the response itself, if its head was not sent yet. */
const lastResponse = (response: ServerResponse): void => {
  if (!response.headersSent) response.shouldKeepAlive = false
}
