/** Waits for something that may take days, again and again, each time until `idle` says that it has been long enough; null then. */
export type Patience<T> = (idle: Promise<null>) => Promise<T | null>

/** `Promise.race` would leave something on `work` with each wait that ended without it. */
export function patienceFor<T>(work: Promise<T>): Patience<T> {
  let isOver = false
  let tell = (): void => undefined
  const end = (): void => {
    isOver = true
    tell()
  }
  work.then(end, end)
  return async (idle) => {
    if (!isOver) {
      const over = new Promise<true>((resolve) => {
        tell = () => {
          resolve(true)
        }
      })
      if ((await Promise.race([over, idle])) === null) return null
    }
    return await work
  }
}
