import { createSecureServer } from 'node:http2'
import {
  type Certificate,
  createCsr,
  formatCertificateChain,
  issueCertificate,
  parseCertificateChain,
} from '@leastwise/identity'
import {
  createNodeKey,
  exportPrivateKey,
  type LocalSigner,
  peerOf,
  serverContextOptions,
  systemClock,
  systemRandom,
} from '@leastwise/identity/node'
import { createSessionRegistry, createSwarmRoutes } from '@leastwise/swarm'
import { createSwarmServer } from '@leastwise/swarm/node'
import { expect, it } from 'vitest'
import { type Forged, forgeries } from '../identity/intermediate-forgeries.ts'
import { DAY, deps, type IssuingManager, issuingManager, withManagers } from '../identity/intermediate-support.ts'
import { type FakeManager, fakeManager } from '../support/swarm-fake.ts'
import { tokenFor } from '../support/swarm-server.ts'
import { type TestCluster, testCluster, testNodeId } from '../support/test-authority.ts'
import { startDockerd } from './support/dockerd.ts'
import { HEARTBEAT, keptChain, keptSerial, logged, REGISTERED, swarmJoin, swarmOf } from './support/engine-swarm.ts'
import { listenInside } from './support/listen-inside.ts'
import { describePeer, needs } from './support/needs.ts'
import { createSegment, type Namespace } from './support/netns.ts'
import { until } from './support/until.ts'

interface Probe extends AsyncDisposable {
  readonly address: string
  readonly workerToken: string
  readonly manager: FakeManager
}

interface ServedAs {
  readonly chain: readonly Certificate[]
  readonly signer: LocalSigner
}

const PORT = 2377

/** A manager that shows this chain, and whose nodes get theirs from the intermediate. */
async function startManager(namespace: Namespace, issuer: IssuingManager, own: ServedAs): Promise<Probe> {
  const cluster: TestCluster = { ...issuer.cluster, authority: issuer.authority }
  const address = `${namespace.address}:${PORT}`
  const manager = fakeManager(cluster, () => address)
  const sessions = createSessionRegistry({ random: systemRandom })
  const certificateStatus: FakeManager['certificateStatus'] = async (...call) => {
    const found = await manager.certificateStatus(...call)
    const leaf = found?.certificate ?? null
    if (found === null || leaf === null) return found
    return { ...found, certificate: Buffer.concat([leaf, Buffer.from(issuer.intermediate.pem)]) }
  }
  const serving = { ...manager, certificateStatus }
  const swarm = createSwarmServer({
    routes: createSwarmRoutes(serving, { clock: systemClock, sessions, authorize: manager.authorize }),
    identify: (socket) => peerOf(socket, { roots: [cluster.root], clusterId: cluster.clusterId, now: Date.now() }),
    authorize: manager.authorize,
  })
  const identity = {
    privateKey: exportPrivateKey(own.signer),
    certificateChain: formatCertificateChain(own.chain),
    trustBundle: cluster.root.pem,
  }
  const server = createSecureServer({ ...serverContextOptions(identity), ...swarm.serverOptions })
  swarm.attach(server)
  server.listen(await listenInside(namespace, PORT))
  const workerToken = tokenFor(manager.trustBundle())
  manager.tokens.set(workerToken, 'worker')
  return {
    address,
    workerToken,
    manager,
    [Symbol.asyncDispose]: async () => {
      await swarm.close({ graceMs: 0 })
    },
  }
}

async function managerLeaf(issuer: IssuingManager): Promise<ServedAs> {
  const { authority, intermediate, cluster } = issuer
  const signer = createNodeKey()
  const grant = { nodeId: testNodeId(30), role: 'manager', clusterId: cluster.clusterId, lifetimeMs: DAY } as const
  const leaf = await issueCertificate(authority, await createCsr(signer), grant, deps(Date.now()))
  return { chain: [leaf, intermediate], signer }
}

interface Verdict {
  readonly name: string
  readonly go: Forged['go']
}

const byName = (left: Verdict, right: Verdict): number => (left.name < right.name ? -1 : 1)

/** What one engine says to managers that show these chains. */
async function tryAll(lane: readonly Forged[], issuer: IssuingManager): Promise<readonly Verdict[]> {
  using segment = createSegment(['manager', 'engine'])
  await using engine = await startDockerd(segment.at('engine'))
  const verdicts: Verdict[] = []
  for (const { name, chain, signer } of lane) {
    await using probe = await startManager(segment.at('manager'), issuer, { chain, signer })
    const { code, stderr } = await swarmJoin(engine, probe.workerToken, probe.address)
    verdicts.push({ name, go: code === 0 ? 'accepts' : 'refuses' })
    if (code === 0) expect((await engine.docker(['swarm', 'leave'])).code).toBe(0)
    else expect({ name, stderr }).toMatchObject({ stderr: expect.stringContaining('x509: ') as unknown })
  }
  return verdicts
}

describePeer(
  'a stock Docker engine and issuing intermediates',
  needs('root', 'dockerd', 'docker', 'ip', 'nsenter', 'setpriv'),
  () => {
    it('joins a manager with leaf and intermediate, gets its own from there, works and renews', async () => {
      using segment = createSegment(['manager', 'engine'])
      const issuer = await issuingManager({ cluster: await testCluster(), grant: withManagers })
      await using probe = await startManager(segment.at('manager'), issuer, await managerLeaf(issuer))
      await using engine = await startDockerd(segment.at('engine'))
      expect(await swarmJoin(engine, probe.workerToken, probe.address)).toMatchObject({ code: 0 })
      const { nodeId, state } = await swarmOf(engine)
      expect(state).toBe('active')
      const kept = parseCertificateChain(keptChain(engine))
      expect(kept).toHaveLength(2)
      expect(kept[1]?.serial).toBe(issuer.intermediate.serial)
      expect(kept[0]?.dnsNames).toEqual(['swarm-worker', `${nodeId}.${issuer.cluster.clusterId}`])
      await until('a heartbeat', 15_000, () => (logged(engine, HEARTBEAT) > 0 ? true : null))
      expect(logged(engine, REGISTERED)).toBe(1)

      probe.manager.rotate(nodeId)
      await until('the renewed certificate on disk', 15_000, () =>
        probe.manager.nodes.get(nodeId)?.issuedSerials[1] === keptSerial(engine) ? true : null,
      )
      const beats = logged(engine, HEARTBEAT)
      await until('another heartbeat', 15_000, () => (logged(engine, HEARTBEAT) > beats ? true : null))
      expect(await swarmOf(engine)).toMatchObject({ state: 'active', nodeId })
    })

    it('refuses and accepts what the table of intermediates says of Go', async () => {
      const cluster = await testCluster()
      const issuer = await issuingManager({ cluster })
      const all = await forgeries(cluster)
      // An engine tries for ten seconds before it gives up, so several share the work.
      const lanes = Array.from({ length: 3 }, (_, lane) => all.filter((_forged, index) => index % 3 === lane))
      const seen = await Promise.all(lanes.map(async (lane) => await tryAll(lane, issuer)))
      expect(seen.flat().toSorted(byName)).toEqual(all.map(({ name, go }) => ({ name, go })).toSorted(byName))
    })
  },
)
