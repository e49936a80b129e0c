import {
  type AssignedTask,
  type AssignmentChange,
  type Assignments,
  assignmentsOf,
  completeSet,
  incrementalSet,
  type AssignmentSet as SecretSet,
} from '@leastwise/secrets'
import type { AssignmentSet, Task, AssignmentChange as WireChange } from '@leastwise/swarm'
import type { SharedMap } from '../shared-map.ts'
import type { ClusterState } from './cluster-state.ts'
import type { Store } from './store.ts'
import { hasEnded, listOf, type TaskRecord, tasksOn } from './task-list.ts'

interface PlacedTask extends AssignedTask {
  readonly task: TaskRecord
}

/** What the node is to have: its living tasks, and exactly the secrets that these were granted. */
function placedOn(state: ClusterState, nodeId: string): Assignments<PlacedTask> {
  const tasks = listOf(tasksOn(state.tasks, nodeId))
    .filter((task) => !hasEnded(task))
    .map((task) => ({ id: task.id, secretIds: [...new Set(task.secrets.map(({ secretId }) => secretId))], task }))
  return { secrets: assignmentsOf(state.secrets, nodeId).secrets, tasks }
}

function wireTask({ id, nodeId, command, secrets, state }: TaskRecord): Task {
  return {
    id,
    nodeId,
    serviceId: '',
    serviceName: '',
    slot: 0,
    container: {
      image: '',
      labels: {},
      command,
      args: [],
      hostname: '',
      env: [],
      dir: '',
      user: '',
      stopGraceMs: 2_000,
      secrets: secrets.map(({ secretId, name, target, uid, gid, mode }) => ({
        secretId,
        secretName: name,
        target,
        uid: uid === null ? '' : String(uid),
        gid: gid === null ? '' : String(gid),
        mode,
      })),
    },
    state,
    desiredState: 'running',
    networks: [],
  }
}

function wireChange(change: AssignmentChange<PlacedTask>): WireChange {
  if (change.action === 'remove') return change
  if (change.item.kind === 'task')
    return { action: 'update', item: { kind: 'task', task: wireTask(change.item.task.task) } }
  const { id, name, value } = change.item.secret
  return {
    action: 'update',
    item: { kind: 'secret', secret: { id, name, labels: {}, value: value.expose((bytes) => Uint8Array.from(bytes)) } },
  }
}

const wireSet = (set: SecretSet<PlacedTask>): AssignmentSet => ({
  kind: set.type,
  appliesTo: set.appliesTo,
  resultsIn: set.resultsIn,
  changes: set.changes.map(wireChange),
})

/** First everything that the node is to have, then each difference. */
export async function* assignmentSets(
  store: Store,
  nodeId: string,
  { signal }: { readonly signal: AbortSignal },
): AsyncGenerator<AssignmentSet, void, void> {
  let previous: Assignments<PlacedTask> | null = null
  let seen: SharedMap<TaskRecord> | null = null
  let cursor = ''
  for await (const state of store.watch({ signal })) {
    // A task is granted its secrets when it is made and loses them when it ends or goes: whoever has the same tasks has the same secrets. So what
    // happens elsewhere costs each of ten thousand nodes one look.
    const tasks = tasksOn(state.tasks, nodeId)
    if (tasks === seen) continue
    seen = tasks
    const next = placedOn(state, nodeId)
    // What a task reports of itself is no news for its node, so two records of one task count as the same assignment.
    const set =
      previous === null
        ? completeSet(next)
        : incrementalSet(previous, next, cursor, { sameTask: (before, after) => before.id === after.id })
    previous = next
    if (set === null) continue
    cursor = set.resultsIn
    yield wireSet(set)
  }
}
