import { createSecureServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import {
  createRecoveryChallenges,
  type Membership,
  type MembershipCommand,
  membership,
  type PeerIdentity,
  planRecovery,
  proveRecovery,
  type Recoveries,
  type RecoveryCommand,
  recoveries,
} from '@leastwise/identity'
import {
  peerOf,
  serverContextOptions,
  systemClock,
  systemDigest,
  systemRandom,
  systemVerifier,
} from '@leastwise/identity/node'
import { createSessionRegistry, createSwarmRoutes, type NodeCredentials, type SwarmManager } from '@leastwise/swarm'
import { createSwarmServer } from '@leastwise/swarm/node'
import { hashPublicKey } from '@leastwise/tokens'
import { onTestFinished } from 'vitest'
import { type FakeManager, fakeManager } from '../support/swarm-fake.ts'
import { credentialsOf } from '../support/swarm-server.ts'
import { type TestCluster, type TestNodeOptions, testCluster } from '../support/test-authority.ts'

/** A manager on loopback that gives nodes their identity again. */
export interface RecoveringManager {
  readonly address: string
  readonly port: number
  readonly cluster: TestCluster
  readonly fake: FakeManager
  readonly swarm: SwarmManager
  readonly membership: () => Membership
  readonly recoveries: () => Recoveries
  readonly order: (command: MembershipCommand) => void
  readonly settle: (command: RecoveryCommand) => void
  /** The next answers to a recovery get lost after it was granted. */
  loseAnswers: number
  /** A member, with what it holds since it was issued. */
  readonly member: (options?: TestNodeOptions) => Promise<NodeCredentials>
}

const utf8 = new TextDecoder()

/** A fake manager's calls, and recoveries as a host would serve them. */
export async function recoveringManager(
  options: { readonly cluster?: TestCluster; readonly recovers?: boolean } = {},
): Promise<RecoveringManager> {
  const cluster = options.cluster ?? (await testCluster())
  const challenges = createRecoveryChallenges({ random: systemRandom, digest: systemDigest })
  let members = membership.initial
  let returning = recoveries.initial
  let port = 0
  let lost = 0
  const fake = fakeManager(cluster, () => `127.0.0.1:${port}`)
  const order = (command: MembershipCommand): void => {
    members = membership.decide(members, command).reduce(membership.evolve, members)
  }
  const settle = (command: RecoveryCommand): void => {
    returning = recoveries.decide(returning, command).reduce(recoveries.evolve, returning)
  }
  const recovery: SwarmManager['recovery'] = {
    challenge: () => challenges.create(Date.now()),
    recover: async (request, waiting) => {
      const now = Date.now()
      const asked = { ...request, csr: utf8.decode(request.csr) }
      const world = { challenges, verifier: systemVerifier, digest: systemDigest, now }
      const proven = await proveRecovery(asked, { membership: members, clusterId: cluster.clusterId, ...world })
      const publicKeyHash = hashPublicKey(proven.publicKey, systemDigest)
      const plan = planRecovery(proven, { membership: members, recoveries: returning, publicKeyHash, now })
      plan.membership.forEach(order)
      plan.recoveries.forEach(settle)
      if (plan.refusal !== null) throw plan.refusal
      if (plan.membership.length > 0) {
        const caller = { nodeId: proven.nodeId } as unknown as PeerIdentity
        await fake.renew({ caller, csr: request.csr }, waiting)
      }
      if (lost > 0) {
        lost -= 1
        throw new Error('the answer got lost')
      }
      return { nodeId: proven.nodeId }
    },
  }
  const swarm: SwarmManager = options.recovers === false ? fake : { ...fake, recovery }
  const own = await cluster.issue({ role: 'manager' })
  fake.adopt(own.nodeId, 'manager')
  const roots = [cluster.root]
  const server = createSwarmServer({
    routes: createSwarmRoutes(swarm, {
      clock: systemClock,
      sessions: createSessionRegistry({ random: systemRandom }),
      authorize: fake.authorize,
    }),
    identify: (socket) => peerOf(socket, { roots, clusterId: cluster.clusterId, now: Date.now() }),
    authorize: fake.authorize,
  })
  const http2 = createSecureServer({ ...serverContextOptions(own), ...server.serverOptions })
  server.attach(http2)
  await new Promise<void>((resolve) => {
    http2.listen(0, '127.0.0.1', resolve)
  })
  port = (http2.address() as AddressInfo).port
  onTestFinished(async () => {
    await server.close({ graceMs: 0 })
  })
  return {
    address: `127.0.0.1:${port}`,
    port,
    cluster,
    fake,
    swarm,
    membership: () => members,
    recoveries: () => returning,
    order,
    settle,
    get loseAnswers() {
      return lost
    },
    set loseAnswers(count: number) {
      lost = count
    },
    member: async (node) => {
      const issued = await cluster.issue(node)
      const { nodeId, role, csr, certificate, certificateChain } = issued
      const { serial, notAfter } = certificate
      const publicKeyHash = hashPublicKey(csr.publicKey, systemDigest)
      order({ type: 'admit', nodeId, role, csr: csr.pem, publicKeyHash, now: cluster.now })
      order({
        type: 'record-certificate',
        nodeId,
        csr: csr.pem,
        certificate: certificateChain,
        serial,
        notAfter,
      })
      fake.adopt(nodeId, role)
      return credentialsOf(issued, cluster)
    },
  }
}
