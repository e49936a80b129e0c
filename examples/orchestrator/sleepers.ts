/** Waits until something calls what it put among `sleepers`, or the signal fires; leaves neither set nor signal any fuller. */
export async function sleepUntilWoken(sleepers: Set<() => void>, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => {
    const wake = (): void => {
      sleepers.delete(wake)
      signal.removeEventListener('abort', wake)
      resolve()
    }
    sleepers.add(wake)
    signal.addEventListener('abort', wake)
  })
}
