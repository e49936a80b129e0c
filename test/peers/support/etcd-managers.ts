import { systemRandom } from '@leastwise/raftlog/node'
import { createMemberKey, type EtcdClient, type MemberKey, type SharedLog } from '@leastwise/raftlog-etcd'
import { createEtcdLog, type EtcdLogOptions, openEtcdLog } from '@leastwise/raftlog-etcd/node'
import { violations } from '../../raftlog-etcd/history.ts'
import { appendOne, type Recorder, readWhole, recorder } from '../../raftlog-etcd/writers.ts'
import type { EtcdCluster, MemberNumber } from './etcd-cluster.ts'
import { startWriter, type Writer } from './etcd-writers.ts'
import { until, watchFor } from './until.ts'

const { signal } = new AbortController()
let logs = 0

const ORDERS: readonly (readonly MemberNumber[])[] = [
  [0, 1, 2],
  [1, 2, 0],
  [2, 0, 1],
]

/** A manager: its handle of the log, and the client below it. */
export interface Manager {
  readonly id: string
  readonly log: SharedLog
  readonly client: EtcdClient
}

/** Managers of one fresh log; each asks another member of etcd first. */
export async function openManagers(
  etcd: EtcdCluster,
  count: number,
  more: Pick<EtcdLogOptions, 'history'> = {},
): Promise<readonly Manager[]> {
  logs += 1
  const place = { clusterId: 'cluster-1', logId: `faults-${logs}` }
  const keys: readonly MemberKey[] = Array.from({ length: count }, () => createMemberKey(systemRandom))
  const managers: Manager[] = []
  for (const [nth, key] of keys.entries()) {
    const id = `manager-${nth}`
    const client = etcd.connect(ORDERS[nth % 3])
    const options = { ...place, ...more, etcd: client, member: { id, key } }
    if (nth > 0) await managers[0]!.log.membership.admit({ id, publicKey: key.publicKey })
    const log = nth === 0 ? await createEtcdLog(options, { signal }) : await openEtcdLog(options, { signal })
    managers.push({ id, log, client })
  }
  return managers
}

/** A follower that keeps what it was given, and whether its indices had a hole or a repetition. */
function follow({ log }: Manager) {
  const control = new AbortController()
  const values: string[] = []
  const wrong: string[] = []
  const running = (async () => {
    for await (const step of log.follow({ from: 1n, signal: control.signal })) {
      if (step.kind === 'snapshot') {
        wrong.push('a snapshot')
        continue
      }
      for (const { index, data } of step.entries) {
        if (index !== BigInt(values.length + 1)) wrong.push(`${index} after ${values.length}`)
        values.push(new TextDecoder().decode(data))
      }
    }
  })().catch((error: unknown) => {
    if (!control.signal.aborted) wrong.push(String(error))
  })
  return {
    values,
    wrong,
    stop: async () => {
      control.abort()
      await running
    },
  }
}

const acknowledged = ({ calls }: Recorder): number =>
  calls.filter((call) => call.kind === 'append' && call.outcome === 'ok').length

/** What came out of a run with a fault in its middle. */
export interface Run {
  readonly violations: readonly string[]
  readonly acknowledged: { readonly before: number; readonly during: number; readonly after: number }
  readonly unknown: number
  readonly followed: readonly string[]
  readonly final: readonly string[]
  readonly following: readonly string[]
}

const SETTLE_MS = 20_000
const ENOUGH = 30

/**
 * Lets all managers append at once while `fault` does its harm and is then undone; in between it waits until appends
 * are acknowledged again, or for `harmMs` where that cannot be.
 */
export async function runThrough(
  etcd: EtcdCluster,
  fault: {
    readonly harm: () => Promise<void> | void
    readonly undo: () => Promise<void> | void
    readonly harmMs?: number
  },
): Promise<Run> {
  const managers = await openManagers(etcd, 3)
  const seen = recorder()
  let going = true
  const follower = follow(managers[2]!)
  const writing = managers.map(async ({ id, log }) => {
    for (let nth = 0; going; nth += 1) {
      await appendOne(seen, log, `${id}/${nth}`)
      if (nth % 25 === 24) await readWhole(seen, log)
    }
  })
  const enough = async (what: string): Promise<number> => {
    const from = acknowledged(seen)
    await until(`appends ${what}`, SETTLE_MS, () => (acknowledged(seen) >= from + ENOUGH ? true : null))
    return acknowledged(seen)
  }
  const before = await enough('before the fault')
  await fault.harm()
  if (fault.harmMs === undefined) await enough('during the fault')
  else await watchFor(fault.harmMs)
  const during = acknowledged(seen)
  await fault.undo()
  await etcd.ready()
  const after = await enough('after the fault')
  going = false
  await Promise.all(writing)
  const final = (await readWhole(seen, managers[0]!.log)) ?? []
  await until('the follower is there', SETTLE_MS, () => (follower.values.length >= final.length ? true : null))
  await follower.stop()
  for (const { log } of managers) await log.close()
  return {
    violations: violations(seen.calls, final),
    acknowledged: { before, during: during - before, after: after - during },
    unknown: seen.calls.filter((call) => call.kind === 'append' && call.outcome === 'unknown').length,
    followed: follower.values,
    following: follower.wrong,
    final,
  }
}

/**
 * The same with writers that are processes of their own. When the harm is done one of them is killed as well, in the middle of an append,
 * and another one takes its place: a process that comes back with the same key and remembers nothing.
 */
export async function runProcessesThrough(
  etcd: EtcdCluster,
  fault: { readonly harm: () => Promise<void>; readonly undo: () => void },
): Promise<Run> {
  const [manager] = await openManagers(etcd, 1)
  const { log } = manager!
  const place = { clusterId: 'cluster-1', logId: `faults-${logs}` }
  const follower = follow(manager!)
  const writers: Writer[] = []
  const start = (name: string, nth: number, { secretKey }: MemberKey): Writer => {
    const client = etcd.optionsOf(ORDERS[nth % 3])
    const writer = startWriter(name, { ...place, memberId: `writer-${nth}`, secretKey, client })
    writers.push(writer)
    return writer
  }
  const enough = async (what: string, which: () => readonly Writer[]): Promise<void> => {
    const from = which().map((writer) => writer.acknowledged())
    await until(`appends ${what}`, SETTLE_MS, () =>
      which().every((writer, nth) => writer.acknowledged() >= from[nth]! + ENOUGH / 3) ? true : null,
    )
  }
  const total = (): number => writers.reduce((sum, writer) => sum + writer.acknowledged(), 0)
  const keys = ORDERS.map(() => createMemberKey(systemRandom))
  try {
    for (const [nth, key] of keys.entries()) {
      await log.membership.admit({ id: `writer-${nth}`, publicKey: key.publicKey })
      start(`writer-${nth}`, nth, key)
    }
    await enough('before the fault', () => writers)
    const before = total()
    await fault.harm()
    // etcd takes a second to choose another leader: whatever this one does now, it does not see the end of.
    await watchFor(150)
    await writers[0]!.kill()
    start('writer-0-again', 0, keys[0]!)
    await enough('during the fault', () => writers.slice(1))
    const during = total()
    fault.undo()
    await etcd.ready()
    await enough('after the fault', () => writers.slice(1))
    const after = total()
    for (const writer of writers.slice(1)) await writer.stop()
    const calls = writers.flatMap((writer) => writer.calls())
    const seen = recorder()
    // What was sent by the one that died may still be on its way; the log is what it is once everybody else is done.
    const final = (await readWhole(seen, log)) ?? []
    await until('the follower is there', SETTLE_MS, () => (follower.values.length >= final.length ? true : null))
    await follower.stop()
    return {
      violations: violations(calls, final),
      acknowledged: { before, during: during - before, after: after - during },
      unknown: calls.filter((call) => call.kind === 'append' && call.outcome === 'unknown').length,
      followed: follower.values,
      following: follower.wrong,
      final,
    }
  } finally {
    for (const writer of writers) await writer.kill()
    await follower.stop()
    await log.close()
  }
}
