import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { connect, type SecureVersion } from 'node:tls'
import { clientContextOptions } from '@leastwise/identity/node'
import { describe, expect, it, onTestFinished } from 'vitest'
import { identityOf } from '../identity/tls-support.ts'
import { type TestCluster, type TestNode, testCluster } from '../support/test-authority.ts'

// A server process that turns tickets on, with the same keys as its neighbours, and says of each connection what it sees.
const SERVER = `
import { createInterface } from 'node:readline'
import { createServer } from 'node:tls'
import { evictionBook, notEvicted, parseCertificate, viewOf } from '@leastwise/identity'
import { createConnectionRegistry, peerOf, serverContextOptions } from '@leastwise/identity/node'
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const { privateKey, certificateChain, trustBundle, clusterId } = JSON.parse((await lines.next()).value)
const identity = { privateKey: Buffer.from(privateKey, 'base64'), certificateChain, trustBundle }
const roots = [parseCertificate(trustBundle)]
let book = evictionBook.initial
const authorize = notEvicted({ readView: () => viewOf(book), now: Date.now, whenStale: 'refuse' })
const registry = createConnectionRegistry({ authorize })
const say = (what) => process.stdout.write(JSON.stringify(what) + '\\n')
const tickets = { secureOptions: 0, ticketKeys: Buffer.alloc(48, 7), sessionIdContext: 'one service' }
const server = createServer({ ...serverContextOptions(identity), ...tickets }, (socket) => {
  socket.on('error', () => undefined)
  const seen = { reused: socket.isSessionReused(), authorized: socket.authorized }
  try {
    const peer = peerOf(socket, { roots, clusterId, now: Date.now() })
    registry.bind(socket, peer)
    socket.write('hello')
    say({ ...seen, peer: peer.nodeId })
  } catch (error) {
    socket.destroy()
    say({ ...seen, code: error.code })
  }
})
server.listen(0, '127.0.0.1', () => say({ port: server.address().port }))
for await (const line of lines) {
  const { nodeId, at, until } = JSON.parse(line)
  const evictions = [{ kind: 'node', nodeId, reason: 'key-compromise', at, until }]
  book = evictionBook.decide(book, { type: 'add', evictions }).reduce(evictionBook.evolve, book)
  say({ cut: registry.recheck().map((peer) => peer.nodeId) })
}
process.exit(0)
`

async function startServer(cluster: TestCluster, manager: TestNode) {
  const child = spawn(process.execPath, ['--input-type=module', '-e', SERVER], { stdio: ['pipe', 'pipe', 'inherit'] })
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const next = async () => JSON.parse((await lines.next()).value as string) as Readonly<Record<string, unknown>>
  const tell = (what: unknown): void => {
    child.stdin.write(`${JSON.stringify(what)}\n`)
  }
  const { clusterId } = cluster
  const { certificateChain, trustBundle } = manager
  tell({ privateKey: Buffer.from(manager.privateKey).toString('base64'), certificateChain, trustBundle, clusterId })
  const { port } = await next()
  return { port: port as number, next, tell }
}

const VERSIONS: readonly SecureVersion[] = ['TLSv1.2', 'TLSv1.3']
const SECOND_MS = 1000

describe.each(VERSIONS)('%s, fixed ticket keys, three server processes', (maxVersion) => {
  it('an evicted node resumes everywhere and gets in nowhere; its open connections are cut', async () => {
    const cluster = await testCluster()
    const [manager, worker, other] = [
      await cluster.issue({ role: 'manager' }),
      await cluster.issue(),
      await cluster.issue(),
    ]
    const servers = await Promise.all([1, 2, 3].map(async () => await startServer(cluster, manager)))
    const [first] = servers as [(typeof servers)[0]]
    const dial = (port: number, node: TestNode, session?: Buffer) => {
      const identity = clientContextOptions(identityOf(node))
      const resume = session === undefined ? {} : { session }
      const client = connect({ host: '127.0.0.1', port, ...identity, secureOptions: 0, maxVersion, ...resume })
      client.on('error', () => undefined)
      client.on('data', () => undefined)
      onTestFinished(() => {
        client.destroy()
      })
      return client
    }
    const full = dial(first.port, worker)
    // TLS 1.2 has the session within the handshake, TLS 1.3 gives it afterwards.
    const late = maxVersion === 'TLSv1.3' ? (once(full, 'session') as Promise<[Buffer]>) : null
    const greeted = once(full, 'data')
    expect(await first.next()).toEqual({ reused: false, authorized: true, peer: worker.nodeId })
    await greeted
    const session = late === null ? full.getSession()! : (await late)[0]

    const open = [full]
    for (const { port, next } of servers) {
      const resumed = dial(port, worker, session)
      expect(await next()).toEqual({ reused: true, authorized: true, peer: worker.nodeId })
      open.push(resumed)
      dial(port, other)
      expect(await next()).toEqual({ reused: false, authorized: true, peer: other.nodeId })
    }
    const closed = open.map(async (client) => {
      if (!client.closed) await once(client, 'close')
    })
    const at = Math.floor(Date.now() / SECOND_MS) * SECOND_MS
    for (const [index, { next, tell }] of servers.entries()) {
      tell({ nodeId: worker.nodeId, at, until: at + 90 * 86_400 * SECOND_MS })
      expect(await next()).toEqual({ cut: index === 0 ? [worker.nodeId, worker.nodeId] : [worker.nodeId] })
    }
    await Promise.all(closed)
    for (const { port, next } of servers) {
      // TLS itself would let it in: the ticket is good.
      dial(port, worker, session)
      expect(await next()).toEqual({ reused: true, authorized: true, code: 'PEER_EVICTED' })
      dial(port, worker)
      expect(await next()).toEqual({ reused: false, authorized: true, code: 'PEER_EVICTED' })
      dial(port, other)
      expect(await next()).toMatchObject({ peer: other.nodeId })
    }
  })
})
