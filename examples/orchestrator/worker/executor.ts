import {
  type AssignedTask,
  createHold,
  deliver,
  planDelivery,
  Secret,
  type AssignmentSet as SecretSet,
  withdraw,
  withdrawExcept,
} from '@leastwise/secrets'
import {
  allocateTaskUser,
  type IsolationCapabilities,
  planIsolation,
  type RunningTask,
  startTask,
  type TmpfsMount,
} from '@leastwise/secrets/node'
import type { AssignmentSet, Task, TaskState, Worker } from '@leastwise/swarm'
import type { Announce } from '../announce.ts'
import { publicFace } from '../errors.ts'
import { createStatusBoard } from './status-board.ts'

/** Runs what is assigned to this node, and nothing else. */
export interface Executor {
  readonly worker: Worker
  /** Ends every task, takes every file back and wipes every secret. */
  readonly wipe: () => Promise<{ readonly held: number; readonly files: number }>
}

export interface ExecutorOptions {
  readonly mount: TmpfsMount
  readonly capabilities: IsolationCapabilities
  readonly dataDirectory: string
  readonly nodeId: string
  readonly announce: Announce
  readonly now: () => number
}

interface HeldTask extends AssignedTask {
  readonly task: Task
}

interface Started {
  readonly stop: (signal: 'SIGKILL' | 'SIGTERM') => void
  readonly ended: Promise<void>
}

/** What every task finds in its environment; nothing of the worker's own is passed on. */
const TASK_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

const ownerId = (text: string): number | null => (text === '' ? null : Number(text))

/** The wire's set as the hold takes it. The bytes that came over the wire are wiped here: from now on the hold has the only copy. */
function toHold({ kind, appliesTo, resultsIn, changes }: AssignmentSet): SecretSet<HeldTask> {
  return {
    type: kind,
    appliesTo,
    resultsIn,
    changes: changes.map((change) => {
      if (change.action === 'remove') return change
      if (change.item.kind === 'task') {
        const { task } = change.item
        return {
          action: 'update',
          item: {
            kind: 'task',
            task: { id: task.id, secretIds: task.container.secrets.map(({ secretId }) => secretId), task },
          },
        }
      }
      const { id, name, value } = change.item.secret
      const secret = { id, name, value: Secret.copyOf(value) }
      value.fill(0)
      return { action: 'update', item: { kind: 'secret', secret } }
    }),
  }
}

function wipeSet(set: SecretSet<HeldTask>): void {
  for (const { action, item } of set.changes)
    if (action === 'update' && item.kind === 'secret') item.secret.value[Symbol.dispose]()
}

export function createExecutor(options: ExecutorOptions): Executor {
  const { mount, capabilities, announce, now } = options
  const hold = createHold<HeldTask>()
  const board = createStatusBoard()
  const started = new Map<string, Started>()
  const users = new Map<string, number>()
  const stopping = new AbortController()

  const post = (
    taskId: string,
    state: TaskState,
    facts: { readonly exitCode?: number | null; readonly error?: string; readonly pid?: number } = {},
  ): void => {
    const { exitCode = null, error = '', pid = 0 } = facts
    board.post({ taskId, state, at: now(), message: state, error, exitCode, pid })
  }

  const takeBack = async (taskId: string): Promise<void> => {
    await withdraw(mount, taskId)
    hold.release(taskId)
    users.delete(taskId)
  }

  const userFor = (taskId: string): { readonly uid: number; readonly gid: number } | null => {
    if (!capabilities.root) return null
    const id = allocateTaskUser(new Set(users.values()))
    users.set(taskId, id)
    return { uid: id, gid: id }
  }

  const launch = async ({ id, container }: Task): Promise<RunningTask> => {
    const user = userFor(id)
    const references = container.secrets.map(({ secretId, target, uid, gid, mode }) => ({
      secretId,
      target,
      uid: ownerId(uid),
      gid: ownerId(gid),
      mode,
    }))
    const directory = await deliver(mount, planDelivery(id, references, user), hold.reader(id), {
      signal: stopping.signal,
    })
    const [command = '', ...args] = [...container.command, ...container.args]
    const plan = planIsolation(capabilities, {
      deliveryRoot: mount.root,
      taskId: id,
      command,
      args,
      env: { PATH: TASK_PATH, HOME: '/', LEASTWISE_TASK_ID: id, LEASTWISE_NODE_ID: options.nodeId },
      hide: [options.dataDirectory],
      ...(user === null ? {} : { user }),
    })
    // What a task prints goes to the worker's standard error, so that announcements stay readable.
    const running = await startTask(plan, { stdio: ['ignore', 2, 2] })
    announce({
      event: 'task-started',
      taskId: id,
      pid: running.pid,
      isolation: plan.level,
      secretsDirectory: plan.secretsDirectory,
      deliveredTo: directory,
    })
    return running
  }

  const run = async (task: Task): Promise<void> => {
    post(task.id, 'preparing')
    let running: RunningTask
    try {
      running = await launch(task)
    } catch (error) {
      const { code, message } = publicFace(error)
      await takeBack(task.id)
      post(task.id, 'rejected', { error: `${code}: ${message}` })
      announce({ event: 'task-rejected', taskId: task.id, code, message })
      return
    }
    post(task.id, 'running', { pid: running.pid })
    const ended = running.exited.then(async ({ code, signal }) => {
      await takeBack(task.id)
      started.delete(task.id)
      post(task.id, code === 0 ? 'complete' : 'failed', {
        exitCode: code,
        error: code === 0 ? '' : signal === null ? `exit code ${code ?? '?'}` : `ended by ${signal}`,
      })
      announce({ event: 'task-ended', taskId: task.id, exitCode: code, signal })
    })
    started.set(task.id, { stop: running.signal, ended })
  }

  const stop = (taskId: string): void => {
    const running = started.get(taskId)
    board.forget(taskId)
    if (running === undefined) return
    // No grace: a task that lost its grant must lose its secrets now, and a process that goes on has them open.
    running.stop('SIGKILL')
    void running.ended.then(() => {
      board.forget(taskId)
    })
  }

  return {
    worker: {
      applyAssignments: async (set) => {
        const held = toHold(set)
        const change = (() => {
          try {
            return hold.apply(held)
          } finally {
            wipeSet(held)
          }
        })()
        for (const taskId of change.removed) stop(taskId)
        for (const { task } of change.updated) if (!started.has(task.id)) await run(task)
        announce({ event: 'assigned', kind: set.kind, secrets: hold.size(), tasks: hold.tasks().length })
      },
      taskStatuses: board.updates,
    },
    wipe: async () => {
      stopping.abort(new Error('this node gives up its tasks'))
      const running = [...started.values()]
      for (const task of running) task.stop('SIGKILL')
      await Promise.all(
        running.map(async ({ ended }) => {
          await ended
        }),
      )
      await withdrawExcept(mount, [])
      hold.clear()
      return { held: hold.size(), files: (await mount.list()).length }
    },
  }
}
