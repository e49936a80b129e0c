import { createSecureServer, type Http2SecureServer, type SecureServerOptions } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { peerOf, serverContextOptions, systemClock, systemDigest, systemRandom } from '@leastwise/identity/node'
import {
  type Clock,
  createSessionRegistry,
  createSwarmRoutes,
  type EvictionsPort,
  type NodeCredentials,
  type SessionRegistry,
} from '@leastwise/swarm'
import { createSwarmServer, type RefusedConnection, type ServerLimits, type SwarmServer } from '@leastwise/swarm/node'
import { createJoinToken, trustDigestOf } from '@leastwise/tokens'
import { onTestFinished } from 'vitest'
import { type FakeManager, fakeManager } from './swarm-fake.ts'
import { type TestCluster, type TestNode, type TestNodeOptions, testCluster } from './test-authority.ts'

/** A manager that listens on loopback, in this process. */
export interface RunningManager {
  readonly address: string
  readonly port: number
  readonly cluster: TestCluster
  readonly manager: FakeManager
  readonly server: SwarmServer
  readonly http2: Http2SecureServer
  readonly sessions: SessionRegistry
  /** The connections that were cut for their certificate, as the host is told. */
  readonly refused: readonly RefusedConnection[]
  readonly workerToken: string
  readonly managerToken: string
  /** A member with a certificate, as if it had joined. */
  readonly member: (options?: TestNodeOptions) => Promise<NodeCredentials>
}

export interface StartOptions {
  /** Pushes evictions; none are pushed without it. */
  readonly evictions?: EvictionsPort
  readonly cluster?: TestCluster
  readonly clock?: Clock
  readonly limits?: Partial<ServerLimits>
  readonly periodMs?: number
  /** Whose certificate counts no more, as that of an issuer which was removed. */
  readonly isNobody?: (serial: string) => boolean
}

export const credentialsOf = (node: TestNode, cluster: TestCluster): NodeCredentials => ({
  nodeId: node.nodeId,
  clusterId: cluster.clusterId,
  role: node.role,
  privateKey: node.privateKey,
  certificateChain: node.certificateChain,
  trustBundle: new TextEncoder().encode(node.trustBundle),
  notBefore: node.certificate.notBefore,
  notAfter: node.certificate.notAfter,
})

/** A join token for a bundle. */
export const tokenFor = (bundle: Uint8Array): string =>
  createJoinToken({ trustDigest: trustDigestOf(bundle, systemDigest), random: systemRandom }).token

export async function startManager(options: StartOptions = {}): Promise<RunningManager> {
  const cluster = options.cluster ?? (await testCluster())
  const own = await cluster.issue({ role: 'manager' })
  let port = 0
  const manager = fakeManager(cluster, () => `127.0.0.1:${port}`)
  manager.adopt(own.nodeId, 'manager')
  const clock = options.clock ?? systemClock
  const sessions = createSessionRegistry({ random: systemRandom, periodMs: options.periodMs ?? 1000, spreadMs: 50 })
  const roots = [cluster.root]
  const refused: RefusedConnection[] = []
  const { evictions } = options
  const served = evictions === undefined ? manager : { ...manager, trustBundle: () => manager.trustBundle(), evictions }
  const server = createSwarmServer({
    routes: createSwarmRoutes(served, { clock, sessions, authorize: manager.authorize }),
    identify: (socket) => {
      const peer = peerOf(socket, { roots, clusterId: cluster.clusterId, now: Date.now() })
      return peer !== null && options.isNobody?.(peer.serial) === true ? null : peer
    },
    authorize: manager.authorize,
    onRefused: (refusal) => refused.push(refusal),
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  })
  const tls: SecureServerOptions = { ...serverContextOptions(own), ...server.serverOptions }
  const http2 = createSecureServer(tls)
  server.attach(http2)
  await new Promise<void>((resolve) => {
    http2.listen(0, '127.0.0.1', resolve)
  })
  port = (http2.address() as AddressInfo).port
  manager.managers.set([{ nodeId: own.nodeId, address: `127.0.0.1:${port}`, weight: 1 }])
  onTestFinished(async () => {
    await server.close({ graceMs: 0 })
  })
  const workerToken = tokenFor(manager.trustBundle())
  const managerToken = tokenFor(manager.trustBundle())
  manager.tokens.set(workerToken, 'worker')
  manager.tokens.set(managerToken, 'manager')
  return {
    address: `127.0.0.1:${port}`,
    port,
    cluster,
    manager,
    server,
    http2,
    sessions,
    refused,
    workerToken,
    managerToken,
    member: async (node) => {
      const issued = await cluster.issue(node)
      manager.adopt(issued.nodeId, issued.role)
      return credentialsOf(issued, cluster)
    },
  }
}
