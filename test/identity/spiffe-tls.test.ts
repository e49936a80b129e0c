import {
  type Certificate,
  createCsr,
  federatedRoots,
  federationOf,
  formatSpiffeBundle,
  inTrustDomain,
  issueCertificate,
  parseSpiffeId,
  parseTrustDomain,
  type Role,
  type TrustDomainRoots,
} from '@leastwise/identity'
import {
  clientContextOptions,
  createNodeKey,
  exportPrivateKey,
  peerOf,
  serverContextOptions,
  svidOf,
  systemDigest,
  systemRandom,
  systemVerifier,
  type TlsIdentity,
} from '@leastwise/identity/node'
import { describe, expect, it } from 'vitest'
import { type TestCluster, testCluster, testClusterId, testNodeId } from '../support/test-authority.ts'
import { issuingManager } from './intermediate-support.ts'
import { dial, echo, listen } from './tls-support.ts'

const ONE = parseTrustDomain('one.test')
const TWO = parseTrustDomain('two.test')

async function workload(
  cluster: TestCluster,
  id: string,
  trustBundle: string,
  role: Role = 'manager',
): Promise<TlsIdentity> {
  const key = createNodeKey()
  const certificate = await issueCertificate(
    cluster.authority,
    await createCsr(key),
    {
      ...{ nodeId: testNodeId(1), role, clusterId: cluster.clusterId, lifetimeMs: 3_600_000 },
      spiffeId: parseSpiffeId(id),
    },
    { random: systemRandom, now: cluster.now, verifier: systemVerifier, digest: systemDigest },
  )
  return { privateKey: exportPrivateKey(key), certificateChain: certificate.pem, trustBundle }
}

/** Two clusters, and what the first one believes after the second has given it its bundle. */
async function federated(): Promise<{
  readonly one: TestCluster
  readonly two: TestCluster
  readonly bundle: string
  readonly domains: TrustDomainRoots
}> {
  const one = await testCluster({ clusterId: testClusterId(1), commonName: 'one' })
  const two = await testCluster({ clusterId: testClusterId(2), commonName: 'two' })
  const { initial, decide, evolve } = federationOf(ONE)
  const document = formatSpiffeBundle({ sequence: 1n, refreshHintMs: null, roots: [two.root] })
  const state = decide(initial, { type: 'federate', trustDomain: TWO, document, now: one.now }).reduce(evolve, initial)
  const domains = federatedRoots({ trustDomain: ONE, roots: [one.root] }, state)
  return { one, two, bundle: one.root.pem + two.root.pem, domains }
}

describe('workloads of two trust domains over TLS', () => {
  it('prove their ids to each other', async () => {
    const { one, two, bundle, domains } = await federated()
    const server = await listen(serverContextOptions(await workload(one, 'spiffe://one.test/api', bundle)))
    const accepted = server.nextSocket()
    const client = await dial(server.port, clientContextOptions(await workload(two, 'spiffe://two.test/batch', bundle)))
    const now = Date.now()
    const peer = svidOf(await accepted, { domains, now })!
    expect(peer).toMatchObject({ spiffeId: 'spiffe://two.test/batch', trustDomain: 'two.test' })
    inTrustDomain(TWO)(peer)
    expect(svidOf(client, { domains, now })?.spiffeId).toBe('spiffe://one.test/api')
    expect(await echo(client, 'hello')).toBe('hello')
    // A foreign workload is no node of this cluster, whatever TLS believes.
    const socket = server.sockets[0]!
    expect(() => peerOf(socket, { roots: [one.root], clusterId: one.clusterId, trustDomain: ONE, now })).toThrowCode(
      'PEER_UNTRUSTED',
    )
    expect(peerOf(client, { roots: [one.root], clusterId: one.clusterId, trustDomain: ONE, now })?.spiffeId).toBe(
      'spiffe://one.test/api',
    )
    expect(peerOf(client, { roots: [one.root], clusterId: one.clusterId, now })).not.toHaveProperty('spiffeId')
  })

  it('cannot take a name of the other, though TLS believes both roots', async () => {
    const { one, two, bundle, domains } = await federated()
    const server = await listen(serverContextOptions(await workload(one, 'spiffe://one.test/api', bundle)))
    const accepted = server.nextSocket()
    await dial(server.port, clientContextOptions(await workload(two, 'spiffe://one.test/admin', bundle)))
    const socket = await accepted
    expect(socket.authorized).toBe(true)
    expect(() => svidOf(socket, { domains, now: Date.now() })).toThrowCode('PEER_UNTRUSTED')
  })

  it('are refused below an intermediate that was withdrawn', async () => {
    const { one, two, bundle, domains } = await federated()
    const { intermediate, authority } = await issuingManager({ cluster: two, grant: { trustDomain: TWO } })
    const below = await workload({ ...two, authority }, 'spiffe://two.test/batch', bundle, 'worker')
    const identity = { ...below, certificateChain: below.certificateChain + intermediate.pem }
    const server = await listen(serverContextOptions(await workload(one, 'spiffe://one.test/api', bundle)))
    const accepted = server.nextSocket()
    await dial(server.port, clientContextOptions(identity))
    const socket = await accepted
    const now = Date.now()
    expect(svidOf(socket, { domains, now })?.spiffeId).toBe('spiffe://two.test/batch')
    const isRevokedIssuer = ({ serial }: Certificate): boolean => serial === intermediate.serial
    expect(() => svidOf(socket, { domains, now, isRevokedIssuer })).toThrowCode('PEER_ISSUER_REVOKED')
  })

  it('must be believed by TLS as well, and show something', async () => {
    const { one, two, bundle, domains } = await federated()
    const server = await listen(serverContextOptions(await workload(one, 'spiffe://one.test/api', one.root.pem)))
    let accepted = server.nextSocket()
    await dial(server.port, clientContextOptions(await workload(two, 'spiffe://two.test/batch', bundle)))
    const unbelieved = await accepted
    expect(() => svidOf(unbelieved, { domains, now: Date.now() })).toThrowCode('PEER_UNTRUSTED')
    accepted = server.nextSocket()
    await dial(server.port, { ca: one.root.pem, servername: 'swarm-manager' })
    expect(svidOf(await accepted, { domains, now: Date.now() })).toBeNull()
    unbelieved.destroy()
    await new Promise((resolve) => unbelieved.once('close', resolve))
    expect(() => svidOf(unbelieved, { domains, now: Date.now() })).toThrowCode('PEER_DISCONNECTED')
  })
})
