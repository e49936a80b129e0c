import { nodeOf } from '@leastwise/identity'
import type { ClusterCommand, ClusterState } from './cluster-state.ts'

/** What throws a node out: its membership, its tasks, and what they were granted. */
export function evictionOrders(
  state: ClusterState,
  nodeId: string,
  reason: string,
  now: number,
): readonly ClusterCommand[] {
  const node = nodeOf(state.membership, nodeId)
  if (node === null) return []
  return [
    { part: 'membership', command: { type: 'evict', nodeId: node.nodeId, reason, now } },
    ...[...state.tasks.values()]
      .filter((task) => task.nodeId === nodeId)
      .map((task): ClusterCommand => ({ part: 'secrets', command: { type: 'release', taskId: task.id } })),
    { part: 'tasks', command: { type: 'forget-node', nodeId } },
    { part: 'managers', command: { type: 'withdraw', nodeId } },
    { part: 'recoveries', command: { type: 'forget-recovery', nodeId } },
  ]
}
