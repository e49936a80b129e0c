import type { TLSSocket } from 'node:tls'
import {
  createCsr,
  formatCertificateChain,
  issueCertificate,
  type PeerIdentity,
  parseCertificateChain,
  parseNodeId,
} from '@leastwise/identity'
import {
  clientContextOptions,
  createNodeKey,
  exportPrivateKey,
  serverContextOptions,
  type TlsIdentity,
} from '@leastwise/identity/node'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  type ClusterCommand,
  type ClusterState,
  decide,
  emptyCluster,
  evolve,
} from '../../examples/orchestrator/manager/cluster-state.ts'
import { evictionOrders } from '../../examples/orchestrator/manager/eviction/evicting.ts'
import { createIdentifying } from '../../examples/orchestrator/manager/membership/identify.ts'
import { createStanding } from '../../examples/orchestrator/manager/membership/standing.ts'
import { DAY, deps, type IssuingManager, issuingManager, leafNamed } from '../identity/intermediate-support.ts'
import { dial, identityOf, listen, type TestServer } from '../identity/tls-support.ts'
import { type TestCluster, testCluster, testNodeId } from '../support/test-authority.ts'

const WORKER = testNodeId(7)

let cluster: TestCluster
let issuer: IssuingManager
beforeAll(async () => {
  cluster = await testCluster()
  issuer = await issuingManager({ cluster })
})

interface Leaf {
  readonly identity: TlsIdentity
  readonly orders: readonly ClusterCommand[]
}

/** A certificate of the worker from the intermediate, and what records it. */
async function leaf(type: 'admit' | 'renew', publicKeyHash: string): Promise<Leaf> {
  const signer = createNodeKey()
  const csr = await createCsr(signer)
  const grant = { nodeId: WORKER, role: 'worker', clusterId: cluster.clusterId, lifetimeMs: DAY } as const
  const certificate = await issueCertificate(issuer.authority, csr, grant, deps(cluster.now))
  const certificateChain = formatCertificateChain([certificate, issuer.intermediate])
  const { serial, notAfter } = certificate
  const asked =
    type === 'admit'
      ? ({ type, nodeId: WORKER, role: 'worker', csr: csr.pem, publicKeyHash, now: cluster.now } as const)
      : ({ type, nodeId: WORKER, csr: csr.pem, publicKeyHash } as const)
  return {
    identity: { privateKey: exportPrivateKey(signer), certificateChain, trustBundle: cluster.root.pem },
    orders: [
      { part: 'membership', command: asked },
      {
        part: 'membership',
        command: {
          type: 'record-certificate',
          nodeId: WORKER,
          csr: csr.pem,
          certificate: certificateChain,
          serial,
          notAfter,
        },
        now: cluster.now,
      },
    ],
  }
}

const managerOrders = (nodeId: string, csr: string, certificate: string, serial: string): readonly ClusterCommand[] => [
  {
    part: 'membership',
    command: {
      type: 'admit',
      nodeId: parseNodeId(nodeId),
      role: 'manager',
      csr,
      publicKeyHash: serial,
      now: cluster.now,
    },
  },
  {
    part: 'membership',
    command: {
      type: 'record-certificate',
      nodeId: parseNodeId(nodeId),
      csr,
      certificate,
      serial,
      notAfter: cluster.now + DAY,
    },
  },
]

/** A manager's door in front of a cluster with two managers and a worker, whose certificates are from the intermediate of one of them. */
async function scene() {
  const [first, second] = [await leaf('admit', 'a'.repeat(64)), await leaf('renew', 'b'.repeat(64))]
  const other = await cluster.issue({ role: 'manager' })
  let state: ClusterState = emptyCluster
  const order = (...orders: readonly ClusterCommand[]): void => {
    state = decide(state, orders).reduce(evolve, state)
  }
  for (const { nodeId, csr, certificateChain, certificate } of [issuer.manager, other])
    order(...managerOrders(nodeId, csr.pem, certificateChain, certificate.serial))
  order(...first.orders)
  const roots = [cluster.root]
  const { clusterId } = cluster
  const door = createIdentifying({ state: () => state, clusterId, trustedRoots: () => roots, now: Date.now })
  const standing = createStanding(clusterId, () => state.membership, door.issuerCounts)
  const server: TestServer = await listen({
    ...serverContextOptions(identityOf(other)),
    requestCert: true,
    rejectUnauthorized: false,
  })
  const arrive = async (identity: TlsIdentity): Promise<TLSSocket> => {
    const arrived = server.nextSocket()
    await dial(server.port, { ...clientContextOptions(identity), servername: 'swarm-manager' })
    return await arrived
  }
  const enter = async (identity: TlsIdentity): Promise<PeerIdentity | null> => {
    const peer = door.identify(await arrive(identity))
    if (peer !== null) standing.arrived(peer)
    return peer
  }
  return {
    first,
    second,
    order,
    enter,
    standing,
    evict: () => {
      order(...evictionOrders(state, issuer.manager.nodeId, 'gone', Date.now()))
    },
  }
}

describe('a node whose issuer was withdrawn', () => {
  it('loses its connection, and comes in again for a renewal and nothing else', async () => {
    const { first, enter, standing, evict } = await scene()
    const before = (await enter(first.identity))!
    standing.authorize(before)
    standing.authorizeConnection(before)
    evict()
    expect(() => {
      standing.authorize(before)
    }).toThrowCode('PEER_ISSUER_REVOKED')
    expect(() => {
      standing.authorizeConnection(before)
    }).toThrowCode('PEER_ISSUER_REVOKED')
    const again = (await enter(first.identity))!
    expect(again.nodeId).toBe(WORKER)
    expect(() => {
      standing.authorize(again)
    }).toThrowCode('PEER_ISSUER_REVOKED')
    standing.authorizeRenewal(again)
    standing.authorizeConnection(again)
  })

  it('is nobody with an earlier certificate of its own, which must not ask for another one', async () => {
    const { first, second, order, enter, evict } = await scene()
    order(...second.orders)
    evict()
    expect(await enter(first.identity)).toBeNull()
    expect((await enter(second.identity))?.nodeId).toBe(WORKER)
  })

  it('is nobody while the answer to its renewal waits to be signed', async () => {
    const { first, second, order, enter, evict } = await scene()
    order(second.orders[0]!)
    evict()
    expect(await enter(first.identity)).toBeNull()
  })

  it('is not who has a certificate that the log does not know, though it bears the same number', async () => {
    const { first, enter, evict } = await scene()
    const thief = await leaf('renew', 'c'.repeat(64))
    const signer = createNodeKey()
    const [genuine] = parseCertificateChain(first.identity.certificateChain)
    const twin = await issuer.forge({
      subject: genuine!.subject.der,
      publicKey: signer.publicKey,
      serial: Uint8Array.from(Buffer.from(genuine!.serial, 'hex')),
      extensions: leafNamed(issuer.intermediate, ['swarm-worker', `${WORKER}.${cluster.clusterId}`]),
    })
    const forged: TlsIdentity = {
      privateKey: exportPrivateKey(signer),
      certificateChain: formatCertificateChain([twin, issuer.intermediate]),
      trustBundle: cluster.root.pem,
    }
    // Until the manager is removed nothing tells them apart.
    expect((await enter(thief.identity))?.nodeId).toBe(WORKER)
    expect((await enter(forged))?.nodeId).toBe(WORKER)
    evict()
    await expect(enter(thief.identity)).rejects.toThrowCode('PEER_ISSUER_REVOKED')
    // Whoever has an old number is nobody: as such he fetches what everybody may, and renews nothing.
    expect(await enter(forged)).toBeNull()
  })
})
