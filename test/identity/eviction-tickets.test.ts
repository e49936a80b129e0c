import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import {
  type ConnectionOptions,
  connect,
  createServer,
  type SecureVersion,
  type TLSSocket,
  type TlsOptions,
} from 'node:tls'
import { type EvictionBook, evictionBook, formatCertificateChain, notEvicted, viewOf } from '@leastwise/identity'
import { clientContextOptions, createConnectionRegistry, peerOf, serverContextOptions } from '@leastwise/identity/node'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type TestCluster, type TestNode, testCluster } from '../support/test-authority.ts'
import { crossSigned } from './cross-signed.ts'
import { identityOf } from './tls-support.ts'

const DAY_MS = 86_400_000
const now = Math.floor(Date.now() / 1000) * 1000
/** What a host sets so that several processes behind one address resume each other's sessions. */
const TICKET_KEYS = Buffer.alloc(48, 7)
const VERSIONS: readonly SecureVersion[] = ['TLSv1.2', 'TLSv1.3']
let cluster: TestCluster
let manager: TestNode
let worker: TestNode
beforeAll(async () => {
  cluster = await testCluster({ now })
  ;[manager, worker] = [await cluster.issue({ role: 'manager' }), await cluster.issue()]
})

/** Against our advice: tickets, with the same keys everywhere. */
const withTickets = (): TlsOptions => ({
  ...serverContextOptions(identityOf(manager)),
  secureOptions: 0,
  ticketKeys: TICKET_KEYS,
  sessionIdContext: 'one service',
})

async function serve(options: TlsOptions) {
  const server = createServer(options)
  const sockets: TLSSocket[] = []
  server.on('secureConnection', (socket) => {
    socket.on('error', () => undefined)
    socket.write('hello')
    sockets.push(socket)
  })
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { server, port: (server.address() as AddressInfo).port }
}

/** Connects, and gives both ends and the newest session. */
async function meet({ server, port }: Awaited<ReturnType<typeof serve>>, options: ConnectionOptions) {
  const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>
  const client = connect({ host: '127.0.0.1', port, ...options })
  client.on('error', () => undefined)
  client.on('data', () => undefined)
  onTestFinished(() => {
    client.destroy()
  })
  const [[seen]] = await Promise.all([accepted, once(client, 'data')])
  return { client, seen }
}

/** A full handshake and the session that it leaves: TLS 1.2 has it within the handshake, TLS 1.3 gives it afterwards. */
async function meetForSession(server: Awaited<ReturnType<typeof serve>>, options: ConnectionOptions) {
  const { client, seen } = await meet(server, options)
  const session =
    options.maxVersion === 'TLSv1.3' ? ((await once(client, 'session')) as [Buffer])[0] : client.getSession()!
  return { seen, session }
}

const trust = () => ({ roots: [cluster.root], clusterId: cluster.clusterId, now: Date.now() })

const evicted = (): EvictionBook =>
  evictionBook
    .decide(evictionBook.initial, {
      type: 'add',
      evictions: [{ kind: 'node', nodeId: worker.nodeId, reason: 'key-compromise', at: now, until: now + 90 * DAY_MS }],
    })
    .reduce(evictionBook.evolve, evictionBook.initial)

describe.each(VERSIONS)('a session ticket of %s with fixed keys', (maxVersion) => {
  it('resumes at another server, and says who is there: the evicted node is refused', async () => {
    const [first, second] = [await serve(withTickets()), await serve(withTickets())]
    const options = { ...clientContextOptions(identityOf(worker)), secureOptions: 0, maxVersion }
    const { session } = await meetForSession(first, options)
    // A host that only asked TLS would let the node in: this is what our checks are for.
    const resumed = await meet(second, { ...options, session })
    expect(resumed.client.isSessionReused()).toBe(true)
    expect(resumed.seen.isSessionReused()).toBe(true)
    expect(resumed.seen.authorized).toBe(true)

    let book = evictionBook.initial
    const registry = createConnectionRegistry({
      authorize: notEvicted({ readView: () => viewOf(book), now: () => now, whenStale: 'refuse' }),
    })
    const peer = peerOf(resumed.seen, trust())
    expect(peer).toMatchObject({ nodeId: worker.nodeId, serial: worker.certificate.serial })
    registry.bind(resumed.seen, peer!)

    book = evicted()
    expect(registry.recheck().map(({ nodeId }) => nodeId)).toEqual([worker.nodeId])
    const again = await meet(second, { ...options, session })
    expect(again.client.isSessionReused()).toBe(true)
    expect(() => {
      registry.bind(again.seen, peerOf(again.seen, trust())!)
    }).toThrowCode('PEER_EVICTED')
    expect(again.seen.destroyed).toBe(true)
  })

  it('outlives trust in TLS alone: a root that is trusted no more is seen by us', async () => {
    const server = await serve(withTickets())
    const options = { ...clientContextOptions(identityOf(worker)), secureOptions: 0, maxVersion }
    const { session } = await meetForSession(server, options)
    const other = await testCluster({ clusterId: cluster.clusterId, commonName: 'swarm-ca-2' })
    const resumed = await meet(server, { ...options, session })
    expect(resumed.seen.isSessionReused()).toBe(true)
    expect(() => peerOf(resumed.seen, { ...trust(), roots: [other.root] })).toThrowCode('PEER_UNTRUSTED')
  })

  it('keeps no chain: a node below an intermediate is refused when it resumes, and must show its chain again', async () => {
    const next = await testCluster({ clusterId: cluster.clusterId, commonName: 'swarm-ca-3', now })
    const cross = await crossSigned(next, cluster)
    const leaf = await next.issue()
    const chained = {
      ...identityOf(leaf),
      certificateChain: formatCertificateChain([leaf.certificate, cross]),
      trustBundle: cluster.root.pem,
    }
    const server = await serve(withTickets())
    const options = { ...clientContextOptions(chained), secureOptions: 0, maxVersion }
    const full = await meetForSession(server, options)
    expect(peerOf(full.seen, trust())?.nodeId).toBe(leaf.nodeId)
    const resumed = await meet(server, { ...options, session: full.session })
    expect(resumed.seen.isSessionReused()).toBe(true)
    expect(() => peerOf(resumed.seen, trust())).toThrowCode('PEER_UNTRUSTED')
  })

  it('is worth nothing at a server as we make it', async () => {
    const server = await serve({ ...serverContextOptions(identityOf(manager)), ticketKeys: TICKET_KEYS })
    const options = { ...clientContextOptions(identityOf(worker)), secureOptions: 0, maxVersion }
    // TLS 1.3 hands out numbers of sessions that it has nowhere, TLS 1.2 nothing to resume.
    const { session } = await meetForSession(server, options)
    const again = await meet(server, { ...options, session })
    expect(again.client.isSessionReused()).toBe(false)
  })
})
