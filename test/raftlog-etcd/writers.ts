import type { SharedLog } from '@leastwise/raftlog-etcd'
import type { Call } from './history.ts'

/** Counts moments: what was counted later was later. */
export interface Recorder {
  readonly calls: Call[]
  readonly moment: () => number
}

export function recorder(): Recorder {
  let now = 0
  return {
    calls: [],
    moment: () => {
      now += 1
      return now
    },
  }
}

const codeOf = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : ''

/** The whole log as texts; null if it could not be read. */
export async function readWhole({ calls, moment }: Recorder, log: SharedLog): Promise<readonly string[] | null> {
  const invoked = moment()
  const values: string[] = []
  try {
    for await (const { data } of log.entries()) values.push(new TextDecoder().decode(data))
  } catch (error) {
    if (codeOf(error) !== 'ETCD_UNREACHABLE') throw error
    return null
  }
  calls.push({ kind: 'read', values, invoked, returned: moment() })
  return values
}

/** One append at the end of what this handle knows. Says whether it was acknowledged. */
export async function appendOne(
  { calls, moment }: Recorder,
  log: SharedLog,
  value: string,
): Promise<'ok' | 'failed' | 'unknown'> {
  const invoked = moment()
  try {
    const { first } = await log.append([new TextEncoder().encode(value)])
    calls.push({ kind: 'append', value, invoked, returned: moment(), outcome: 'ok', index: Number(first) })
    return 'ok'
  } catch (error) {
    const code = codeOf(error)
    if (!['LOG_CONFLICT', 'APPEND_UNKNOWN', 'ETCD_UNREACHABLE', 'ETCD_FULL'].includes(code)) throw error
    const outcome = code === 'APPEND_UNKNOWN' ? 'unknown' : 'failed'
    calls.push({ kind: 'append', value, invoked, returned: moment(), outcome })
    return outcome
  }
}
