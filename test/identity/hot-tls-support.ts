import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { Server, TLSSocket } from 'node:tls'
import { evictionBook, notEvicted, type PeerIdentity, viewOf } from '@leastwise/identity'
import {
  type ConnectionRegistry,
  createConnectionRegistry,
  type HotTls,
  hotTls,
  peerOf,
} from '@leastwise/identity/node'
import { onTestFinished } from 'vitest'
import { type TestCluster, type TestNode, testCluster } from '../support/test-authority.ts'
import { identityOf } from './tls-support.ts'

const DAY_MS = 86_400_000

/** A process of a node: one identity for all its connections, and a registry that cuts whom it evicts. */
export interface Side {
  readonly hot: HotTls
  readonly registry: ConnectionRegistry<PeerIdentity>
  /** The serial numbers that the peers showed, in the order of the connections. */
  readonly shown: readonly string[]
  /** Evicts a node and cuts it. */
  readonly evict: (node: TestNode) => readonly PeerIdentity[]
  /** A new certificate of the same node from now on. */
  readonly renew: () => Promise<TestNode>
}

export interface Pair {
  readonly cluster: TestCluster
  readonly manager: TestNode
  readonly worker: TestNode
  readonly server: Side
  readonly client: Side
}

export async function pair(): Promise<Pair> {
  const cluster = await testCluster()
  const [manager, worker] = [await cluster.issue({ role: 'manager' }), await cluster.issue({ role: 'manager' })]
  return { cluster, manager, worker, server: side(cluster, manager), client: side(cluster, worker) }
}

function side(cluster: TestCluster, node: TestNode): Side {
  let book = evictionBook.initial
  const now = cluster.now
  const shown: string[] = []
  const judge = notEvicted({ readView: () => viewOf(book), now: () => now, whenStale: 'refuse' })
  const registry = createConnectionRegistry({
    authorize: (peer: PeerIdentity) => {
      judge(peer)
    },
  })
  const admit = (socket: TLSSocket): void => {
    const peer = peerOf(socket, { roots: [cluster.root], clusterId: cluster.clusterId, now: Date.now() })
    if (peer === null) throw new Error('nobody was shown')
    registry.bind(socket, peer)
    shown.push(peer.serial)
  }
  const hot = hotTls(identityOf(node), { admit })
  return {
    hot,
    registry,
    shown,
    evict: ({ nodeId }) => {
      const at = Math.floor(now / 1000) * 1000
      const eviction = { kind: 'node', nodeId, reason: 'key-compromise', at, until: at + 90 * DAY_MS } as const
      book = evictionBook.decide(book, { type: 'add', evictions: [eviction] }).reduce(evictionBook.evolve, book)
      return registry.recheck()
    },
    renew: async () => {
      const renewed = await cluster.issue({ role: 'manager', nodeId: node.nodeId })
      hot.update(identityOf(renewed))
      return renewed
    },
  }
}

/** Listens on loopback until the test ends, and gives the port. */
export async function listening(server: Server): Promise<number> {
  const sockets = new Set<TLSSocket>()
  server.on('secureConnection', (socket: TLSSocket) => {
    socket.on('error', () => undefined)
    sockets.add(socket)
  })
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** How a stack is spoken with: the same steps for each of them. */
export interface Stack {
  /** One whole exchange. Rejects when it fails. */
  readonly ask: () => Promise<string>
  /** An exchange whose answer has begun; `finish` lets it end and gives the whole of it. */
  readonly begin: () => Promise<{ readonly finish: () => Promise<string> }>
  /** Releases what the client holds. */
  readonly close: () => void | Promise<void>
}

/** Lets answers begin, and end when they are told to. */
export interface Gate {
  /** Called by the server with what ends its answer. */
  readonly hold: (end: () => void) => void
  /** Ends all answers that are held. */
  readonly open: () => void
}

export function gate(): Gate {
  const held: (() => void)[] = []
  return {
    hold: (end) => {
      held.push(end)
    },
    open: () => {
      for (const end of held.splice(0)) end()
    },
  }
}
