import { Http2SessionManager } from '@connectrpc/connect-node'
import { resetsApart } from './resets-apart.ts'

/**
 * The manager of connections stops listening to one when the next call replaces it, and destroys it with an error when the peer says
 * farewell: told to nobody, that would end the process. Calls hear of it by their streams.
 */
const reported = (): void => undefined

/** A connection whose calls, and whose end, never reset a stream from amidst what etcd sent: see {@link resetsApart}. */
export class ClientSession extends Http2SessionManager {
  override async request(
    ...call: Parameters<Http2SessionManager['request']>
  ): ReturnType<Http2SessionManager['request']> {
    const stream = await super.request(...call)
    const { session } = stream
    if (session?.listeners('error').includes(reported) === false) session.on('error', reported)
    return resetsApart(stream)
  }

  /** Breaks off what is under way, in a turn of its own. */
  override abort(reason: Error): void {
    setImmediate(() => {
      super.abort(reason)
    })
  }
}
