import { readdirSync, readFileSync } from 'node:fs'

/**
 * How long all threads of a process have been on a core, in milliseconds; null where the system does not say. What others do with the machine does
 * not count into it, unlike into the time that passes.
 */
export function cpuMs(pid: number): number | null {
  try {
    let nanoseconds = 0
    for (const task of readdirSync(`/proc/${pid}/task`))
      nanoseconds += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0])
    return nanoseconds / 1e6
  } catch {
    return null
  }
}
