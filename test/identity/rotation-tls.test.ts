import { type Certificate, formatCertificateChain, rootIdOf, selfIssuedBridges } from '@leastwise/identity'
import {
  clientContextOptions,
  learnBridges,
  observePeer,
  peerOf,
  serverContextOptions,
  systemVerifier,
} from '@leastwise/identity/node'
import { beforeAll, describe, expect, it } from 'vitest'
import { type TestCluster, type TestNode, testCluster } from '../support/test-authority.ts'
import { crossed, dockerCrossed, rootOfCluster } from './rotation-support.ts'
import { dial, echo, identityOf, listen } from './tls-support.ts'

let one: TestCluster
let two: TestCluster
let three: TestCluster
let twoByOne: Certificate
let threeByTwo: Certificate
beforeAll(async () => {
  const now = Date.now()
  one = await testCluster({ now })
  two = await testCluster({ now, commonName: 'swarm-ca-2' })
  three = await testCluster({ now, commonName: 'swarm-ca-3' })
  twoByOne = await crossed(rootOfCluster(two), rootOfCluster(one), now)
  threeByTwo = await crossed(rootOfCluster(three), rootOfCluster(two), now)
})

/** A node with what it presents and what it trusts. */
const node = async (
  under: TestCluster,
  role: 'worker' | 'manager',
  above: readonly Certificate[],
  trusts: readonly TestCluster[],
): Promise<TestNode> => {
  const issued = await under.issue({ role })
  return {
    ...issued,
    certificateChain: formatCertificateChain([issued.certificate, ...above]),
    trustBundle: trusts.map(({ root }) => root.pem).join(''),
  }
}

describe('while the root rotates', () => {
  it('each node shakes hands with each other one over TLS, whatever either presents and trusts', async () => {
    const presents = {
      old: [one, []],
      new: [two, [twoByOne]],
    } as const
    const trusts = { old: [one], both: [one, two], new: [two] } as const
    // Nobody trusts the new root alone while somebody still presents a certificate of the old one.
    const kinds = [
      ['old', 'old'],
      ['old', 'both'],
      ['new', 'old'],
      ['new', 'both'],
      ['new', 'new'],
    ] as const
    for (const [serverShows, serverTrusts] of kinds) {
      const server = await node(presents[serverShows][0], 'manager', presents[serverShows][1], trusts[serverTrusts])
      const { port, sockets } = await listen(serverContextOptions(identityOf(server)))
      for (const [clientShows, clientTrusts] of kinds) {
        const apart = [serverShows, clientShows].includes('old') && [serverTrusts, clientTrusts].includes('new')
        if (apart) continue
        const client = await node(presents[clientShows][0], 'worker', presents[clientShows][1], trusts[clientTrusts])
        const socket = await dial(port, clientContextOptions(identityOf(client)))
        expect(await echo(socket, 'hello')).toBe('hello')
        const trust = { clusterId: one.clusterId, now: Date.now() }
        const roots = (all: readonly TestCluster[]) => all.map(({ root }) => root)
        const far = sockets.at(-1)!
        const seenByServer = peerOf(far, { ...trust, roots: roots(trusts[serverTrusts]) })
        expect(seenByServer).toMatchObject({ nodeId: client.nodeId })
        expect(peerOf(socket, { ...trust, roots: roots(trusts[clientTrusts]) })).toMatchObject({
          nodeId: server.nodeId,
        })
        // What counts is under which root it presents its certificate.
        const shown = observePeer(far, { ...trust, roots: roots([two, one]) })
        expect(shown?.rootId).toBe(rootIdOf(clientShows === 'new' ? two.root : one.root))
        socket.destroy()
      }
    }
  })

  it('a second rotation does not lock out who heard of neither', async () => {
    const server = await node(three, 'manager', [threeByTwo, twoByOne], [three])
    const { port, sockets } = await listen(serverContextOptions(identityOf(server)))
    for (const [under, above, trusts] of [
      [three, [threeByTwo, twoByOne], [one]],
      [three, [threeByTwo], [two]],
      [three, [], [three]],
    ] as const) {
      const client = await node(under, 'worker', above, trusts)
      const socket = await dial(port, clientContextOptions(identityOf(client)))
      expect(await echo(socket, 'hello')).toBe('hello')
      const trust = { clusterId: one.clusterId, now: Date.now() }
      expect(peerOf(socket, { ...trust, roots: trusts.map(({ root }) => root) })).toMatchObject({ role: 'manager' })
      const shown = observePeer(sockets.at(-1)!, { ...trust, roots: [three.root, two.root] })
      expect(shown?.rootId).toBe(rootIdOf(three.root))
    }
  })

  it('nobody is observed without a certificate', async () => {
    const server = await node(two, 'manager', [twoByOne], [one, two])
    const { port, sockets } = await listen(serverContextOptions(identityOf(server)))
    const { ca, servername } = clientContextOptions(identityOf(server))
    await echo(await dial(port, { ca, servername }), 'hello')
    expect(observePeer(sockets[0]!, { clusterId: one.clusterId, now: Date.now(), roots: [two.root] })).toBeNull()
  })
})

describe('a cross-signed root of Docker’s shape', () => {
  const dockerLike = async (old: TestCluster, next: TestCluster, key = old.rootKey): Promise<Certificate> =>
    await dockerCrossed(rootOfCluster(next), { ...rootOfCluster(old), privateKey: key })
  const look = async (port: number, old: TestCluster, signal = new AbortController().signal) =>
    await learnBridges({
      host: '127.0.0.1',
      port,
      servername: 'swarm-manager',
      trustBundle: old.root.pem,
      roots: [old.root],
      clusterId: old.clusterId,
      now: Date.now(),
      signal,
    })

  it('is refused by TLS, and believed once it has been proven and told to TLS', async () => {
    const old = await testCluster()
    const next = await testCluster()
    const cross = await dockerLike(old, next)
    const server = await node(next, 'manager', [cross], [old])
    const { port } = await listen(serverContextOptions(identityOf(server)))
    const client = clientContextOptions(identityOf(await node(old, 'worker', [], [old])))
    await expect(dial(port, client)).rejects.toThrowCode('SELF_SIGNED_CERT_IN_CHAIN')
    const learned = await look(port, old)
    expect(learned.map(({ pem }) => pem)).toEqual([cross.pem])
    const socket = await dial(port, { ...client, ca: [old.root.pem, ...learned.map(({ pem }) => pem)] })
    expect(await echo(socket, 'hello')).toBe('hello')
  })

  it('teaches nothing when a stranger signed it, or when a worker shows it', async () => {
    const old = await testCluster()
    const next = await testCluster()
    const stranger = await dockerLike(old, next, next.rootKey)
    const options = { roots: [old.root], now: Date.now(), verifier: systemVerifier }
    const leaf = (await next.issue()).certificate
    expect(selfIssuedBridges([leaf, stranger], options)).toEqual([])
    const forged = await listen(serverContextOptions(identityOf(await node(next, 'manager', [stranger], [old]))))
    await expect(look(forged.port, old)).rejects.toThrowCode('PEER_UNTRUSTED')
    const cross = await dockerLike(old, next)
    expect(selfIssuedBridges([leaf, cross], options)).toHaveLength(1)
    expect(selfIssuedBridges([leaf, cross], { ...options, now: cross.notAfter + 1 })).toEqual([])
    expect(selfIssuedBridges([leaf, cross], { ...options, roots: [] })).toEqual([])
    expect(selfIssuedBridges([cross], options)).toEqual([])
    expect(selfIssuedBridges([leaf, old.root], options)).toEqual([])
    // Ours has a name of its own, which TLS walks.
    expect(selfIssuedBridges([leaf, twoByOne], { ...options, roots: [one.root] })).toEqual([])
    const worker = await listen(serverContextOptions(identityOf(await node(next, 'worker', [cross], [old]))))
    await expect(look(worker.port, old)).rejects.toThrowCode('PEER_WRONG_ROLE')
  })

  it('is not waited for longer than wanted', async () => {
    const old = await testCluster()
    const server = await listen(serverContextOptions(identityOf(await node(old, 'manager', [], [old]))))
    const reason = new Error('enough')
    await expect(look(server.port, old, AbortSignal.abort(reason))).rejects.toBe(reason)
    expect(await look(server.port, old)).toEqual([])
  })
})
