import { once } from 'node:events'
import { connect as connectHttp2, createSecureServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { inspect } from 'node:util'
import {
  type Certificate,
  type ClusterId,
  formatCertificateChain,
  type MembershipCommand,
  member,
  membership,
  parseTrustBundle,
} from '@leastwise/identity'
import {
  anonymousContextOptions,
  clientContextOptions,
  hotTls,
  openSigner,
  peerOf,
  secureContextOptions,
  serverContextOptions,
  systemVerifier,
} from '@leastwise/identity/node'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type TestCluster, type TestNode, testCluster, testClusterId } from '../support/test-authority.ts'
import { crossSigned } from './cross-signed.ts'
import { dial, echo, identityOf, listen, type TestServer } from './tls-support.ts'

let ours: TestCluster
let foreign: TestCluster
let manager: TestNode
let worker: TestNode
let stranger: TestNode
beforeAll(async () => {
  ours = await testCluster({ clusterId: testClusterId(1) })
  foreign = await testCluster({ clusterId: testClusterId(2), commonName: 'swarm-ca-2' })
  ;[manager, worker, stranger] = [
    await ours.issue({ role: 'manager' }),
    await ours.issue(),
    await foreign.issue({ role: 'manager' }),
  ]
})

const trustOf = (
  cluster: TestCluster,
  now: number = Date.now(),
): { readonly roots: readonly Certificate[]; readonly clusterId: ClusterId; readonly now: number } => ({
  roots: [cluster.root],
  clusterId: cluster.clusterId,
  now,
})

async function meet(
  server: TestServer,
  options: ConnectionOptions,
): Promise<{ readonly client: TLSSocket; readonly seen: TLSSocket }> {
  const seen = server.nextSocket()
  const client = await dial(server.port, options)
  return { client, seen: await seen }
}

describe('who is there', () => {
  it('a node of the cluster is known on both sides', async () => {
    const server = await listen(serverContextOptions(identityOf(manager)))
    const { client, seen } = await meet(server, clientContextOptions(identityOf(worker)))
    expect(peerOf(seen, trustOf(ours))).toMatchObject({
      nodeId: worker.nodeId,
      role: 'worker',
      clusterId: ours.clusterId,
      serial: worker.certificate.serial,
    })
    expect(peerOf(client, trustOf(ours))).toMatchObject({ nodeId: manager.nodeId, role: 'manager' })
    expect(client.alpnProtocol).toBe('h2')
    expect(client.getProtocol()).toBe('TLSv1.3')
    expect(await echo(client, 'hello')).toBe('hello')
  })

  it('nobody, when no certificate is shown', async () => {
    const server = await listen(serverContextOptions(identityOf(manager)))
    const { client, seen } = await meet(server, anonymousContextOptions(manager.trustBundle))
    expect(peerOf(seen, trustOf(ours))).toBeNull()
    expect(peerOf(client, trustOf(ours))?.nodeId).toBe(manager.nodeId)
  })

  it('a node of another cluster is refused, by our roots and by the name of the cluster', async () => {
    const server = await listen(serverContextOptions(identityOf(manager)))
    const options = clientContextOptions({ ...identityOf(stranger), trustBundle: manager.trustBundle })
    const { seen } = await meet(server, options)
    expect(() => peerOf(seen, trustOf(ours))).toThrowCode('PEER_UNTRUSTED')

    // Another cluster under the same root, as an operator might set it up.
    const trusting = { ...trustOf(ours), clusterId: foreign.clusterId }
    const own = await meet(server, clientContextOptions(identityOf(worker)))
    expect(() => peerOf(own.seen, trusting)).toThrowCode('PEER_WRONG_CLUSTER')
  })

  it('TLS must vouch too: roots that TLS does not know are not enough', async () => {
    const server = await listen(serverContextOptions(identityOf(manager)))
    const { seen } = await meet(
      server,
      clientContextOptions({ ...identityOf(stranger), trustBundle: manager.trustBundle }),
    )
    expect(seen.authorized).toBe(false)
    expect(() => peerOf(seen, trustOf(foreign))).toThrowCode('PEER_UNTRUSTED')
  })

  it('our own check must hold too: what TLS alone believes is not enough', async () => {
    const server = await listen(
      serverContextOptions({ ...identityOf(manager), trustBundle: manager.trustBundle + stranger.trustBundle }),
    )
    const { seen } = await meet(
      server,
      clientContextOptions({ ...identityOf(stranger), trustBundle: manager.trustBundle }),
    )
    expect(seen.authorized).toBe(true)
    expect(() => peerOf(seen, trustOf(ours))).toThrowCode('PEER_UNTRUSTED')
  })

  it('an expired certificate and one of the future are refused', async () => {
    const past = await ours.issue({ now: ours.now - 3_600_000, lifetimeMs: 1_800_000, backdateMs: 0 })
    const future = await ours.issue({ now: ours.now + 3_600_000, backdateMs: 0 })
    const server = await listen(serverContextOptions(identityOf(manager)))
    const expired = await meet(server, clientContextOptions(identityOf(past)))
    expect(() => peerOf(expired.seen, trustOf(ours))).toThrowCode('PEER_EXPIRED')
    const early = await meet(server, clientContextOptions(identityOf(future)))
    expect(() => peerOf(early.seen, trustOf(ours))).toThrowCode('PEER_NOT_YET_VALID')
  })

  it('a CA certificate is no node, even the root with its key', async () => {
    const server = await listen(serverContextOptions(identityOf(manager)))
    const { seen } = await meet(
      server,
      clientContextOptions({ privateKey: ours.rootKey, certificateChain: ours.root.pem, trustBundle: ours.root.pem }),
    )
    expect(() => peerOf(seen, trustOf(ours))).toThrowCode('PEER_PROFILE_INVALID')
  })

  it('a chain with the root behind it and with strangers among it', async () => {
    const server = await listen(serverContextOptions(identityOf(manager)))
    const withRoot = {
      ...identityOf(worker),
      certificateChain: formatCertificateChain([worker.certificate, ours.root]),
    }
    const { seen } = await meet(server, clientContextOptions(withRoot))
    expect(peerOf(seen, trustOf(ours))?.nodeId).toBe(worker.nodeId)
    const padded = {
      ...identityOf(worker),
      certificateChain: formatCertificateChain([worker.certificate, foreign.root]),
    }
    const other = await meet(server, clientContextOptions(padded))
    expect(peerOf(other.seen, trustOf(ours))?.nodeId).toBe(worker.nodeId)
  })

  it('a chain through a new root that the old one signed, for a peer that trusts the old one alone', async () => {
    const next = await testCluster({ clusterId: ours.clusterId, commonName: 'swarm-ca-3' })
    const cross = await crossSigned(next, ours)
    const leaf = await next.issue()
    const server = await listen(serverContextOptions(identityOf(manager)))
    const chained = {
      ...identityOf(leaf),
      certificateChain: formatCertificateChain([leaf.certificate, cross]),
      trustBundle: ours.root.pem,
    }
    const { seen } = await meet(server, clientContextOptions(chained))
    expect(peerOf(seen, trustOf(ours))?.nodeId).toBe(leaf.nodeId)
    const cut = await meet(server, clientContextOptions({ ...chained, certificateChain: leaf.certificateChain }))
    expect(() => peerOf(cut.seen, trustOf(ours))).toThrowCode('PEER_UNTRUSTED')
  })

  it('nobody can be asked about once the connection is gone', async () => {
    const server = await listen(serverContextOptions(identityOf(manager)))
    const { seen } = await meet(server, clientContextOptions(identityOf(worker)))
    seen.destroy()
    await once(seen, 'close')
    expect(() => peerOf(seen, trustOf(ours))).toThrowCode('PEER_DISCONNECTED')
  })

  it('a removed node is proven, and refused by the membership', async () => {
    const { nodeId } = worker
    const commands: readonly MembershipCommand[] = [
      { type: 'admit', nodeId, role: 'worker', csr: worker.csr.pem, publicKeyHash: 'key', now: ours.now },
      {
        type: 'record-certificate',
        nodeId,
        csr: worker.csr.pem,
        certificate: worker.certificateChain,
        serial: worker.certificate.serial,
        notAfter: worker.certificate.notAfter,
      },
      { type: 'evict', nodeId, reason: '', now: ours.now },
    ]
    const states = commands.map((_, at) =>
      commands
        .slice(0, at + 1)
        .reduce((state, each) => membership.decide(state, each).reduce(membership.evolve, state), membership.initial),
    )
    let state = states[1]!
    const authorize = member(() => state)
    const server = await listen(serverContextOptions(identityOf(manager)))
    const { seen } = await meet(server, clientContextOptions(identityOf(worker)))
    const peer = peerOf(seen, trustOf(ours))!
    expect(() => {
      authorize(peer)
    }).not.toThrow()
    state = states[2]!
    expect(() => {
      authorize(peer)
    }).toThrowCode('PEER_EVICTED')
  })
})

describe('what is bound to a socket', () => {
  it('costs one verification, until trust changes or time passes the certificate', async () => {
    const server = await listen(serverContextOptions(identityOf(manager)))
    const { seen } = await meet(server, clientContextOptions(identityOf(worker)))
    let checks = 0
    const verifier: typeof systemVerifier = {
      verify: (...args) => {
        checks += 1
        return systemVerifier.verify(...args)
      },
    }
    const trust = { ...trustOf(ours), verifier }
    const first = peerOf(seen, trust)
    expect(peerOf(seen, { ...trust, now: trust.now + 1 })).toBe(first)
    expect(checks).toBe(1)
    expect(peerOf(seen, { ...trust, roots: [...trust.roots] })).toEqual(first)
    expect(checks).toBe(2)
    expect(() => peerOf(seen, { ...trust, now: worker.certificate.notAfter + 1 })).toThrowCode('PEER_EXPIRED')
    expect(() => peerOf(seen, { ...trust, roots: [foreign.root] })).toThrowCode('PEER_UNTRUSTED')
    expect(() => peerOf(seen, { ...trust, clusterId: foreign.clusterId })).toThrowCode('PEER_WRONG_CLUSTER')
    expect(peerOf(seen, trust)).toEqual(first)
  })
})

describe('a client', () => {
  it('refuses a server of another cluster, and a worker that plays manager', async () => {
    const other = await listen(serverContextOptions(identityOf(stranger)))
    await expect(dial(other.port, clientContextOptions(identityOf(worker)))).rejects.toThrowCode(
      'SELF_SIGNED_CERT_IN_CHAIN',
    )
    await expect(dial(other.port, anonymousContextOptions(worker.trustBundle))).rejects.toThrowCode(
      'SELF_SIGNED_CERT_IN_CHAIN',
    )
    const second = await ours.issue()
    const impostor = await listen(serverContextOptions(identityOf(second)))
    for (const name of ['swarm-manager', 'swarm-ca'] as const) {
      await expect(dial(impostor.port, clientContextOptions(identityOf(worker), name))).rejects.toThrowCode(
        'ERR_TLS_CERT_ALTNAME_INVALID',
      )
    }
  })

  it('reaches a manager under both of its names', async () => {
    const server = await listen(serverContextOptions(identityOf(manager)))
    for (const name of ['swarm-manager', 'swarm-ca'] as const) {
      expect((await dial(server.port, clientContextOptions(identityOf(worker), name))).authorized).toBe(true)
    }
  })
})

describe('protocols', () => {
  it('TLS 1.2 is spoken with authenticated encryption only, TLS 1.1 not at all', async () => {
    const server = await listen(serverContextOptions(identityOf(manager)))
    const options = clientContextOptions(identityOf(worker))
    const { client } = await meet(server, { ...options, maxVersion: 'TLSv1.2' })
    expect(client.getProtocol()).toBe('TLSv1.2')
    expect(client.getCipher().name).toMatch(/GCM|CHACHA20/)

    const old = { ...options, minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' } as const
    const failure = server.nextFailure()
    await expect(dial(server.port, old)).rejects.toThrow()
    expect(await failure).toMatch(/UNSUPPORTED_PROTOCOL|VERSION/)

    const cbc = { ...options, maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA' } as const
    const refused = server.nextFailure()
    await expect(dial(server.port, cbc)).rejects.toThrow()
    expect(await refused).toMatch(/NO_SHARED_CIPHER/)
  })

  it('no session is resumed, so every connection shows its chain', async () => {
    const server = await listen(serverContextOptions(identityOf(manager)))
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const sessions: Buffer[] = []
      const options = { ...clientContextOptions(identityOf(worker)), maxVersion }
      const first = await meet(server, options)
      first.client.on('session', (session) => sessions.push(session))
      await echo(first.client, 'x')
      const session = sessions[0] ?? first.client.getSession()
      const again = await meet(server, session === undefined ? options : { ...options, session })
      expect(again.client.isSessionReused()).toBe(false)
      expect(peerOf(again.seen, trustOf(ours))?.nodeId).toBe(worker.nodeId)
    }
  })
})

describe('an identity that changes while connections live', () => {
  it('is shown to new connections; old ones go on under the old one', async () => {
    const hot = hotTls(identityOf(manager))
    const server = await listen(hot.serverOptions())
    const stop = hot.serve(server.server)
    const trust = trustOf(ours)
    const old = await dial(server.port, clientContextOptions(identityOf(worker)))
    const renewed = await ours.issue({ role: 'manager', nodeId: manager.nodeId })
    hot.update(identityOf(renewed))
    const young = await dial(server.port, clientContextOptions(identityOf(worker)))
    expect(peerOf(young, trust)?.serial).toBe(renewed.certificate.serial)
    expect(peerOf(old, trust)?.serial).toBe(manager.certificate.serial)
    expect(await echo(old, 'still here')).toBe('still here')
    expect(hot.identity.certificateChain).toBe(renewed.certificateChain)

    stop()
    hot.update(identityOf(manager))
    const left = await dial(server.port, clientContextOptions(identityOf(worker)))
    expect(peerOf(left, trust)?.serial).toBe(renewed.certificate.serial)
  })

  it('gives new client connections the new identity', async () => {
    const server = await listen(serverContextOptions(identityOf(manager)))
    const hot = hotTls(identityOf(worker))
    const first = await meet(server, hot.clientOptions())
    const renewed = await ours.issue({ nodeId: worker.nodeId })
    hot.update(identityOf(renewed))
    const second = await meet(server, hot.clientOptions())
    expect(peerOf(first.seen, trustOf(ours))?.serial).toBe(worker.certificate.serial)
    expect(peerOf(second.seen, trustOf(ours))?.serial).toBe(renewed.certificate.serial)
  })

  it('changes trust too: a new root lets its nodes in', async () => {
    const hot = hotTls(identityOf(manager))
    const server = await listen(hot.serverOptions())
    hot.serve(server.server)
    const both = manager.trustBundle + stranger.trustBundle
    hot.update({ ...identityOf(manager), trustBundle: both })
    const { roots } = parseTrustBundle(both)
    const { seen } = await meet(server, clientContextOptions({ ...identityOf(stranger), trustBundle: both }))
    expect(peerOf(seen, { roots, clusterId: foreign.clusterId, now: Date.now() })?.nodeId).toBe(stranger.nodeId)
  })

  it('a server that was made before an update shows the new identity once it is served', async () => {
    const hot = hotTls(identityOf(manager))
    const server = await listen(hot.serverOptions())
    const renewed = await ours.issue({ role: 'manager', nodeId: manager.nodeId })
    hot.update(identityOf(renewed))
    hot.serve(server.server)
    const client = await dial(server.port, clientContextOptions(identityOf(worker)))
    expect(peerOf(client, trustOf(ours))?.serial).toBe(renewed.certificate.serial)
  })

  it('no handshake fails while identities change', async () => {
    const hot = hotTls(identityOf(manager))
    const server = await listen(hot.serverOptions())
    hot.serve(server.server)
    const options = clientContextOptions(identityOf(worker))
    const identities = await Promise.all(
      [1, 2, 3].map(async () => identityOf(await ours.issue({ role: 'manager', nodeId: manager.nodeId }))),
    )
    const clients = identities.flatMap((identity) => {
      const dialled = [1, 2, 3, 4].map(async () => await dial(server.port, options))
      hot.update(identity)
      return dialled
    })
    for (const client of await Promise.all(clients)) expect(client.authorized).toBe(true)
  })

  it('refuses what does not go together, and changes nothing then', () => {
    const hot = hotTls(identityOf(manager))
    const bad = [
      { ...identityOf(manager), privateKey: worker.privateKey },
      { ...identityOf(manager), certificateChain: 'nothing' },
    ]
    for (const each of bad)
      expect(() => {
        hot.update(each)
      }).toThrowCode('TLS_IDENTITY_INVALID')
    expect(() => {
      hot.update({ ...identityOf(manager), privateKey: Uint8Array.of(1) })
    }).toThrowCode('PRIVATE_KEY_MALFORMED')
    expect(hot.identity).toEqual(identityOf(manager))
    for (const make of [secureContextOptions, serverContextOptions, clientContextOptions])
      expect(() => make(bad[0]!)).toThrowCode('TLS_IDENTITY_INVALID')
  })

  it('prints no private key in a refusal', () => {
    const pem = Buffer.from(worker.privateKey).toString('base64')
    expect(openSigner(worker.privateKey).keyType).toBe('p256')
    try {
      hotTls({ ...identityOf(manager), privateKey: worker.privateKey })
      expect.unreachable()
    } catch (error) {
      const text = inspect(error, { depth: 9, showHidden: true })
      for (let at = 0; at + 24 <= pem.length; at += 24) expect(text.includes(pem.slice(at, at + 24))).toBe(false)
    }
  })
})

it('goes through the socket that HTTP/2 gives, and survives a swap under an open session', async () => {
  const hot = hotTls(identityOf(manager))
  const server = createSecureServer(hot.serverOptions())
  hot.serve(server)
  const seen: (string | undefined)[] = []
  server.on('stream', (stream) => {
    seen.push(peerOf(stream.session!.socket as TLSSocket, trustOf(ours))?.nodeId)
    stream.respond({ ':status': 200 })
    stream.end('ok')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
  })
  const session = connectHttp2(
    `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    hotTls(identityOf(worker)).clientOptions(),
  )
  onTestFinished(() => {
    session.destroy()
  })
  const ask = async (): Promise<void> => {
    const stream = session.request({ ':path': '/' })
    stream.resume()
    await once(stream, 'end')
  }
  await ask()
  hot.update(identityOf(await ours.issue({ role: 'manager', nodeId: manager.nodeId })))
  await ask()
  expect(seen).toEqual([worker.nodeId, worker.nodeId])
})
