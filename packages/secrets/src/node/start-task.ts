import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process'
import { systemCode } from './system-error.ts'
import type { IsolationPlan } from './task-isolation.ts'

/** Options of {@link startTask}. */
export interface StartTaskOptions {
  /** As for `node:child_process`; by default the task reads nothing and what it prints is dropped. */
  readonly stdio?: StdioOptions
}

/** How a task ended: one of the two is `null`. */
export interface TaskExit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** A task that runs, or ran. */
export interface RunningTask {
  readonly pid: number
  /** The process, for its streams. */
  readonly child: ChildProcess
  /** Settles when the task and every process in its group have been told to end and its main process is gone. */
  readonly exited: Promise<TaskExit>
  /** Sends a signal to the task and its children; nothing happens once it ended. */
  readonly signal: (name: NodeJS.Signals) => void
}

/**
 * Starts a task as planned, as the leader of its own process group.
 *
 * @returns The task, once its process exists. A command that cannot be executed shows at level `namespace` as exit code 126 or 127.
 * @throws Error of `node:child_process` when the process cannot be made.
 */
export async function startTask(plan: IsolationPlan, options?: StartTaskOptions): Promise<RunningTask> {
  const child = spawn(plan.command, [...plan.args], {
    env: { ...plan.env },
    cwd: plan.cwd,
    detached: true,
    stdio: options?.stdio ?? 'ignore',
    ...(plan.uid === undefined ? {} : { uid: plan.uid }),
    ...(plan.gid === undefined ? {} : { gid: plan.gid }),
  })
  let ended = false
  const signal = (name: NodeJS.Signals): void => {
    if (ended || child.pid === undefined) return
    try {
      process.kill(-child.pid, name)
    } catch (error) {
      if (systemCode(error) !== 'ESRCH') throw error
    }
  }
  const exited = new Promise<TaskExit>((resolve) => {
    child.once('exit', (code, name) => {
      // What the main process left in its group must not outlive it.
      signal('SIGKILL')
      ended = true
      resolve({ code, signal: name })
    })
  })
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', reject)
  })
  return { pid: child.pid ?? 0, child, exited, signal }
}
