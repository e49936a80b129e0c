import type { PeerIdentity } from '../verifying/verify.ts'

/**
 * What can be cut: a socket of `node:tls`, at once, or a session of `node:http2` in a turn of its own, whose streams end with it: resetting them from
 * amidst what a peer sent could hang the process.
 */
export interface Connection {
  readonly destroyed: boolean
  destroy: () => unknown
  once: (event: 'close', listener: () => void) => unknown
}

/** What a {@link ConnectionRegistry} works with. */
export interface ConnectionRegistryOptions<Peer> {
  /** Decides who may stay connected. */
  readonly authorize: (peer: Peer) => void
  /** Decisions to drop whenever the registry looks again, such as a {@link DecisionCache}. */
  readonly caches?: readonly { readonly clear: () => void }[]
}

/** The open connections of a process, each bound to the peer that was proven on it. */
export interface ConnectionRegistry<Peer> {
  /**
   * Binds a connection to its peer until it closes. A peer that may not stay is cut at once.
   *
   * @throws Whatever the authorizer throws; the connection is destroyed then.
   */
  readonly bind: (connection: Connection, peer: Peer) => void
  /**
   * Drops the cached decisions, asks about every peer again, and cuts the connections of those that may not stay, with all their
   * streams. Call it when membership, evictions or trust change.
   *
   * @returns The peers that were cut, one for each connection.
   */
  readonly recheck: () => readonly Peer[]
  /** The peers of the open connections, one for each connection. */
  readonly peers: () => readonly Peer[]
  readonly size: number
}

const cut = (connection: Connection): void => {
  if ('goaway' in connection)
    setImmediate(() => {
      connection.destroy()
    })
  else connection.destroy()
}

/** A registry without connections. */
export function createConnectionRegistry<Peer = PeerIdentity>(
  options: ConnectionRegistryOptions<Peer>,
): ConnectionRegistry<Peer> {
  const { authorize, caches = [] } = options
  const open = new Map<Connection, Peer>()
  const mayStay = (peer: Peer): boolean => {
    try {
      authorize(peer)
      return true
    } catch {
      return false
    }
  }
  return {
    bind: (connection, peer) => {
      try {
        authorize(peer)
      } catch (error) {
        cut(connection)
        throw error
      }
      if (connection.destroyed) return
      open.set(connection, peer)
      connection.once('close', () => {
        open.delete(connection)
      })
    },
    recheck: () => {
      // First of all: the authorizer itself may sit on one of them.
      for (const cache of caches) cache.clear()
      const gone: Peer[] = []
      for (const [connection, peer] of open) {
        if (mayStay(peer)) continue
        gone.push(peer)
        open.delete(connection)
        cut(connection)
      }
      return gone
    },
    peers: () => [...open.values()],
    get size() {
      return open.size
    },
  }
}
