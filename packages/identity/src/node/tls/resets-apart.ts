import type { ClientHttp2Stream, Http2Session, ServerHttp2Stream } from 'node:http2'

/** Whether the socket of a session has closed, for the sessions that were seen. */
const sockets = new WeakMap<Http2Session, { gone: boolean }>()

function socketOf(session: Http2Session | undefined): { readonly gone: boolean } {
  if (session === undefined || session.destroyed) return { gone: true }
  const known = sockets.get(session)
  if (known !== undefined) return known
  const socket = { gone: false }
  sockets.set(session, socket)
  // Before Node's own listener, which closes what is still open.
  session.socket.prependOnceListener('close', () => {
    socket.gone = true
  })
  return socket
}

/**
 * Makes {@link ClientHttp2Stream.close} wait for a turn of its own.
 *
 * Node runs promises and ticks while it takes in what an HTTP/2 peer sent. A stream that is reset from there makes the session send in the midst
 * of closing another stream, and when that one still had something to send, sending does not come to an end: the process hangs, whatever the
 * peer does next. Who resets streams because something else happened cannot know where it is, so it never resets at once; but when
 * the connection is gone, nothing is taken in any more, and Node itself closes its streams then.
 *
 * @returns The same stream.
 */
export function resetsApart<Stream extends ClientHttp2Stream | ServerHttp2Stream>(stream: Stream): Stream {
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
