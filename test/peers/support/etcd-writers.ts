import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { EtcdClientOptions } from '@leastwise/raftlog-etcd/node'
import type { AppendCall, Call, ReadCall } from '../../raftlog-etcd/history.ts'
import { program } from './needs.ts'

const REPOSITORY = fileURLToPath(new URL('../../..', import.meta.url))
const STOP_MS = 30_000
/** It is stopped that often, until that was in the middle of an append. */
const MOST_STOPS = 200
const DRAIN_MS = 20

/** What a writer is told; its keys are of this test. */
export interface WriterPlace {
  readonly clusterId: string
  readonly logId: string
  readonly memberId: string
  readonly secretKey: Uint8Array
  readonly client: EtcdClientOptions
}

// One handle of the log in a process of its own, which appends until its standard input ends. It says of every call when it began,
// before it begins, and how it ended. The clock is that of the machine since it started: one for all processes.
const WRITER = `
  import { writeSync } from 'node:fs'
  import { openMemberKey } from '@leastwise/raftlog-etcd'
  import { etcdClient, openEtcdLog } from '@leastwise/raftlog-etcd/node'
  const { clusterId, logId, memberId, secretKey, client, name } = JSON.parse(process.env.LEASTWISE_WRITER)
  const moment = () => Number(process.hrtime.bigint())
  const say = (line) => writeSync(1, JSON.stringify(line) + '\\n')
  const { signal } = new AbortController()
  const etcd = etcdClient(client)
  const member = { id: memberId, key: openMemberKey(Uint8Array.from(secretKey)) }
  const log = await openEtcdLog({ etcd, clusterId, logId, member }, { signal })
  let going = true
  process.stdin.on('end', () => { going = false }).resume()
  const expected = new Set(['LOG_CONFLICT', 'APPEND_UNKNOWN', 'ETCD_UNREACHABLE'])
  const append = async (value) => {
    say({ kind: 'append', value, invoked: moment() })
    try {
      const { first } = await log.append([new TextEncoder().encode(value)])
      say({ kind: 'append', value, outcome: 'ok', index: Number(first), returned: moment() })
    } catch (error) {
      if (!expected.has(error.code)) throw error
      say({ kind: 'append', value, outcome: error.code === 'APPEND_UNKNOWN' ? 'unknown' : 'failed', returned: moment() })
    }
  }
  const read = async () => {
    const invoked = moment()
    const values = []
    try {
      for await (const { data } of log.entries()) values.push(new TextDecoder().decode(data))
    } catch (error) {
      if (error.code !== 'ETCD_UNREACHABLE') throw error
      return
    }
    say({ kind: 'read', values, invoked, returned: moment() })
  }
  for (let nth = 0; going; nth += 1) {
    await append(name + '/' + nth)
    if (nth % 25 === 24) await read()
  }
  await log.close()
  await etcd.close()`

type Line = (Partial<AppendCall> & Pick<AppendCall, 'kind' | 'value'>) | ReadCall

/** A writer as a process of its own. */
export interface Writer {
  readonly acknowledged: () => number
  /** Its calls; what it did not live to see the end of is unknown. */
  readonly calls: () => readonly Call[]
  /** In the middle of an append. */
  readonly kill: () => Promise<void>
  /** Lets it end what it does; rejects if it failed. */
  readonly stop: () => Promise<void>
}

/** Starts one; its values begin with `name`. It ends with this process, however that ends. */
export function startWriter(name: string, { secretKey, ...place }: WriterPlace): Writer {
  const told = JSON.stringify({ ...place, name, secretKey: [...secretKey] })
  const words = ['--pdeathsig=KILL', process.execPath, '--input-type=module', '-e', WRITER]
  const child = spawn(program('setpriv'), words, {
    cwd: REPOSITORY,
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, LEASTWISE_WRITER: told },
  })
  child.stdin.on('error', () => undefined)
  const lines: Line[] = []
  let partial = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const all = (partial + text).split('\n')
    partial = all.pop() ?? ''
    for (const line of all) lines.push(JSON.parse(line) as Line)
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  const closed = once(child, 'close')
  return {
    acknowledged: () => lines.filter((line) => line.kind === 'append' && line.outcome === 'ok').length,
    calls: () => {
      const appends = new Map<string, AppendCall>()
      const reads: ReadCall[] = []
      for (const line of lines) {
        if (line.kind === 'read') {
          reads.push(line)
          continue
        }
        const begun = appends.get(line.value) ?? { invoked: 0, returned: Number.POSITIVE_INFINITY, outcome: 'unknown' }
        appends.set(line.value, { ...begun, ...line })
      }
      return [...appends.values(), ...reads]
    },
    kill: async () => {
      const isAlive = (): boolean => child.exitCode === null && child.signalCode === null
      for (let tries = 0; tries < MOST_STOPS && isAlive(); tries += 1) {
        child.kill('SIGSTOP')
        // What it said before it stopped is on its way.
        await delay(DRAIN_MS)
        const last = lines.at(-1)
        if (last?.kind === 'append' && last.outcome === undefined) break
        child.kill('SIGCONT')
        await delay(1 + (tries % 7))
      }
      child.kill('SIGKILL')
      await closed
    },
    stop: async () => {
      child.stdin.end()
      const late = delay(STOP_MS, null, { ref: false })
      if ((await Promise.race([closed, late])) === null) child.kill('SIGKILL')
      await closed
      if (child.exitCode !== 0) throw new Error(`writer ${name} ended with ${String(child.exitCode)}: ${errors}`)
    },
  }
}
