import type { ClientHttp2Stream, Http2Session } from 'node:http2'

/** The sessions that were seen, and of each whether its socket has closed. */
const sockets = new WeakMap<Http2Session, { gone: boolean }>()

function socketOf(session: Http2Session | undefined): { readonly gone: boolean } {
  if (session === undefined || session.destroyed) return { gone: true }
  const known = sockets.get(session)
  if (known !== undefined) return known
  const socket = { gone: false }
  sockets.set(session, socket)
  session.socket.prependOnceListener('close', () => {
    socket.gone = true
  })
  return socket
}

/**
 * Makes a stream be reset in a turn of its own. The same as in `@leastwise/identity`, on which a log does not depend; decision 0030 says
 * why it is needed.
 */
export function resetsApart(stream: ClientHttp2Stream): ClientHttp2Stream {
  const close = stream.close.bind(stream)
  const socket = socketOf(stream.session)
  stream.close = (code, callback) => {
    if (socket.gone) {
      close(code, callback)
      return
    }
    setImmediate(() => {
      if (stream.closed) callback?.()
      else close(code, callback)
    })
  }
  return stream
}
