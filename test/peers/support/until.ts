import { setTimeout as delay } from 'node:timers/promises'

const PROBE_MS = 50

/** Asks again and again until the probe has an answer. Other programs do not tell when they are done. */
export async function until<T>(what: string, timeoutMs: number, probe: () => T | null | Promise<T | null>): Promise<T> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const value = await probe()
    if (value !== null) return value
    if (performance.now() > deadline) throw new Error(`${what}: not within ${timeoutMs} ms`)
    await delay(PROBE_MS)
  }
}

/** Lets another program go on for a while, to see what it does when nobody asks it to. */
export const watchFor = async (ms: number): Promise<void> => {
  await delay(ms)
}
