import type {
  Http2SecureServer,
  Http2ServerRequest,
  Http2Session,
  SecureServerOptions,
  ServerHttp2Session,
} from 'node:http2'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { ConnectRouter } from '@connectrpc/connect'
import type { Authorizer, PeerIdentity } from '@leastwise/identity'
import { dangerouslyExposeManagerToTheInternet, isExposedConnection } from '@leastwise/identity/node'
import { createRequestHandler } from './adapter.ts'
import { acceptWithoutAlpn } from './alpn.ts'
import { keptAlive } from './keep-alive.ts'
import { DEFAULT_SERVER_LIMITS, type ServerLimits } from './limits.ts'

/** What {@link createSwarmServer} works with. */
export interface SwarmServerOptions {
  /** Usually made by {@link createSwarmRoutes}. */
  readonly routes: (router: ConnectRouter) => void
  /**
   * Proves who is behind a connection, once when it opens; `null` for a caller without a certificate. Throwing cuts the
   * connection. Usually `peerOf` of `@leastwise/identity/node`.
   */
  readonly identify: (socket: TLSSocket) => PeerIdentity | null
  /** The same authorizer as the routes use; {@link SwarmServer.recheck} asks it about every open connection. */
  readonly authorize: Authorizer
  readonly limits?: Partial<ServerLimits>
  /** Told of each connection that `identify` refused, and why: the peer itself only sees its connection end. Must not throw. */
  readonly onRefused?: (refusal: RefusedConnection) => void
  /**
   * **Danger**: without this, a connection that comes in on a public address of this machine is cut before its first byte, wherever the
   * host lets the server listen. See the symbol.
   */
  readonly [dangerouslyExposeManagerToTheInternet]?: true
}

/** A connection that was cut because of the certificate it came with. */
export interface RefusedConnection {
  readonly address: string
  /** What `identify` threw. */
  readonly error: unknown
}

/** One open connection. */
export interface ServedSession {
  /** `null` for a caller without a certificate. */
  readonly peer: PeerIdentity | null
  readonly address: string
}

/** The node protocol on a host's HTTP/2 server. */
export interface SwarmServer {
  /**
   * Settings that the HTTP/2 server needs; spread them into `http2.createSecureServer` beside key, certificate and `ca`.
   * Callers without a certificate get through the handshake because that is how a node asks for its first one.
   */
  readonly serverOptions: SecureServerOptions
  /** Serves on a host's server; one server can be attached to once. */
  readonly attach: (server: Http2SecureServer) => void
  /**
   * Asks the authorizer about every open connection again and cuts those that no longer may; their streams end at once.
   * Call it whenever membership changes.
   *
   * @returns The peers that were cut.
   */
  readonly recheck: () => readonly PeerIdentity[]
  /** The open connections. */
  readonly sessions: () => readonly ServedSession[]
  /** Stops listening, lets open calls end for `graceMs` milliseconds, then cuts what is left. */
  readonly close: (options: { readonly graceMs: number }) => Promise<void>
}

const permits = (authorize: Authorizer, peer: PeerIdentity): boolean => {
  try {
    authorize(peer)
    return true
  } catch {
    return false
  }
}

/** Mounts the node protocol into a host's own HTTP/2 TLS server. */
export function createSwarmServer(options: SwarmServerOptions): SwarmServer {
  const { routes, identify, authorize } = options
  const limits: ServerLimits = { ...DEFAULT_SERVER_LIMITS, ...options.limits }
  const servers = new Set<Http2SecureServer>()
  const served = new Map<Http2Session, ServedSession>()
  const handle = createRequestHandler({
    routes,
    maxCallMs: limits.maxCallMs,
    callerOf: (request: Http2ServerRequest) => {
      const session = request.stream.session
      return session === undefined ? undefined : served.get(session)?.peer
    },
  })

  const sockets = new Set<Socket>()

  const admit = (server: Http2SecureServer): void => {
    const perAddress = new Map<string, number>()
    server.on('connection', (socket: Socket) => {
      const address = socket.remoteAddress ?? ''
      const open = perAddress.get(address) ?? 0
      if (options[dangerouslyExposeManagerToTheInternet] !== true && isExposedConnection(socket.localAddress)) {
        socket.destroy()
        return
      }
      if (open >= limits.maxConnectionsPerAddress || sockets.size >= limits.maxConnections) {
        socket.destroy()
        return
      }
      perAddress.set(address, open + 1)
      sockets.add(keptAlive(socket))
      socket.once('close', () => {
        sockets.delete(socket)
        const left = (perAddress.get(address) ?? 1) - 1
        if (left > 0) perAddress.set(address, left)
        else perAddress.delete(address)
      })
    })
  }

  const welcome = (session: ServerHttp2Session, socket: TLSSocket | null): void => {
    // A broken connection says so here; without a listener it would end the process.
    session.on('error', () => undefined)
    if (socket === null) {
      session.destroy()
      return
    }
    let peer: PeerIdentity | null
    try {
      peer = identify(socket)
    } catch (error) {
      session.destroy()
      options.onRefused?.({ address: socket.remoteAddress ?? '', error })
      return
    }
    served.set(session, { peer, address: socket.remoteAddress ?? '' })
    session.once('close', () => {
      served.delete(session)
    })
    session.setTimeout(limits.firstCallTimeoutMs, () => {
      session.destroy()
    })
    // A node's connection may be quiet for long; one without identity has nothing to be quiet about.
    session.once('stream', () => {
      session.setTimeout(peer === null ? limits.anonymousIdleMs : 0)
    })
  }

  return {
    serverOptions: {
      allowHTTP1: false,
      requestCert: true,
      rejectUnauthorized: false,
      handshakeTimeout: limits.handshakeTimeoutMs,
      maxSessionMemory: 64,
      settings: { maxConcurrentStreams: limits.maxStreamsPerConnection, maxHeaderListSize: limits.maxHeaderBytes },
    },
    attach: (server) => {
      if (servers.has(server)) throw new TypeError('this server is attached already, attach each server once')
      servers.add(server)
      admit(server)
      acceptWithoutAlpn(server)
      server.on('tlsClientError', () => undefined)
      server.on('sessionError', () => undefined)
      // The session shows its socket only through a guard; the real one passes by here, in the same turn.
      let arriving: TLSSocket | null = null
      server.prependListener('secureConnection', (socket: TLSSocket) => {
        arriving = socket
      })
      server.on('session', (session: ServerHttp2Session) => {
        welcome(session, arriving)
        arriving = null
      })
      server.on('request', handle)
    },
    recheck: () => {
      const cut: PeerIdentity[] = []
      for (const [session, { peer }] of served) {
        if (peer === null || permits(authorize, peer)) continue
        cut.push(peer)
        // At once, so that a call which is already on its way finds nobody behind it.
        served.delete(session)
        // In a turn of its own, as whatever resets streams: this may be amidst what that very peer sent.
        setImmediate(() => {
          session.destroy()
        })
      }
      return cut
    },
    sessions: () => [...served.values()],
    close: async ({ graceMs }) => {
      const closing = [...servers].map(async (server) => {
        await new Promise<void>((resolve) => {
          server.close(() => {
            resolve()
          })
        })
      })
      for (const session of served.keys()) session.close()
      const cut = setTimeout(() => {
        for (const socket of sockets) socket.destroy()
      }, graceMs)
      await Promise.all(closing)
      clearTimeout(cut)
    },
  }
}
