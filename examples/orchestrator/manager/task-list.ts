import type { TaskState } from '@leastwise/swarm'
import { OrchestratorError } from '../errors.ts'
import { emptySharedMap, lookUp, type SharedMap, valuesOf, withEntry, withoutEntry } from '../shared-map.ts'

/** One secret as a task asked for it; `uid` and `gid` are null when the worker may choose. */
export interface TaskSecret {
  readonly secretId: string
  readonly name: string
  readonly target: string
  readonly uid: number | null
  readonly gid: number | null
  readonly mode: number
}

export interface TaskRecord {
  readonly id: string
  readonly nodeId: string
  readonly command: readonly string[]
  readonly secrets: readonly TaskSecret[]
  readonly createdAt: number
  /** What the node last said. */
  readonly state: TaskState
  readonly exitCode: number | null
  readonly message: string
}

export type TaskCommand =
  | {
      readonly type: 'run'
      readonly id: string
      readonly nodeId: string
      readonly command: readonly string[]
      readonly secrets: readonly TaskSecret[]
      readonly now: number
    }
  | {
      readonly type: 'report'
      readonly id: string
      readonly nodeId: string
      readonly state: TaskState
      readonly exitCode: number | null
      readonly message: string
    }
  | { readonly type: 'remove'; readonly id: string }
  | { readonly type: 'forget-node'; readonly nodeId: string }

export type TaskEvent =
  | { readonly type: 'task-created'; readonly task: TaskRecord }
  | {
      readonly type: 'task-reported'
      readonly id: string
      readonly state: TaskState
      readonly exitCode: number | null
      readonly message: string
    }
  | { readonly type: 'task-removed'; readonly id: string }

/** Every task by its id, and those of each node: a change costs the same among a hundred thousand tasks as among ten. */
export interface TaskList {
  readonly byId: SharedMap<TaskRecord>
  readonly byNode: SharedMap<SharedMap<TaskRecord>>
}

export const findTask = (tasks: TaskList, id: string): TaskRecord | null => lookUp(tasks.byId, id)

const NO_TASKS: SharedMap<TaskRecord> = emptySharedMap()

/** The tasks of one node: the same object for as long as none of them changes. */
export const tasksOn = (tasks: TaskList, nodeId: string): SharedMap<TaskRecord> =>
  lookUp(tasks.byNode, nodeId) ?? NO_TASKS

/** The oldest first. */
export const listOf = (tasks: SharedMap<TaskRecord>): readonly TaskRecord[] =>
  [...valuesOf(tasks)].sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1))

export const listTasks = (tasks: TaskList): readonly TaskRecord[] => listOf(tasks.byId)

function withTask({ byId, byNode }: TaskList, task: TaskRecord): TaskList {
  const { id, nodeId } = task
  const mine = withEntry(lookUp(byNode, nodeId) ?? NO_TASKS, id, task)
  return { byId: withEntry(byId, id, task), byNode: withEntry(byNode, nodeId, mine) }
}

function withoutTask(tasks: TaskList, { id, nodeId }: TaskRecord): TaskList {
  const mine = withoutEntry(tasksOn(tasks, nodeId), id)
  return {
    byId: withoutEntry(tasks.byId, id),
    byNode: mine.size === 0 ? withoutEntry(tasks.byNode, nodeId) : withEntry(tasks.byNode, nodeId, mine),
  }
}

const ENDED: ReadonlySet<TaskState> = new Set(['complete', 'shutdown', 'failed', 'rejected', 'remove', 'orphaned'])

/** Ended tasks need nothing any more: no process, no secret. */
export const hasEnded = (task: TaskRecord): boolean => ENDED.has(task.state)

const MAX_COMMAND_BYTES = 64 * 1024
const MAX_MESSAGE_CHARS = 512

function decideRun(tasks: TaskList, command: Extract<TaskCommand, { type: 'run' }>): readonly TaskEvent[] {
  if (findTask(tasks, command.id) !== null)
    throw new OrchestratorError('TASK_INVALID', 'a task with this id exists; use a fresh id')
  const bytes = command.command.reduce((sum, word) => sum + Buffer.byteLength(word) + 1, 0)
  if (
    command.command.length === 0 ||
    command.command[0] === '' ||
    bytes > MAX_COMMAND_BYTES ||
    command.command.some((word) => word.includes('\0'))
  ) {
    throw new OrchestratorError(
      'TASK_INVALID',
      `a task's command is one word or more, without zero bytes, at most ${MAX_COMMAND_BYTES} bytes in all`,
    )
  }
  if (new Set(command.secrets.map((secret) => secret.target)).size !== command.secrets.length) {
    throw new OrchestratorError('TASK_INVALID', 'two secrets of the task have the same target; give each its own')
  }
  const { id, nodeId, secrets, now: createdAt } = command
  const task: TaskRecord = {
    id,
    nodeId,
    command: command.command,
    secrets,
    createdAt,
    state: 'assigned',
    exitCode: null,
    message: '',
  }
  return [{ type: 'task-created', task }]
}

function decideReport(
  tasks: TaskList,
  { id, nodeId, state, exitCode, message }: Extract<TaskCommand, { type: 'report' }>,
): readonly TaskEvent[] {
  const task = findTask(tasks, id)
  // A node may speak of its own tasks only, and an ended task does not come back to life.
  if (task?.nodeId !== nodeId || hasEnded(task)) return []
  if (task.state === state && task.exitCode === exitCode) return []
  return [{ type: 'task-reported', id, state, exitCode, message: message.slice(0, MAX_MESSAGE_CHARS) }]
}

/** The tasks of the cluster, decided like everything else that is durable. */
export const taskList = {
  initial: { byId: emptySharedMap(), byNode: emptySharedMap() } satisfies TaskList as TaskList,

  decide(tasks: TaskList, command: TaskCommand): readonly TaskEvent[] {
    switch (command.type) {
      case 'run':
        return decideRun(tasks, command)
      case 'report':
        return decideReport(tasks, command)
      case 'remove':
        if (findTask(tasks, command.id) === null)
          throw new OrchestratorError('NOT_FOUND', 'there is no such task; task ls lists them')
        return [{ type: 'task-removed', id: command.id }]
      case 'forget-node':
        return listOf(tasksOn(tasks, command.nodeId)).map(({ id }) => ({ type: 'task-removed', id }))
    }
  },

  evolve(tasks: TaskList, event: TaskEvent): TaskList {
    if (event.type === 'task-created') return withTask(tasks, event.task)
    const task = findTask(tasks, event.id)
    if (task === null) return tasks
    if (event.type === 'task-removed') return withoutTask(tasks, task)
    const { state, exitCode, message } = event
    return withTask(tasks, { ...task, state, exitCode, message })
  },
}
