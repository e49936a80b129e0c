import { linkSignals } from '../abortable.ts'

/**
 * Runs jobs side by side until the first of them ends, well or badly; then stops the others and waits for them.
 *
 * @returns Normally when the first job ended normally; otherwise throws what it threw.
 */
export async function firstOf(
  signal: AbortSignal,
  jobs: readonly ((signal: AbortSignal) => Promise<void>)[],
): Promise<void> {
  using scope = linkSignals(signal)
  const running = jobs.map(async (job) => {
    await job(scope.signal)
  })
  try {
    await Promise.race(running)
  } finally {
    scope.abort(new DOMException('another part of the session ended', 'AbortError'))
    await Promise.allSettled(running)
  }
}
