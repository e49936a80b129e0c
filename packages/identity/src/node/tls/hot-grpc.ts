import type { Socket } from 'node:net'
import {
  checkServerIdentity,
  createSecureContext,
  type PeerCertificate,
  type SecureContext,
  type Server,
  type TLSSocket,
} from 'node:tls'
import type { HotTls } from '../hot-tls.ts'
import type { ManagerServerName } from '../tls-options.ts'
import { whenAdmitted } from './when-admitted.ts'

/** How `@grpc/grpc-js` makes a connection secure. */
export interface GrpcConnector {
  connect: (socket: Socket) => Promise<{ socket: Socket; secure: boolean }>
}

/** What is used of the credentials of `@grpc/grpc-js`. */
export interface GrpcCredentials {
  _createSecureConnector: (...call: never[]) => GrpcConnector
}

/** What is used of a channel of `@grpc/grpc-js`; all of it is passed on to the channel of the moment. */
export interface GrpcChannel {
  close: () => void
  getTarget: () => string
  getConnectivityState: (tryToConnect: boolean) => unknown
  watchConnectivityState: (...call: never[]) => void
  getChannelzRef: () => unknown
  createCall: (...call: never[]) => unknown
}

/** A call says once that it has ended, however it did. Its published type does not tell. */
interface WatchedCall {
  addStatusWatcher: (watcher: () => void) => void
}

const isWatched = (call: unknown): call is WatchedCall =>
  typeof call === 'object' && call !== null && 'addStatusWatcher' in call && typeof call.addStatusWatcher === 'function'

/** A channel, and how many of its calls have not ended. */
interface Opened<Channel extends GrpcChannel> {
  readonly channel: Channel
  calls: number
}

/** What is used of the module `@grpc/grpc-js`; pass the module itself. */
export interface GrpcModule<Channel extends GrpcChannel> {
  readonly credentials: {
    createFromSecureContext: (
      context: SecureContext,
      verify: { checkServerIdentity: (host: string, certificate: PeerCertificate) => Error | undefined },
    ) => GrpcCredentials
  }
  readonly Channel: new (target: string, credentials: never, options: never) => Channel
}

/** Where a {@link hotGrpcChannel} goes. */
export interface HotGrpcOptions {
  /** As `@grpc/grpc-js` takes it, such as `127.0.0.1:4242`. */
  readonly target: string
  /** The name that each server must prove. Default is `swarm-manager`. */
  readonly servername?: ManagerServerName
  /** Options of the channels. */
  readonly channel?: Readonly<Record<string, string | number>>
}

/**
 * A channel for clients of `@grpc/grpc-js`, which they take as their option `channelOverride`. After an update, calls go over new connections; old ones
 * close when their calls are done. Closing the channel ends that.
 *
 * @param grpc - The module `@grpc/grpc-js`, which this package does not depend on.
 */
export function hotGrpcChannel<Channel extends GrpcChannel>(
  hot: HotTls,
  grpc: GrpcModule<Channel>,
  options: HotGrpcOptions,
): Channel {
  const { target, servername = 'swarm-manager', channel = {} } = options
  const verify = {
    checkServerIdentity: (_: string, certificate: PeerCertificate) => checkServerIdentity(servername, certificate),
  }
  const open = (): Opened<Channel> => {
    // Each channel has a context of its own, because equal credentials would share connections.
    const made = grpc.credentials.createFromSecureContext(createSecureContext(hot.clientOptions(servername)), verify)
    const create = made._createSecureConnector.bind(made)
    made._createSecureConnector = (...call: never[]) => {
      const connector = create(...call)
      connector.connect = async (socket) => ({ socket: await secure(hot, socket, servername), secure: true })
      return connector
    }
    return { channel: new grpc.Channel(target, made as never, channel as never), calls: 0 }
  }
  let current = open()
  const former = new Set<Opened<Channel>>()
  // A channel that closes refuses the calls that wait for a connection, so that it closes after the last of its calls.
  const closeFormer = (opened: Opened<Channel>): void => {
    if (former.delete(opened)) opened.channel.close()
  }
  const leave = hot.follow({
    swap: () => {
      const before = current
      current = open()
      former.add(before)
      if (before.calls === 0) closeFormer(before)
    },
  })
  const followed: GrpcChannel = {
    close: () => {
      leave()
      for (const opened of former) closeFormer(opened)
      current.channel.close()
    },
    getTarget: () => current.channel.getTarget(),
    getConnectivityState: (tryToConnect) => current.channel.getConnectivityState(tryToConnect),
    watchConnectivityState: (...call) => {
      current.channel.watchConnectivityState(...call)
    },
    getChannelzRef: () => current.channel.getChannelzRef(),
    createCall: (...args) => {
      const opened = current
      const call = opened.channel.createCall(...args)
      if (!isWatched(call)) return call
      opened.calls += 1
      call.addStatusWatcher(() => {
        opened.calls -= 1
        if (opened.calls === 0) closeFormer(opened)
      })
      return call
    },
  }
  return followed as Channel
}

const secure = async (hot: HotTls, socket: Socket, servername: ManagerServerName): Promise<TLSSocket> =>
  await new Promise((resolve, reject) => {
    const made = hot.dial({ socket, servername })
    whenAdmitted(made, (error) => {
      if (error === null) resolve(made)
      else reject(error)
    })
  })

/** What is used of an injector of connections of `@grpc/grpc-js`. */
export interface GrpcInjector {
  injectConnection: (connection: TLSSocket) => void
  /** Takes no more connections, and lets those that it has end when their calls are done. */
  destroy: () => void
}

/**
 * Lets a server of `@grpc/grpc-js` answer on a server of `node:tls`, which proves who is there before gRPC sees the connection.
 *
 * @param server - Made with {@link HotTls.serverOptions}, and listening or about to. It is served from here on.
 * @param createInjector - Gives a new injector of the gRPC server, with insecure credentials: the connection is secure already. It is called once for each
 * identity.
 * @returns What ends that; call it when the server closes.
 */
export function serveGrpc(hot: HotTls, server: Server, createInjector: () => GrpcInjector): () => void {
  let injector: GrpcInjector | null = null
  const once = (made: GrpcInjector): (() => void) => {
    let ended = false
    return () => {
      if (!ended) made.destroy()
      ended = true
    }
  }
  let end = (): void => undefined
  const onConnection = (socket: TLSSocket): void => {
    if (socket.destroyed) return
    if (injector === null) {
      injector = createInjector()
      end = once(injector)
    }
    const finish = end
    hot.finishWith(socket, finish)
    injector.injectConnection(socket)
  }
  server.on('secureConnection', onConnection)
  const leave = hot.serve(server)
  const unfollow = hot.follow({
    swap: () => {
      // The former one lives on for its connections, until they are drained.
      injector = null
    },
  })
  return () => {
    server.off('secureConnection', onConnection)
    leave()
    unfollow()
    end()
  }
}
