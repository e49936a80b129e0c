import type { TLSSocket } from 'node:tls'
import { IdentityError } from '../errors.ts'
import { listedIssuers, notEvicted } from '../eviction/eviction-view.ts'
import type { EvictionFollower, HeldEvictions } from '../eviction/held-evictions.ts'
import type { Authorizer } from '../verifying/authorizer.ts'
import type { PeerIdentity } from '../verifying/verify.ts'
import { createConnectionRegistry } from './connection-registry.ts'
import { type PeerTrust, peerOf } from './peer-of.ts'

/** By what a {@link PeerGate} judges. */
export interface PeerGateOptions {
  /** The roots now; the same array for as long as they are the same. Asked for each decision. */
  readonly roots: () => PeerTrust['roots']
  readonly evictions: HeldEvictions
  /** The present, epoch milliseconds. */
  readonly now: () => number
  /**
   * When no list has come for too long: `refuse` everybody, open connections too, so that whoever keeps lists back wins nothing; or let those
   * `pass` that are not known to be evicted, where the managers push no lists, or an outage of theirs must not stop the service.
   */
  readonly whenStale: 'refuse' | 'pass'
  /** What else is asked about a peer that is not evicted: its role, for example. */
  readonly authorize?: Authorizer
}

/** The door of a service on a node: who comes in, and who is shown out when an eviction arrives. */
export interface PeerGate extends EvictionFollower, Disposable {
  /** For {@link HotTlsOptions}: proves who is there, judges, and keeps an eye on the connection. What it throws ends the connection. */
  readonly admit: (socket: TLSSocket) => void
  /**
   * Who is at the other end of a connection, judged anew: for each request on a connection that lives long.
   *
   * @throws {@link IdentityError} `PEER_UNKNOWN` for a peer without a certificate, `PEER_EVICTED`, `PEER_ISSUER_REVOKED`, `EVICTIONS_STALE`, the codes of {@link peerOf}, or
   * whatever {@link PeerGateOptions.authorize} throws.
   */
  readonly peerOf: (socket: TLSSocket) => PeerIdentity
  /**
   * Judges everybody anew and cuts who may not stay. Lists of evictions call it by themselves; call it when trust changes.
   *
   * @returns The peers that were cut, one for each connection.
   */
  readonly recheck: () => readonly PeerIdentity[]
  /** The peers of the open connections, one for each connection. */
  readonly peers: () => readonly PeerIdentity[]
}

interface Guest {
  readonly socket: TLSSocket
  readonly peer: PeerIdentity
}

/**
 * Opens a gate, which follows the evictions until it is disposed of. Between two nodes that talk to each other directly it does what the managers do for
 * themselves: an evicted node is refused at its next handshake, and its open connections are cut with the list that says so.
 */
export function createPeerGate(options: PeerGateOptions): PeerGate {
  const { roots, evictions, now, whenStale, authorize = () => undefined } = options
  const from = { readView: () => evictions.view, now }
  const isRevokedIssuer = listedIssuers(from)
  const isWelcome = notEvicted({ ...from, whenStale })
  const judged = (socket: TLSSocket): PeerIdentity => {
    const peer = peerOf(socket, { roots: roots(), clusterId: evictions.clusterId, now: now(), isRevokedIssuer })
    if (peer === null)
      throw new IdentityError('PEER_UNKNOWN', 'the peer shows no certificate; it must come as a node of this cluster')
    isWelcome(peer)
    authorize(peer)
    return peer
  }
  const registry = createConnectionRegistry<Guest>({
    authorize: ({ socket }) => {
      judged(socket)
    },
  })
  const gate: PeerGate = {
    admit: (socket) => {
      registry.bind(socket, { socket, peer: judged(socket) })
    },
    peerOf: judged,
    recheck: () => registry.recheck().map(({ peer }) => peer),
    peers: () => registry.peers().map(({ peer }) => peer),
    [Symbol.dispose]: () => {
      leave()
    },
  }
  const leave = evictions.follow(gate)
  return gate
}
