import type { TaskStatusUpdate } from '@leastwise/swarm'
import { sleepUntilWoken } from '../sleepers.ts'

/** The newest state of each task, and who waits for news of it. */
export interface StatusBoard {
  readonly post: (update: TaskStatusUpdate) => void
  /** The manager no longer asks for this task. */
  readonly forget: (taskId: string) => void
  /** All states first, then each change, until the signal fires. */
  readonly updates: (options: {
    readonly signal: AbortSignal
  }) => AsyncGenerator<readonly TaskStatusUpdate[], void, void>
}

export function createStatusBoard(): StatusBoard {
  const newest = new Map<string, TaskStatusUpdate>()
  const sleepers = new Set<() => void>()
  return {
    post: (update) => {
      newest.set(update.taskId, update)
      for (const wake of [...sleepers]) wake()
    },
    forget: (taskId) => {
      newest.delete(taskId)
    },
    updates: async function* ({ signal }) {
      // Weak: a session may last for months, and what it sent of tasks that are gone is of no use.
      const sent = new WeakSet<TaskStatusUpdate>()
      while (!signal.aborted) {
        const news = [...newest.values()].filter((update) => !sent.has(update))
        if (news.length > 0) {
          for (const update of news) sent.add(update)
          yield news
          continue
        }
        await sleepUntilWoken(sleepers, signal)
      }
    },
  }
}
