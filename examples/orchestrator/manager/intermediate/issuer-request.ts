import {
  type Certificate,
  type FoundedAuthority,
  IdentityError,
  member,
  parseCertificateChain,
  parseClusterId,
  trustBundleOf,
} from '@leastwise/identity'
import { decodePlain, encodePlain } from '../../plain-data.ts'
import type { ClusterState } from '../cluster-state.ts'
import type { ManagerIdentity } from '../manager-keys.ts'
import { managerBehind, type Signed, signed } from '../signed-by-manager.ts'
import type { IssuerRecord } from './issuer-list.ts'

/**
 * Whoever writes the log can write a request in the name of any manager, and an intermediate in another one's name would outlive the eviction of who
 * asked for it. So a request is signed with the node key of the manager, which only a root has certified.
 */

const LABEL = 'leastwise-orchestrator intermediate request v1'

/** A request is good for so long, so that none of earlier is answered for whoever found its key. Clocks of managers differ by less. */
export const REQUEST_LIFE_MS = 3_600_000

export interface IssuerRequest {
  readonly clusterId: string
  readonly nodeId: string
  /** PEM. */
  readonly csr: string
  /** Epoch milliseconds. */
  readonly at: number
}

export const proveRequest = ({ clusterId, nodeId, csr, at }: IssuerRequest, identity: ManagerIdentity): Signed =>
  signed(encodePlain([LABEL, clusterId, nodeId, csr, at]), identity)

function read(statement: Uint8Array): IssuerRequest | null {
  try {
    const fields = decodePlain(statement)
    if (!Array.isArray(fields) || fields.length !== 5) return null
    const [label, clusterId, nodeId, csr, at] = fields as readonly unknown[]
    return label === LABEL &&
      typeof clusterId === 'string' &&
      typeof nodeId === 'string' &&
      typeof csr === 'string' &&
      typeof at === 'number'
      ? { clusterId, nodeId, csr, at }
      : null
  } catch {
    return null
  }
}

/** The certificate of the manager that made the pending request; null when nobody who is a manager now has made it lately. */
export async function provenManager(
  { managerId, pending }: IssuerRecord,
  { membership }: ClusterState,
  authority: FoundedAuthority,
  now: number,
): Promise<Certificate | null> {
  const request = pending === null ? null : read(pending.proof.statement)
  if (pending === null || request === null) return null
  const { clusterId } = authority
  if (request.clusterId !== clusterId || request.nodeId !== managerId || request.csr !== pending.csr) return null
  if (Math.abs(now - request.at) > REQUEST_LIFE_MS) return null
  const trust = { trustBundle: trustBundleOf(authority), clusterId: parseClusterId(clusterId), now }
  const peer = await managerBehind(pending.proof, trust)
  if (peer?.nodeId !== managerId) return null
  try {
    member(() => membership)(peer)
  } catch (error) {
    if (error instanceof IdentityError) return null
    throw error
  }
  return parseCertificateChain(pending.proof.chain)[0] ?? null
}
