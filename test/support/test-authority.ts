import {
  type Authority,
  allowShortLifetime,
  type Certificate,
  type ClusterId,
  type Csr,
  createCsr,
  formatCertificateChain,
  issueCertificate,
  type NodeId,
  openAuthority,
  parseClusterId,
  parseNodeId,
  type Role,
} from '@leastwise/identity'
import {
  createNodeKey,
  exportPrivateKey,
  openSigner,
  systemDigest,
  systemRandom,
  systemVerifier,
} from '@leastwise/identity/node'
import { createRoot } from '@leastwise/identity/x509'

/** A node of a {@link TestCluster}, with everything that it would hold. */
export interface TestNode {
  readonly nodeId: NodeId
  readonly role: Role
  readonly privateKey: Uint8Array<ArrayBuffer>
  readonly csr: Csr
  readonly certificate: Certificate
  /** PEM, leaf first. */
  readonly certificateChain: string
  /** PEM of the cluster's root. */
  readonly trustBundle: string
}

export interface TestNodeOptions {
  readonly nodeId?: string
  readonly role?: Role
  readonly lifetimeMs?: number
  readonly backdateMs?: number
  /** When it was issued; the cluster's `now` unless said otherwise. */
  readonly now?: number
}

/** A cluster with a real root that issues real certificates. */
export interface TestCluster {
  readonly clusterId: ClusterId
  readonly authority: Authority
  readonly root: Certificate
  readonly rootKey: Uint8Array<ArrayBuffer>
  readonly now: number
  readonly issue: (options?: TestNodeOptions) => Promise<TestNode>
}

export interface TestClusterOptions {
  readonly clusterId?: ClusterId
  readonly now?: number
  readonly commonName?: string
}

const HOUR_MS = 3_600_000

/** A 25-character id that ends in `number`; the same number gives the same id. */
export const testNodeId = (number: number): NodeId => parseNodeId(`n${number.toString(36).padStart(24, '0')}`)

/** A 25-character cluster id that ends in `number`. */
export const testClusterId = (number: number): ClusterId => parseClusterId(`c${number.toString(36).padStart(24, '0')}`)

/** Makes a cluster. `now` defaults to the real present, which TLS handshakes need. */
export async function testCluster(options: TestClusterOptions = {}): Promise<TestCluster> {
  const { clusterId = testClusterId(1), now = Date.now(), commonName = 'swarm-ca' } = options
  const root = await createRoot({ now: now - HOUR_MS, serial: systemRandom.bytes(20), commonName })
  const authority = await openAuthority(
    { certificate: root.certificate, signer: openSigner(root.privateKey) },
    { verifier: systemVerifier },
  )
  let issued = 0
  return {
    clusterId,
    authority,
    root: root.certificate,
    rootKey: root.privateKey,
    now,
    issue: async (node = {}) => {
      issued += 1
      const nodeId = parseNodeId(node.nodeId ?? testNodeId(issued))
      const { role = 'worker', lifetimeMs = 24 * HOUR_MS, now: at = now } = node
      const signer = createNodeKey()
      const csr = await createCsr(signer)
      const backdate = node.backdateMs === undefined ? {} : { backdateMs: node.backdateMs }
      const certificate = await issueCertificate(
        authority,
        csr,
        { nodeId, role, clusterId, lifetimeMs, ...backdate, [allowShortLifetime]: true },
        { random: systemRandom, now: at, verifier: systemVerifier, digest: systemDigest },
      )
      return {
        nodeId,
        role,
        privateKey: exportPrivateKey(signer),
        csr,
        certificate,
        certificateChain: formatCertificateChain([certificate]),
        trustBundle: root.certificate.pem,
      }
    },
  }
}
