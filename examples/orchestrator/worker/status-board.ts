import type { TaskStatusUpdate } from '@leastwise/swarm'

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
  let wake: (() => void) | null = null
  return {
    post: (update) => {
      newest.set(update.taskId, update)
      wake?.()
    },
    forget: (taskId) => {
      newest.delete(taskId)
    },
    updates: async function* ({ signal }) {
      const sent = new Map<string, TaskStatusUpdate>()
      while (!signal.aborted) {
        const news = [...newest.values()].filter((update) => sent.get(update.taskId) !== update)
        if (news.length > 0) {
          for (const update of news) sent.set(update.taskId, update)
          yield news
          continue
        }
        await new Promise<void>((resolve) => {
          wake = resolve
          signal.addEventListener(
            'abort',
            () => {
              resolve()
            },
            { once: true },
          )
        })
      }
    },
  }
}
