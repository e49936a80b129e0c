/** Runs one thing after the other, in the order of the calls. */
export interface Turns {
  readonly take: <T>(task: () => Promise<T>) => Promise<T>
}

export function turns(): Turns {
  let last: Promise<unknown> = Promise.resolve()
  return {
    take: async <T>(task: () => Promise<T>): Promise<T> => {
      const mine = last.then(task)
      last = mine.catch(() => undefined)
      return await mine
    },
  }
}
