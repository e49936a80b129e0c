import type { TLSSocket } from 'node:tls'
import type { HotTls } from '../hot-tls.ts'
import type { AlpnProtocol, ManagerServerName } from '../tls-options.ts'
import { whenAdmitted } from './when-admitted.ts'

/** Where a connector of `undici` is asked to connect to; of more than that it is not told here. */
export interface ConnectorTarget {
  readonly hostname: string
  readonly port: string
}

/** What `undici` takes as the option `connect` of its `Client`, `Pool` and `Agent`. */
export type Connector = (
  target: ConnectorTarget,
  callback: (...result: [null, TLSSocket] | [Error, null]) => void,
) => void

/** How the connections of a {@link hotConnector} are made. */
export interface HotConnectorOptions {
  /** The name that each server must prove. Default is `swarm-manager`. */
  readonly servername?: ManagerServerName
  /** Default is HTTP/1.1 alone, which is also what a dispatcher without `allowH2` speaks. */
  readonly protocols?: readonly AlpnProtocol[]
}

/** Makes each connection with the identity of that moment. Nothing bounds the time that a connection may take but the system and the request. */
export function hotConnector(hot: HotTls, options: HotConnectorOptions = {}): Connector {
  const { protocols = ['http/1.1'], servername } = options
  return ({ hostname, port }, callback) => {
    const where = { host: hostname, port: port === '' ? 443 : Number(port), protocols }
    const socket = hot.dial(servername === undefined ? where : { ...where, servername })
    whenAdmitted(socket, (error) => {
      if (error === null) callback(null, socket)
      else callback(error, null)
    })
  }
}

/** What is used of a dispatcher of `undici`. */
export interface ClosableDispatcher {
  dispatch: (...call: never[]) => boolean
  /** Takes no more requests, and resolves when those that it has are done. */
  close: () => Promise<void>
  destroy: (error: Error | null) => Promise<void>
}

/** A dispatcher that changes over to each new identity. */
export interface HotDispatcher<Dispatcher extends ClosableDispatcher> extends AsyncDisposable {
  /** Pass it to `request`, `stream` or `fetch` of `undici`; the same one for as long as the host likes. */
  readonly dispatcher: Dispatcher
  /** Lets the requests end that are under way. */
  readonly close: () => Promise<void>
}

/**
 * A dispatcher over dispatchers of `undici`, one for each identity. After an update, requests go to a new one, over new connections; the old one
 * closes when its requests are done.
 *
 * @param create - Makes a `Client`, `Pool` or `Agent` with this connector as its option `connect`.
 */
export function hotDispatcher<Dispatcher extends ClosableDispatcher>(
  hot: HotTls,
  create: (connect: Connector) => Dispatcher,
  options: HotConnectorOptions = {},
): HotDispatcher<Dispatcher> {
  const connect = hotConnector(hot, options)
  let current = create(connect)
  const ending = new Set<Promise<void>>()
  const retire = (former: Dispatcher): void => {
    const end = former
      .close()
      // Closing fails for one that was destroyed already: it is gone as well.
      .catch(() => undefined)
      .finally(() => {
        ending.delete(end)
      })
    ending.add(end)
  }
  const leave = hot.follow({
    swap: () => {
      const former = current
      current = create(connect)
      retire(former)
    },
  })
  const close = async (): Promise<void> => {
    leave()
    retire(current)
    await Promise.all(ending)
  }
  const dispatcher = {
    dispatch: (...call: never[]) => current.dispatch(...call),
    close,
    destroy: async (error: Error | null) => {
      leave()
      await current.destroy(error)
    },
  }
  return {
    // What the library asks of a dispatcher that it is given is these three.
    dispatcher: dispatcher as unknown as Dispatcher,
    close,
    [Symbol.asyncDispose]: close,
  }
}
