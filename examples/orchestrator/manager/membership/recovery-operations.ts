import { listRecoveryClaims, MAX_RECOVERY_GRACE_MS, nodeOf, overlongNodes, recoveryClaimOf } from '@leastwise/identity'
import { OrchestratorError } from '../../errors.ts'
import type { ApprovedAnswer, ClusterSettingsAnswer, WaitingNodeAnswer } from '../../operator/answers.ts'
import type { ClusterCommand } from '../cluster-state.ts'
import { text, wholeNumberOrNull } from '../fields.ts'
import { foundedCluster } from '../issuing/issuing.ts'
import type { OperationContext } from '../operations.ts'
import type { Operation } from '../operator-server.ts'
import { findNode } from './find-node.ts'

/** The cluster's settings for certificates, and the nodes that come back too late. */
export function recoveryOperations({ store, now }: OperationContext): Record<string, Operation> {
  const settings = (): ClusterSettingsAnswer => {
    const state = store.state()
    const { lifetimeMs } = foundedCluster(state)
    const overlong = overlongNodes(state.membership, { lifetimeMs, now: now() }).length
    return { nodeCertificateLifetimeMs: lifetimeMs, recoveryGraceMs: state.recoveries.graceMs, overlong }
  }
  return {
    'cluster/settings': settings,
    'cluster/update': async (request) => {
      const body = request.body()
      const lifetimeMs = wholeNumberOrNull(body, 'certLifetimeMs')
      const graceMs = wholeNumberOrNull(body, 'recoveryGraceMs')
      if (lifetimeMs === 0 || (graceMs ?? 0) > MAX_RECOVERY_GRACE_MS)
        throw new OrchestratorError('USAGE', 'a lifetime is more than nothing, and a grace at most a week')
      const orders: ClusterCommand[] = []
      if (lifetimeMs !== null) orders.push({ part: 'authority', command: { type: 'set-lifetime', lifetimeMs } })
      if (graceMs !== null) orders.push({ part: 'recoveries', command: { type: 'set-recovery-grace', graceMs } })
      await store.commit(() => orders)
      return settings()
    },
    'node/waiting': (): readonly WaitingNodeAnswer[] => {
      const { membership, recoveries } = store.state()
      return listRecoveryClaims(recoveries).flatMap(({ nodeId, askedAt, approvedUntil }) => {
        const node = nodeOf(membership, nodeId)
        return node === null ? [] : [{ id: nodeId, role: node.role, notAfter: node.notAfter, askedAt, approvedUntil }]
      })
    },
    'node/approve': async (request): Promise<ApprovedAnswer> => {
      const { nodeId } = findNode(store.state(), text(request.body(), 'node'))
      const state = await store.commit(() => [
        { part: 'recoveries', command: { type: 'approve-recovery', nodeId, now: now() } },
      ])
      return { id: nodeId, until: recoveryClaimOf(state.recoveries, nodeId)?.approvedUntil ?? null }
    },
  }
}
