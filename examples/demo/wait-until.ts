import { setTimeout as pause } from 'node:timers/promises'

const STEP_MS = 20

/** Asks again until the answer is not null. */
export async function waitUntil<T>(
  what: string,
  ask: () => T | null | Promise<T | null>,
  timeoutMs = 10_000,
): Promise<T> {
  const end = Date.now() + timeoutMs
  for (;;) {
    const answer = await ask()
    if (answer !== null) return answer
    if (Date.now() > end) throw new Error(`${what} did not happen within ${timeoutMs} ms`)
    await pause(STEP_MS)
  }
}
