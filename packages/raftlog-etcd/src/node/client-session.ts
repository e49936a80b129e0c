import { Http2SessionManager } from '@connectrpc/connect-node'
import { resetsApart } from './resets-apart.ts'

/** A connection whose calls, and whose end, never reset a stream from amidst what etcd sent: see {@link resetsApart}. */
export class ClientSession extends Http2SessionManager {
  override async request(
    ...call: Parameters<Http2SessionManager['request']>
  ): ReturnType<Http2SessionManager['request']> {
    return resetsApart(await super.request(...call))
  }

  /** Breaks off what is under way, in a turn of its own. */
  override abort(reason: Error): void {
    setImmediate(() => {
      super.abort(reason)
    })
  }
}
