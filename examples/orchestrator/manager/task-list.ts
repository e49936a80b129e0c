import type { TaskState } from '@leastwise/swarm'
import { OrchestratorError } from '../errors.ts'

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

export type TaskList = ReadonlyMap<string, TaskRecord>

const ENDED: ReadonlySet<TaskState> = new Set(['complete', 'shutdown', 'failed', 'rejected', 'remove', 'orphaned'])

/** Ended tasks need nothing any more: no process, no secret. */
export const hasEnded = (task: TaskRecord): boolean => ENDED.has(task.state)

const MAX_COMMAND_BYTES = 64 * 1024
const MAX_MESSAGE_CHARS = 512

function decideRun(tasks: TaskList, command: Extract<TaskCommand, { type: 'run' }>): readonly TaskEvent[] {
  if (tasks.has(command.id)) throw new OrchestratorError('TASK_INVALID', 'a task with this id exists; use a fresh id')
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
  const task = tasks.get(id)
  // A node may speak of its own tasks only, and an ended task does not come back to life.
  if (task?.nodeId !== nodeId || hasEnded(task)) return []
  if (task.state === state && task.exitCode === exitCode) return []
  return [{ type: 'task-reported', id, state, exitCode, message: message.slice(0, MAX_MESSAGE_CHARS) }]
}

/** The tasks of the cluster, decided like everything else that is durable. */
export const taskList = {
  initial: new Map<string, TaskRecord>() as TaskList,

  decide(tasks: TaskList, command: TaskCommand): readonly TaskEvent[] {
    switch (command.type) {
      case 'run':
        return decideRun(tasks, command)
      case 'report':
        return decideReport(tasks, command)
      case 'remove':
        if (!tasks.has(command.id))
          throw new OrchestratorError('NOT_FOUND', 'there is no such task; task ls lists them')
        return [{ type: 'task-removed', id: command.id }]
      case 'forget-node':
        return [...tasks.values()]
          .filter((task) => task.nodeId === command.nodeId)
          .map(({ id }) => ({ type: 'task-removed', id }))
    }
  },

  evolve(tasks: TaskList, event: TaskEvent): TaskList {
    const next = new Map(tasks)
    switch (event.type) {
      case 'task-created':
        return next.set(event.task.id, event.task)
      case 'task-reported': {
        const task = tasks.get(event.id)
        const { state, exitCode, message } = event
        return task === undefined ? tasks : next.set(event.id, { ...task, state, exitCode, message })
      }
      case 'task-removed':
        next.delete(event.id)
        return next
    }
  },
}
