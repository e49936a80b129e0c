import { X509Certificate } from 'node:crypto'
import type { Duplex } from 'node:stream'
import {
  type ConnectionOptions,
  checkServerIdentity,
  connect,
  createSecureContext,
  type SecureContext,
  type SecureContextOptions,
  Server,
  type TLSSocket,
  type TlsOptions,
} from 'node:tls'
import { attendServer } from './tls/attend-server.ts'
import { createLiveConnections, type DrainOptions, type DrainReport } from './tls/live-connections.ts'
import {
  type AlpnProtocol,
  clientChecks,
  type ManagerServerName,
  secureContextOptions,
  serverChecks,
  type TlsIdentity,
} from './tls-options.ts'

/** A server whose identity can change: of `node:tls`, `node:https` or `node:http2`. */
export interface SwappableServer {
  setSecureContext: (options: SecureContextOptions) => void
}

/** What a {@link HotTls} does besides holding an identity. */
export interface HotTlsOptions {
  /**
   * Looks at every connection once, after its handshake and before anybody can use it: proves with {@link peerOf} who is there, and binds
   * the connection in a {@link ConnectionRegistry}, so that an eviction finds it. What it throws ends the connection.
   *
   * @param side - On which side of the connection this process is.
   */
  readonly admit?: (socket: TLSSocket, side: 'server' | 'client') => void
}

/** Where {@link HotTls.dial} goes. */
export interface DialOptions extends Pick<ConnectionOptions, 'host' | 'port' | 'socket'> {
  /** Default is `swarm-manager`. */
  readonly servername?: ManagerServerName
  /** Default is HTTP/2 alone. */
  readonly protocols?: readonly AlpnProtocol[]
}

/** A pool of connections that changes over to a new identity. */
export interface SwappablePool {
  /** From now on new work goes over new connections; idle old ones end now, busy ones when they are done. */
  readonly swap: () => void
}

/** One identity for all servers and clients of a process, which changes while connections live. */
export interface HotTls {
  readonly identity: TlsIdentity
  /** How often the identity was changed. */
  readonly generation: number
  /** Options for a new server; pass that server to {@link HotTls.serve}. */
  readonly serverOptions: (protocols?: readonly AlpnProtocol[]) => TlsOptions
  /** Options for one new connection, with the identity of this moment. Ask again for each, or let {@link HotTls.dial} do it. */
  readonly clientOptions: (servername?: ManagerServerName, protocols?: readonly AlpnProtocol[]) => ConnectionOptions
  /**
   * Opens a connection with the identity of this moment. It is admitted when it is secure; one that is not admitted ends with the error that
   * was thrown.
   */
  readonly dial: (options: DialOptions) => TLSSocket
  /**
   * From now on `server` shows the current identity to new connections, and those are admitted and counted. Returns what ends that; call it
   * when the server closes.
   *
   * @throws TypeError if connections are to be admitted and this is no server of `node:tls`, whose connections can be seen.
   */
  readonly serve: (server: SwappableServer) => () => void
  /** From now on a pool of clients is told of each new identity. Returns what ends that. */
  readonly follow: (pool: SwappablePool) => () => void
  /** How a connection that was served or dialled here is asked to end when it is drained; for protocols that are not HTTP. */
  readonly finishWith: (socket: TLSSocket, finish: () => void) => void
  /** True for an open connection under the identity of this moment. */
  readonly isCurrent: (connection: Duplex) => boolean
  /** How many connections are open, or are being opened from here, and how many of them under former identities. */
  readonly connections: () => { readonly open: number; readonly former: number }
  /**
   * Changes the identity of every served server and of all clients to come; connections that live keep theirs. An identity that TLS
   * refuses changes nothing and throws `PRIVATE_KEY_MALFORMED` or `TLS_IDENTITY_INVALID`.
   */
  readonly update: (identity: TlsIdentity) => void
  /**
   * Ends the connections under former identities: each is asked to finish what it does, and is cut at the deadline.
   *
   * @returns When the last one is gone.
   * @throws The signal's reason.
   */
  readonly drain: (options: DrainOptions) => Promise<DrainReport>
}

/**
 * Holds `identity` for servers and clients.
 *
 * @throws {@link IdentityError} `PRIVATE_KEY_MALFORMED`, or `TLS_IDENTITY_INVALID` when TLS refuses the parts or the chain is for another key.
 */
export function hotTls(identity: TlsIdentity, options: HotTlsOptions = {}): HotTls {
  const { admit = () => undefined } = options
  let current = identity
  let context = secureContextOptions(identity)
  // Making one takes as long as half a handshake, and it serves as many connections as come.
  let shared: SecureContext | null = null
  let generation = 0
  let leaf = leafOf(identity)
  const servers = new Set<SwappableServer>()
  const pools = new Set<SwappablePool>()
  const live = createLiveConnections()

  const refusalOf = (socket: TLSSocket, side: 'server' | 'client'): Error | undefined => {
    try {
      admit(socket, side)
      return undefined
    } catch (error) {
      return error as Error
    }
  }
  // A handshake may have begun under the former identity: what was shown is what counts.
  const shownAt = (socket: TLSSocket): number => {
    const shown = socket.getX509Certificate()
    return shown === undefined || shown.fingerprint256 === leaf ? generation : generation - 1
  }

  return {
    get identity() {
      return current
    },
    get generation() {
      return generation
    },
    serverOptions: (protocols) => ({ ...context, ...serverChecks(protocols) }),
    clientOptions: (servername, protocols) => ({ ...context, ...clientChecks(servername, protocols) }),
    dial: ({ servername, protocols, ...where }) => {
      shared ??= createSecureContext(context)
      const checks = clientChecks(servername, protocols)
      const socket: TLSSocket = connect({
        ...where,
        ...checks,
        secureContext: shared,
        // The last question of a handshake whose chain is proven, and the last moment at which nobody has the connection: HTTP/2 cannot bear one
        // that is gone when it is said to be secure. No session is ever resumed, so the question is always put.
        checkServerIdentity: (host, certificate): Error | undefined => {
          const mismatch = checkServerIdentity(host, certificate)
          if (mismatch !== undefined) return mismatch
          socket.authorized = true
          return refusalOf(socket, 'client')
        },
      })
      // From its beginning: its context is chosen, so that it comes under this identity whatever happens meanwhile.
      live.add(socket, generation)
      return socket
    },
    serve: (server) => {
      if (options.admit !== undefined && !(server instanceof Server))
        throw new TypeError('server must be one of node:tls, node:https or node:http2 when connections are admitted')
      servers.add(server)
      // The server may have been made from options that are older than the last update.
      server.setSecureContext(context)
      const arrived = (socket: TLSSocket): boolean => {
        const refusal = refusalOf(socket, 'server')
        if (refusal === undefined) live.add(socket, shownAt(socket))
        else socket.destroy()
        return refusal === undefined
      }
      const leave =
        server instanceof Server ? attendServer(server, { arrived, finishWith: live.finishWith }) : () => undefined
      return () => {
        servers.delete(server)
        leave()
      }
    },
    follow: (pool) => {
      pools.add(pool)
      return () => {
        pools.delete(pool)
      }
    },
    finishWith: live.finishWith,
    isCurrent: (connection) => live.generationOf(connection) === generation,
    connections: () => ({ open: live.size, former: live.countBelow(generation) }),
    update: (next) => {
      context = secureContextOptions(next)
      current = next
      leaf = leafOf(next)
      shared = null
      generation += 1
      for (const server of servers) server.setSecureContext(context)
      for (const pool of pools) pool.swap()
    },
    drain: async (drainOptions) => await live.drainBelow(generation, drainOptions),
  }
}

/** TLS has taken the chain, so it can be read. */
const leafOf = ({ certificateChain }: TlsIdentity): string => new X509Certificate(certificateChain).fingerprint256
