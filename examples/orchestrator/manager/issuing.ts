import {
  type Authority,
  type Certificate,
  issueCertificate,
  nodeOf,
  openAuthority,
  parseCertificate,
  parseClusterId,
  parseCsr,
} from '@leastwise/identity'
import { openSigner, systemDigest, systemRandom, systemVerifier } from '@leastwise/identity/node'
import { OrchestratorError } from '../errors.ts'
import type { ClusterState } from './cluster-state.ts'
import type { Store } from './store.ts'

/** Signs what waits to be signed. */
export interface Issuing {
  /** Signs the node's pending request; resolves when the certificate is durable. Does nothing when none is pending. */
  readonly issueFor: (nodeId: string) => Promise<void>
  /** Signs whatever a crash left unsigned. */
  readonly issueAll: (nodeIds: Iterable<string>) => Promise<void>
}

const founded = (state: ClusterState): Extract<ClusterState['authority'], { phase: 'stable' }> => {
  if (state.authority.phase === 'unfounded')
    throw new OrchestratorError(
      'JOURNAL_UNREADABLE',
      'the log holds no cluster; restore the data directory from a backup',
    )
  return state.authority
}

export const foundedCluster = founded

/** Root certificate and lifetime as they stand in `state`. */
export function rootOf(state: ClusterState): Certificate {
  return parseCertificate(founded(state).roots[0].certificate)
}

async function authorityOf(state: ClusterState): Promise<Authority> {
  const root = founded(state).roots[0]
  if (root.privateKey === null) throw new OrchestratorError('JOURNAL_UNREADABLE', 'the log holds no root key')
  return await openAuthority(
    { certificate: parseCertificate(root.certificate), signer: openSigner(root.privateKey) },
    { verifier: systemVerifier },
  )
}

export function createIssuing(store: Store, now: () => number): Issuing {
  let authority: { readonly certificate: string; readonly open: Promise<Authority> } | null = null
  const openOnce = async (state: ClusterState): Promise<Authority> => {
    const { certificate } = founded(state).roots[0]
    if (authority?.certificate !== certificate) authority = { certificate, open: authorityOf(state) }
    return await authority.open
  }

  const issueFor = async (nodeId: string): Promise<void> => {
    const state = store.state()
    const node = nodeOf(state.membership, nodeId)
    if (node === null || (node.status !== 'pending' && node.status !== 'renew')) return
    const { clusterId, lifetimeMs } = founded(state)
    const certificate = await issueCertificate(
      await openOnce(state),
      parseCsr(node.csr),
      { nodeId: node.nodeId, role: node.role, clusterId: parseClusterId(clusterId), lifetimeMs },
      { now: now(), random: systemRandom, verifier: systemVerifier, digest: systemDigest },
    )
    const { csr } = node
    await store.commit((latest) => {
      // A newer request may have come meanwhile; then this certificate answers nothing and is dropped.
      const current = nodeOf(latest.membership, nodeId)
      if (current?.csr !== csr || current.certificate !== null) return []
      const { pem, serial, notAfter } = certificate
      return [
        {
          part: 'membership',
          command: { type: 'record-certificate', nodeId: node.nodeId, csr, certificate: pem, serial, notAfter },
        },
      ]
    })
  }

  return {
    issueFor,
    issueAll: async (nodeIds) => {
      for (const nodeId of nodeIds) await issueFor(nodeId)
    },
  }
}
