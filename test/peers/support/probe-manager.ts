import { createSecureServer } from 'node:http2'
import type { TLSSocket } from 'node:tls'
import { peerOf, serverContextOptions, systemClock, systemRandom } from '@leastwise/identity/node'
import { createSessionRegistry, createSwarmRoutes } from '@leastwise/swarm'
import { createSwarmServer } from '@leastwise/swarm/node'
import { type FakeManager, fakeManager } from '../../support/swarm-fake.ts'
import { tokenFor } from '../../support/swarm-server.ts'
import { testCluster } from '../../support/test-authority.ts'
import { listenInside } from './listen-inside.ts'
import type { Namespace } from './netns.ts'

const PORT = 2377

/** A manager whose every doing can be counted and turned: the packages' real server and CA around a small memory. */
export interface ProbeManager extends AsyncDisposable {
  readonly address: string
  readonly workerToken: string
  readonly manager: FakeManager
  /** What each connection that came with a client certificate offered, in the order of arrival; false for none. */
  readonly offered: readonly (string | false | null)[]
  /** How often a node has registered. */
  readonly registrations: () => number
  /** Cuts every connection, as a broken network does. */
  readonly cut: () => void
}

/** Serves in the namespace, out of this process. */
export async function startProbeManager(namespace: Namespace): Promise<ProbeManager> {
  const cluster = await testCluster()
  const own = await cluster.issue({ role: 'manager' })
  const address = `${namespace.address}:${PORT}`
  const manager = fakeManager(cluster, () => address)
  manager.adopt(own.nodeId, 'manager')
  const sessions = createSessionRegistry({ random: systemRandom })
  const swarm = createSwarmServer({
    routes: createSwarmRoutes(manager, { clock: systemClock, sessions, authorize: manager.authorize }),
    identify: (socket) => peerOf(socket, { roots: [cluster.root], clusterId: cluster.clusterId, now: Date.now() }),
    authorize: manager.authorize,
  })
  const server = createSecureServer({ ...serverContextOptions(own), ...swarm.serverOptions })
  const sockets = new Set<TLSSocket>()
  const offered: (string | false | null)[] = []
  const seen = (socket: TLSSocket): void => {
    if (sockets.has(socket)) return
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    if (socket.getPeerX509Certificate() !== undefined) offered.push(socket.alpnProtocol)
  }
  // Before the server under test gets to see the socket, and marks it.
  server.prependListener('secureConnection', seen)
  swarm.attach(server)
  server.prependListener('unknownProtocol', seen)
  server.listen(await listenInside(namespace, PORT))
  const workerToken = tokenFor(manager.trustBundle())
  manager.tokens.set(workerToken, 'worker')
  return {
    address,
    workerToken,
    manager,
    offered,
    registrations: () => manager.presences.filter(({ presence }) => presence === 'ready').length,
    cut: () => {
      for (const socket of sockets) socket.destroy()
    },
    [Symbol.asyncDispose]: async () => {
      await swarm.close({ graceMs: 0 })
    },
  }
}
