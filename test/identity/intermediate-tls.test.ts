import { connect } from 'node:tls'
import {
  type Certificate,
  createCsr,
  formatCertificateChain,
  issueCertificate,
  verifyPeerSync,
} from '@leastwise/identity'
import {
  clientContextOptions,
  createNodeKey,
  exportPrivateKey,
  type LocalSigner,
  peerOf,
  serverContextOptions,
  systemVerifier,
  type TlsIdentity,
} from '@leastwise/identity/node'
import { beforeAll, describe, expect, it } from 'vitest'
import { type TestCluster, testCluster, testNodeId } from '../support/test-authority.ts'
import { codeOf } from './forge.ts'
import { type Forged, forgeries } from './intermediate-forgeries.ts'
import { DAY, deps, type IssuingManager, issuingManager, withManagers } from './intermediate-support.ts'
import { dial, echo, identityOf, listen } from './tls-support.ts'

let cluster: TestCluster
let issuer: IssuingManager
let forged: readonly Forged[]
beforeAll(async () => {
  cluster = await testCluster()
  issuer = await issuingManager({ cluster, grant: withManagers })
  forged = await forgeries(cluster)
})

const identity = (chain: readonly Certificate[], signer: LocalSigner): TlsIdentity => ({
  privateKey: exportPrivateKey(signer),
  certificateChain: formatCertificateChain(chain),
  trustBundle: cluster.root.pem,
})

async function nodeOf(role: 'worker' | 'manager', number: number): Promise<TlsIdentity> {
  const signer = createNodeKey()
  const { authority, intermediate } = issuer
  const grant = { nodeId: testNodeId(number), role, clusterId: cluster.clusterId, lifetimeMs: DAY }
  const leaf = await issueCertificate(authority, await createCsr(signer), grant, deps(Date.now()))
  return identity([leaf, intermediate], signer)
}

describe('leaf and intermediate in TLS', () => {
  it('are known on both sides, and to peers whose certificate is from the root', async () => {
    const trust = { roots: [cluster.root], clusterId: cluster.clusterId, now: Date.now() }
    const server = await listen(serverContextOptions(await nodeOf('manager', 20)))
    const arrived = server.nextSocket()
    const client = await dial(server.port, clientContextOptions(await nodeOf('worker', 21)))
    expect(client.authorized).toBe(true)
    expect(peerOf(client, trust)).toMatchObject({ nodeId: testNodeId(20), role: 'manager' })
    const seen = await arrived
    expect(peerOf(seen, trust)).toMatchObject({ nodeId: testNodeId(21), role: 'worker' })
    expect(await echo(client, 'hello')).toBe('hello')

    const next = server.nextSocket()
    const direct = await dial(server.port, clientContextOptions(identityOf(await cluster.issue())))
    expect(peerOf(direct, trust)).toMatchObject({ role: 'manager' })
    expect(peerOf(await next, trust)).toMatchObject({ role: 'worker' })

    // An intermediate that is withdrawn is so on connections that are open, too.
    const revoking = { ...trust, isRevokedIssuer: ({ serial }: Certificate) => serial === issuer.intermediate.serial }
    expect(() => peerOf(seen, revoking)).toThrowCode('PEER_ISSUER_REVOKED')
    expect(() => peerOf(client, revoking)).toThrowCode('PEER_ISSUER_REVOKED')
  })

  it('are refused by our validator and by TLS as the table of intermediates says', async () => {
    for (const { name, chain, signer, ours, openssl } of forged) {
      const options = { roots: [cluster.root], now: Date.now(), clusterId: cluster.clusterId, verifier: systemVerifier }
      expect({ name, ours: codeOf(() => verifyPeerSync(chain, options)) }).toEqual({ name, ours })
      const server = await listen(serverContextOptions(identity(chain, signer)))
      const socket = connect({
        host: '127.0.0.1',
        port: server.port,
        ca: cluster.root.pem,
        servername: 'swarm-manager',
      })
      const outcome = await new Promise<string>((resolve) => {
        socket.once('secureConnect', () => {
          resolve('accepts')
        })
        socket.once('error', () => {
          resolve('refuses')
        })
      })
      socket.destroy()
      expect({ name, openssl: outcome }).toEqual({ name, openssl })
    }
  })
})
