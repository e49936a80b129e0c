import { once } from 'node:events'
import {
  connect as connectHttp2,
  createSecureServer,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { type EvictionBook, evictionBook, notEvicted, type PeerIdentity, viewOf } from '@leastwise/identity'
import {
  clientContextOptions,
  createConnectionRegistry,
  createDecisionCache,
  peerOf,
  serverContextOptions,
} from '@leastwise/identity/node'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type TestCluster, type TestNode, testCluster } from '../support/test-authority.ts'
import { dial, identityOf, listen } from './tls-support.ts'

const DAY_MS = 86_400_000
const now = Math.floor(Date.now() / 1000) * 1000
let cluster: TestCluster
let manager: TestNode
let good: TestNode
let bad: TestNode
beforeAll(async () => {
  cluster = await testCluster({ now })
  manager = await cluster.issue({ role: 'manager' })
  ;[good, bad] = [await cluster.issue(), await cluster.issue()]
})

const evict = (book: EvictionBook, { nodeId }: TestNode): EvictionBook =>
  evictionBook
    .decide(book, {
      type: 'add',
      evictions: [{ kind: 'node', nodeId, reason: 'key-compromise', at: now, until: now + 90 * DAY_MS }],
    })
    .reduce(evictionBook.evolve, book)

const whoIs = (socket: TLSSocket): PeerIdentity =>
  peerOf(socket, { roots: [cluster.root], clusterId: cluster.clusterId, now: Date.now() })!

describe('on eviction', () => {
  it('every connection of the node is cut at once, with its streams; those of others go on', async () => {
    let book = evictionBook.initial
    const registry = createConnectionRegistry({
      authorize: notEvicted({ readView: () => viewOf(book), now: () => now, whenStale: 'refuse' }),
    })
    const server = createSecureServer(serverContextOptions(identityOf(manager)))
    const sessions: ServerHttp2Session[] = []
    onTestFinished(() => {
      for (const session of sessions) session.destroy()
      server.close()
    })
    const proven = new Map<string, PeerIdentity>()
    server.prependListener('secureConnection', (socket: TLSSocket) => {
      proven.set(`${socket.remotePort}`, whoIs(socket))
    })
    server.on('session', (session: ServerHttp2Session) => {
      sessions.push(session)
      session.on('error', () => undefined)
      registry.bind(session, proven.get(`${session.socket.remotePort}`)!)
    })
    server.on('stream', (stream: ServerHttp2Stream) => {
      stream.on('error', () => undefined)
      stream.respond({ ':status': 200 })
      stream.write('x')
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const open = async (node: TestNode, streams: number) => {
      const client = connectHttp2(`https://127.0.0.1:${port}`, clientContextOptions(identityOf(node)))
      client.on('error', () => undefined)
      onTestFinished(() => {
        client.destroy()
      })
      const calls = await Promise.all(
        Array.from({ length: streams }, async () => {
          const call = client.request({ ':path': '/' })
          call.on('error', () => undefined)
          await once(call, 'data')
          return call
        }),
      )
      return { client, calls }
    }
    const [one, two, other] = [await open(bad, 3), await open(bad, 1), await open(good, 2)]
    expect(registry.size).toBe(3)
    book = evict(book, bad)
    const ends = [one, two].flatMap(({ client, calls }) => [
      once(client, 'close'),
      ...calls.map((call) => once(call, 'close')),
    ])
    expect(registry.recheck().map(({ nodeId }) => nodeId)).toEqual([bad.nodeId, bad.nodeId])
    await Promise.all(ends)
    expect(registry.peers().map(({ nodeId }) => nodeId)).toEqual([good.nodeId])
    expect(other.client.destroyed).toBe(false)
    expect(other.calls.every((call) => !call.closed)).toBe(true)
    expect(registry.recheck()).toEqual([])
  })

  it('a connection that comes later is cut when it is bound', async () => {
    const book = evict(evictionBook.initial, bad)
    const registry = createConnectionRegistry({
      authorize: notEvicted({ readView: () => viewOf(book), now: () => now, whenStale: 'refuse' }),
    })
    const server = await listen(serverContextOptions(identityOf(manager)))
    const arriving = server.nextSocket()
    await dial(server.port, clientContextOptions(identityOf(bad)))
    const seen = await arriving
    expect(() => {
      registry.bind(seen, whoIs(seen))
    }).toThrowCode('PEER_EVICTED')
    expect(seen.destroyed).toBe(true)
    expect(registry.size).toBe(0)
  })

  it('a connection that closes by itself is forgotten, and one that is gone already is not kept', async () => {
    const registry = createConnectionRegistry<string>({ authorize: () => undefined })
    const server = await listen(serverContextOptions(identityOf(manager)))
    const arriving = server.nextSocket()
    const client = await dial(server.port, clientContextOptions(identityOf(good)))
    const seen = await arriving
    registry.bind(seen, 'good')
    expect(registry.peers()).toEqual(['good'])
    const closed = once(seen, 'close')
    client.destroy()
    await closed
    expect(registry.size).toBe(0)
    registry.bind(seen, 'good')
    expect(registry.size).toBe(0)
  })

  it('cached decisions are dropped, before anybody is asked again', () => {
    let book = evictionBook.initial
    const cache = createDecisionCache<true>({ max: 10, ttlMs: DAY_MS, clock: { now: () => now } })
    const judge = notEvicted({ readView: () => viewOf(book), now: () => now, whenStale: 'refuse' })
    const cached = (peer: PeerIdentity): void => {
      // The epoch of the decision never changes here, so that only dropping it helps.
      cache.recall(peer.nodeId, 1, () => {
        judge(peer)
        return true
      })
    }
    const registry = createConnectionRegistry({ authorize: cached, caches: [cache] })
    const peer = {
      nodeId: bad.nodeId,
      serial: '4a',
      role: 'worker',
      clusterId: cluster.clusterId,
      notBefore: 0,
      notAfter: 1,
    } as const
    let destroyed = 0
    const connection = { destroyed: false, destroy: () => (destroyed += 1), once: () => undefined }
    registry.bind(connection, peer)
    book = evict(book, bad)
    expect(() => {
      cached(peer)
    }).not.toThrow()
    expect(registry.recheck()).toEqual([peer])
    expect(destroyed).toBe(1)
    expect(() => {
      cached(peer)
    }).toThrowCode('PEER_EVICTED')
    // The sequence of the view as the epoch does the same without a registry.
    const byEpoch = createDecisionCache<true>({ max: 10, ttlMs: DAY_MS, clock: { now: () => now } })
    const ask = (): true =>
      byEpoch.recall('k', viewOf(book).sequence, () => {
        judge({ ...peer, nodeId: good.nodeId })
        return true
      })
    expect(ask()).toBe(true)
    book = evict(book, good)
    expect(ask).toThrowCode('PEER_EVICTED')
  })
})
