import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { type ConnectionOptions, createServer, type TLSSocket } from 'node:tls'
import {
  allowRoles,
  createCsr,
  createEvictionPublisher,
  type EvictionBook,
  evictionBook,
  formatCertificateChain,
  type HeldEvictions,
  holdEvictions,
  issueCertificate,
} from '@leastwise/identity'
import {
  clientContextOptions,
  createNodeKey,
  createPeerGate,
  exportPrivateKey,
  hotTls,
  openEvictionFile,
  type PeerGate,
  type PeerGateOptions,
  systemClock,
  systemDigest,
  systemRandom,
  systemVerifier,
  type TlsIdentity,
} from '@leastwise/identity/node'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { tempDir } from '../support/temp-dir.ts'
import { type TestCluster, type TestNode, testCluster, testNodeId } from '../support/test-authority.ts'
import { bookWith, ofNode, signerOf } from './eviction-support.ts'
import { DAY, deps, issuingManager } from './intermediate-support.ts'
import { dial, echo, identityOf } from './tls-support.ts'

let cluster: TestCluster
let manager: TestNode
let a: TestNode
let b: TestNode
let c: TestNode
beforeAll(async () => {
  cluster = await testCluster()
  manager = await cluster.issue({ role: 'manager' })
  ;[a, b, c] = [await cluster.issue(), await cluster.issue(), await cluster.issue()]
})

/** A service of one worker, which listens on loopback and echoes to peers that its gate lets in. */
async function serviceOf(node: TestNode, options: Partial<PeerGateOptions> & { readonly evictions: HeldEvictions }) {
  const refusals: string[] = []
  const trusted = [cluster.root]
  const gate: PeerGate = createPeerGate({ roots: () => trusted, now: Date.now, whenStale: 'refuse', ...options })
  const hot = hotTls(identityOf(node), {
    admit: (socket) => {
      try {
        gate.admit(socket)
      } catch (error) {
        refusals.push((error as { code: string }).code)
        throw error
      }
    },
  })
  const server = createServer(hot.serverOptions())
  const sockets: TLSSocket[] = []
  hot.serve(server)
  server.on('secureConnection', (socket) => {
    sockets.push(socket)
    socket.on('error', () => undefined)
    socket.on('data', (data: Buffer) => socket.write(data))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
    gate[Symbol.dispose]()
  })
  const { port } = server.address() as AddressInfo
  /** One worker's own connection to the service of the other. */
  const connectAs = async (peer: TlsIdentity): Promise<TLSSocket> => await dial(port, asWorker(peer))
  /** How it ends for a peer that is not let in: TLS is done, and then nobody is there. */
  const refused = async (peer: TlsIdentity | null): Promise<string | undefined> => {
    const options = peer === null ? { rejectUnauthorized: false, ALPNProtocols: ['h2'] } : asWorker(peer)
    const socket = await dial(port, options)
    await once(socket, 'close')
    return refusals.at(-1)
  }
  return { gate, sockets, connectAs, refused }
}

const asWorker = (peer: TlsIdentity): ConnectionOptions => ({
  ...clientContextOptions(peer),
  servername: 'swarm-worker',
})

/** What the managers push: each call gives the list with which `who` is evicted, too. */
function pushing() {
  let book: EvictionBook = evictionBook.initial
  const listFor = async (lifeMs = 3_600_000): Promise<Uint8Array> => {
    const stop = new AbortController()
    const signer = signerOf(manager)
    const { clusterId } = cluster
    const publisher = createEvictionPublisher({
      ...{ clusterId, lifeMs, clock: systemClock, digest: systemDigest, random: systemRandom },
      readBook: () => book,
      signAs: () => signer,
    })
    for await (const list of publisher.lists(0, { signal: stop.signal })) return list
    throw new Error('no list came')
  }
  return {
    listFor,
    evict: async (who: Pick<TestNode, 'nodeId'>): Promise<Uint8Array> => {
      book = bookWith(book, ofNode(who.nodeId, Date.now()))
      return await listFor()
    },
  }
}
const trust = () => ({ roots: [cluster.root], now: Date.now() })
const holding = (): HeldEvictions =>
  holdEvictions({ clusterId: cluster.clusterId, verifier: systemVerifier, digest: systemDigest })

describe('two workers that talk to each other directly', () => {
  it('refuse an evicted one at its next handshake, and cut its open connections with the list', async () => {
    const evictions = holding()
    const { evict, listFor } = pushing()
    await evictions.take(await listFor(), trust())
    const service = await serviceOf(a, { evictions })
    const [fromB, fromC] = [await service.connectAs(b), await service.connectAs(c)]
    expect(await echo(fromB, 'hello')).toBe('hello')
    const gone = once(fromB, 'close')
    const list = await evict(b)
    const before = performance.now()
    await evictions.take(list, trust())
    await gone
    expect(performance.now() - before).toBeLessThan(1000)
    expect(await echo(fromC, 'still here')).toBe('still here')
    expect(service.gate.peers().map(({ nodeId }) => nodeId)).toEqual([c.nodeId])
    expect(await service.refused(b)).toBe('PEER_EVICTED')
  })

  it('remember it over a restart, also while no manager can be reached', async () => {
    const path = `${tempDir()}/evictions`
    const { clusterId } = cluster
    const file = await openEvictionFile(path, { clusterId })
    const { evict } = pushing()
    const first = holdEvictions({ clusterId, verifier: systemVerifier, digest: systemDigest, save: file.save })
    await first.take(await evict(b), trust())
    const kept = await (await openEvictionFile(path, { clusterId })).load()
    const evictions = holdEvictions({
      clusterId,
      verifier: systemVerifier,
      digest: systemDigest,
      ...(kept === null ? {} : { view: kept }),
    })
    const service = await serviceOf(a, { evictions })
    expect(await service.refused(b)).toBe('PEER_EVICTED')
    expect(await echo(await service.connectAs(c), 'hello')).toBe('hello')
  })

  it('refuse and cut everybody when no list has come for too long, where that is wanted; otherwise only whom they know', async () => {
    const evictions = holding()
    const { evict } = pushing()
    await evictions.take(await evict(b), trust())
    let now = Date.now()
    const strict = await serviceOf(a, { evictions, now: () => now })
    const lenient = await serviceOf(a, { evictions, now: () => now, whenStale: 'pass' })
    const [one, two] = [await strict.connectAs(c), await lenient.connectAs(c)]
    now += 3_600_001
    const gone = once(one, 'close')
    evictions.recheck()
    await gone
    expect(await strict.refused(c)).toBe('EVICTIONS_STALE')
    expect(await echo(two, 'hello')).toBe('hello')
    expect(await lenient.refused(b)).toBe('PEER_EVICTED')
    const fresh = await serviceOf(a, { evictions: holding() })
    expect(await fresh.refused(c)).toBe('EVICTIONS_STALE')
  })

  it('end what an evicted manager has issued, also on open connections', async () => {
    const whole = await issuingManager({ cluster, managerNumber: 901 })
    const evictions = holding()
    const { evict, listFor } = pushing()
    await evictions.take(await listFor(), trust())
    const service = await serviceOf(a, { evictions })
    const signer = createNodeKey()
    const { clusterId } = cluster
    const grant = { nodeId: testNodeId(77), role: 'worker', clusterId, lifetimeMs: DAY } as const
    const leaf = await issueCertificate(whole.authority, await createCsr(signer), grant, deps(Date.now()))
    const node: TlsIdentity = {
      privateKey: exportPrivateKey(signer),
      certificateChain: formatCertificateChain([leaf, whole.intermediate]),
      trustBundle: cluster.root.pem,
    }
    const open = await service.connectAs(node)
    const gone = once(open, 'close')
    await evictions.take(await evict(whole.manager), trust())
    await gone
    expect(await service.refused(node)).toBe('PEER_ISSUER_REVOKED')
  })

  it('ask what else the host wants to know, and want a certificate', async () => {
    const evictions = holding()
    await evictions.take(await pushing().listFor(), trust())
    const service = await serviceOf(a, { evictions, authorize: allowRoles('manager') })
    expect(await service.refused(b)).toBe('PEER_WRONG_ROLE')
    expect(await service.refused(null)).toBe('PEER_UNKNOWN')
    expect(service.gate.peers()).toEqual([])
  })

  it('judge a request on an open connection anew', async () => {
    const evictions = holding()
    const { evict, listFor } = pushing()
    await evictions.take(await listFor(), trust())
    const service = await serviceOf(a, { evictions })
    const open = await service.connectAs(b)
    await echo(open, 'hello')
    const [socket] = service.sockets
    expect(service.gate.peerOf(socket!).nodeId).toBe(b.nodeId)
    service.gate[Symbol.dispose]()
    // It follows no more, but asks what holds now.
    await evictions.take(await evict(b), trust())
    expect(() => service.gate.peerOf(socket!)).toThrowCode('PEER_EVICTED')
    expect(service.gate.recheck()).toMatchObject([{ nodeId: b.nodeId }])
  })
})
