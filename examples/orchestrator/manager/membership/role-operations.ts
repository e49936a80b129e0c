import { listNodes, type Role } from '@leastwise/identity'
import { OrchestratorError } from '../../errors.ts'
import type { RoleAnswer } from '../../operator/answers.ts'
import type { ClusterCommand, ClusterState } from '../cluster-state.ts'
import { withdrawIntermediates } from '../eviction/withdraw-intermediates.ts'
import { text } from '../fields.ts'
import type { OperationContext } from '../operations.ts'
import type { Operation } from '../operator-server.ts'
import { findNode } from './find-node.ts'

/**
 * Promotion and demotion. From the entry in the log on, every certificate of the node from before is refused; it is told to renew, and
 * may do nothing else until it has.
 */
export function roleOperations({
  nodeId: self,
  store,
  now,
  recheck,
  engine,
}: OperationContext): Record<string, Operation> {
  const change = async (given: string, role: Role): Promise<RoleAnswer> => {
    const { nodeId } = findNode(store.state(), given)
    await store.commit((state) => orders(state, { nodeId, role, self, now: now() }))
    const cutSessions = recheck()
    // What it could read the log with goes with the right to.
    if (role === 'worker') await engine.expel(nodeId, { snapshot: store.snapshot })
    return { id: nodeId, role, cutSessions }
  }
  return {
    'node/promote': async (request) => await change(text(request.body(), 'node'), 'manager'),
    'node/demote': async (request) => await change(text(request.body(), 'node'), 'worker'),
  }
}

interface Change {
  readonly nodeId: string
  readonly role: Role
  readonly self: string
  readonly now: number
}

/** Decided on the newest state: of two managers that demote each other at once, one is left. */
function orders(state: ClusterState, { nodeId, role, self, now }: Change): readonly ClusterCommand[] {
  const node = findNode(state, nodeId)
  const managers = listNodes(state.membership).filter((each) => each.role === 'manager')
  if (!managers.some((each) => each.nodeId === self))
    throw new OrchestratorError('NODE_DEMOTED', 'this manager was made a worker meanwhile; ask another manager')
  // The last one is for the membership to refuse.
  if (nodeId === self && role === 'worker' && managers.length > 1)
    throw new OrchestratorError('NODE_IS_THIS_MANAGER', 'a manager cannot demote itself; ask another manager')
  return [
    { part: 'membership', command: { type: 'set-role', nodeId: node.nodeId, role, now } },
    ...(role === 'worker'
      ? [
          ...withdrawIntermediates(state, nodeId, now),
          { part: 'managers', command: { type: 'withdraw', nodeId } } as const,
        ]
      : []),
  ]
}
