import {
  type Certificate,
  EVICTION_MARGIN_MS,
  type Eviction,
  IdentityError,
  listNodes,
  managerOfIntermediate,
  type NodeId,
  nodeOf,
  parseCertificateChain,
} from '@leastwise/identity'
import type { ClusterCommand, ClusterState } from '../cluster-state.ts'

const SECOND_MS = 1000
const BEGIN = '-----BEGIN'

/** Whatever a manager wrote into the log as a certificate, it must not keep itself from being removed by it. */
function issuersIn(pem: string): readonly Certificate[] {
  try {
    return parseCertificateChain(pem)
  } catch (error) {
    if (error instanceof IdentityError) return []
    throw error
  }
}

/** The nodes whose certificate this manager has issued from an intermediate of its own. */
function nodesBelow({ membership }: ClusterState, managerId: string): readonly NodeId[] {
  // Thousands of nodes have few issuers, and what follows the leaf is the same text for all of one.
  const known = new Map<string, boolean>()
  const isBelow = (above: string): boolean => {
    const seen = known.get(above)
    if (seen !== undefined) return seen
    const found = issuersIn(above).some((issuer) => managerOfIntermediate(issuer) === managerId)
    known.set(above, found)
    return found
  }
  return listNodes(membership)
    .filter(({ certificate }) => {
      const second = certificate?.indexOf(BEGIN, BEGIN.length) ?? -1
      return second >= 0 && isBelow(certificate?.slice(second) ?? '')
    })
    .map(({ nodeId }) => nodeId)
}

/**
 * What goes with a manager that is one no more: its intermediates, by number, and the certificates below them, whose nodes are told to get others.
 * Order it before the membership forgets who that was.
 */
export function withdrawIntermediates(state: ClusterState, managerId: string, now: number): readonly ClusterCommand[] {
  const node = nodeOf(state.membership, managerId)
  // A node that never was a manager has issued nothing; of those many may go at once, and what follows looks at all nodes.
  if (node?.role === 'worker' && node.roleEpoch === 0) return []
  const at = Math.floor(now / SECOND_MS) * SECOND_MS
  const evictions = (state.issuers.get(managerId)?.issued ?? [])
    .filter(({ notAfter }) => notAfter >= now)
    .map(
      ({ serial, notAfter }): Eviction => ({
        kind: 'certificate',
        serial,
        issuerKeyId: null,
        reason: 'privilege-withdrawn',
        at,
        until: Math.ceil((notAfter + EVICTION_MARGIN_MS) / SECOND_MS) * SECOND_MS,
      }),
    )
  return [
    ...(evictions.length === 0 ? [] : [{ part: 'evictions', command: { type: 'add', evictions } } as const]),
    { part: 'issuers', command: { type: 'forget', managerId } },
    ...nodesBelow(state, managerId)
      .filter((nodeId) => nodeId !== managerId)
      .map((nodeId): ClusterCommand => ({ part: 'membership', command: { type: 'request-renewal', nodeId } })),
  ]
}
