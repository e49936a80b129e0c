/** What one server takes from its callers; every limit can be changed, none can be switched off. */
export interface ServerLimits {
  /** Open calls on one connection. A node needs four and a few short ones. */
  readonly maxStreamsPerConnection: number
  /** Connections in all. */
  readonly maxConnections: number
  /** Connections from one address; many nodes may stand behind one. */
  readonly maxConnectionsPerAddress: number
  /** Time for a TLS handshake, in milliseconds. */
  readonly handshakeTimeoutMs: number
  /** Time in which a connection without a single call may stay, in milliseconds. */
  readonly firstCallTimeoutMs: number
  /** Time in which a connection without a client certificate may be quiet, in milliseconds; a joining node polls each 5 s. */
  readonly anonymousIdleMs: number
  /** Header list of one call, in bytes. */
  readonly maxHeaderBytes: number
  /** Longest time that a caller may ask the server to work on a call, in milliseconds. */
  readonly maxCallMs: number
}

/** Enough for a thousand nodes on a small machine, and little enough that nobody outside can fill its memory. */
export const DEFAULT_SERVER_LIMITS: ServerLimits = {
  maxStreamsPerConnection: 64,
  maxConnections: 10_000,
  maxConnectionsPerAddress: 1024,
  handshakeTimeoutMs: 10_000,
  firstCallTimeoutMs: 10_000,
  anonymousIdleMs: 60_000,
  maxHeaderBytes: 16_384,
  maxCallMs: 3_600_000,
}
