import { nodeOf } from '@leastwise/identity'
import type { ClusterCommand, ClusterState } from '../cluster-state.ts'
import { listOf, tasksOn } from '../task-list.ts'
import { withdrawIntermediates } from './withdraw-intermediates.ts'

/** What throws a node out: its membership, its tasks and what they were granted, and what it has issued. */
export function evictionOrders(
  state: ClusterState,
  nodeId: string,
  reason: string,
  now: number,
): readonly ClusterCommand[] {
  const node = nodeOf(state.membership, nodeId)
  if (node === null) return []
  return [
    ...withdrawIntermediates(state, nodeId, now),
    { part: 'membership', command: { type: 'evict', nodeId: node.nodeId, reason, now } },
    ...listOf(tasksOn(state.tasks, nodeId)).map(
      (task): ClusterCommand => ({ part: 'secrets', command: { type: 'release', taskId: task.id } }),
    ),
    { part: 'tasks', command: { type: 'forget-node', nodeId } },
    { part: 'managers', command: { type: 'withdraw', nodeId } },
    { part: 'recoveries', command: { type: 'forget-recovery', nodeId } },
  ]
}
