import type { ConnectionOptions, SecureContextOptions, TlsOptions } from 'node:tls'
import {
  clientContextOptions,
  type ManagerServerName,
  secureContextOptions,
  serverContextOptions,
  type TlsIdentity,
} from './tls-options.ts'

/** A server whose identity can change: of `node:tls`, `node:https` or `node:http2`. */
export interface SwappableServer {
  setSecureContext: (options: SecureContextOptions) => void
}

/** One identity for all servers and clients of a process, which changes while connections live. */
export interface HotTls {
  readonly identity: TlsIdentity
  /** Options for a new server; pass that server to {@link HotTls.serve}. */
  readonly serverOptions: () => TlsOptions
  /** Options for one new connection, with the identity of this moment. Ask again for each. */
  readonly clientOptions: (servername?: ManagerServerName) => ConnectionOptions
  /** From now on `server` shows the current identity to new connections. Returns what ends that; call it when the server closes. */
  readonly serve: (server: SwappableServer) => () => void
  /**
   * Changes the identity of every served server and of all clients to come; connections that live keep theirs. An identity that TLS
   * refuses changes nothing and throws `PRIVATE_KEY_MALFORMED` or `TLS_IDENTITY_INVALID`.
   */
  readonly update: (identity: TlsIdentity) => void
}

/**
 * Holds `identity` for servers and clients.
 *
 * @throws {@link IdentityError} `PRIVATE_KEY_MALFORMED`, or `TLS_IDENTITY_INVALID` when TLS refuses the parts or the chain is for another key.
 */
export function hotTls(identity: TlsIdentity): HotTls {
  let current = identity
  let context = secureContextOptions(identity)
  const servers = new Set<SwappableServer>()
  return {
    get identity() {
      return current
    },
    serverOptions: () => serverContextOptions(current),
    clientOptions: (servername) => clientContextOptions(current, servername),
    serve: (server) => {
      servers.add(server)
      // The server may have been made from options that are older than the last update.
      server.setSecureContext(context)
      return () => {
        servers.delete(server)
      }
    },
    update: (next) => {
      context = secureContextOptions(next)
      current = next
      for (const server of servers) server.setSecureContext(context)
    },
  }
}
