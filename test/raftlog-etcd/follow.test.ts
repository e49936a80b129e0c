import type { EtcdClient, FollowStep, SharedLog } from '@leastwise/raftlog-etcd'
import { describe, expect, it } from 'vitest'
import { onAbort } from '../../packages/raftlog-etcd/src/joined-signal.ts'
import { testCluster, text, utf8 } from './etcd-support.ts'

/** Follows until it is stopped; `until` waits for what was given so far to look right. */
function follow(log: SharedLog, from?: bigint) {
  const control = new AbortController()
  const seen: string[] = []
  const steps: FollowStep[] = []
  const running = (async () => {
    for await (const step of log.follow({ signal: control.signal, ...(from === undefined ? {} : { from }) })) {
      steps.push(step)
      if (step.kind === 'snapshot') seen.push(`snapshot ${step.snapshot.index} ${text(step.snapshot.data)}`)
      else for (const { index, data } of step.entries) seen.push(`${index} ${text(data)}`)
    }
  })()
  const ended = running.then(
    () => null,
    (error: unknown) => error,
  )
  return {
    seen,
    control,
    ended,
    until: async (count: number) => {
      for (let turn = 0; seen.length < count; turn += 1) {
        if (turn > 5000) throw new Error(`saw only ${seen.join(', ')}`)
        await new Promise<void>((resolve) => setImmediate(resolve))
      }
    },
  }
}

const entries = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, nth) => `${from + nth} e${from + nth}`)

async function fill(log: SharedLog, from: number, to: number): Promise<void> {
  for (let nth = from; nth <= to; nth += 1) await log.append([utf8(`e${nth}`)])
}

async function two() {
  const cluster = testCluster()
  const writer = await cluster.create('m1')
  await writer.membership.admit({ id: 'm2', publicKey: cluster.parts('m2').member.key.publicKey })
  return { cluster, writer, reader: await cluster.open('m2') }
}

describe('following a log', () => {
  it('gives what is there, and then what comes, once and in order', async () => {
    const { writer, reader } = await two()
    await fill(writer, 1, 20)
    const following = follow(reader)
    await following.until(20)
    await fill(writer, 21, 40)
    await following.until(40)
    expect(following.seen).toEqual(entries(1, 40))
    expect(reader.lastIndex).toBe(40n)
    following.control.abort(new Error('enough'))
    expect(await following.ended).toMatchObject({ message: 'enough' })
  })

  it('begins where it is asked to, also behind the end', async () => {
    const { writer, reader } = await two()
    await fill(writer, 1, 5)
    const [middle, behind] = [follow(reader, 4n), follow(reader, 7n)]
    await middle.until(2)
    await fill(writer, 6, 8)
    await Promise.all([middle.until(5), behind.until(2)])
    expect(middle.seen).toEqual(entries(4, 8))
    expect(behind.seen).toEqual(entries(7, 8))
    middle.control.abort()
    behind.control.abort()
  })

  it('goes on after its watch was cut off, many times', async () => {
    const { cluster, writer, reader } = await two()
    const following = follow(reader)
    for (let round = 0; round < 10; round += 1) {
      await fill(writer, round * 3 + 1, round * 3 + 3)
      cluster.etcd.dropWatches()
    }
    await following.until(30)
    expect(following.seen).toEqual(entries(1, 30))
    following.control.abort()
  })

  it('goes on with what its handle learns by other calls while the watch hangs', async () => {
    const { cluster, writer } = await two()
    const hanging: EtcdClient = {
      ...cluster.etcd.connect(),
      watch: async function* (_range, _revision, { signal }) {
        yield await new Promise<never>((_resolve, reject) => {
          onAbort(signal, () => {
            reject(signal.reason as Error)
          })
        })
      },
    }
    const reader = await cluster.open('m2', { etcd: hanging })
    const following = follow(reader)
    await fill(writer, 1, 2)
    await reader.refresh()
    await following.until(2)
    await fill(reader, 3, 4)
    await following.until(4)
    expect(following.seen).toEqual(entries(1, 4))
    following.control.abort()
  })

  it('takes the snapshot where entries are compacted away', async () => {
    const { writer, reader } = await two()
    await fill(writer, 1, 6)
    await writer.saveSnapshot({ index: 4n, term: 1n, data: utf8('four') })
    await writer.compact(3n)
    const following = follow(reader, 1n)
    await following.until(3)
    await fill(writer, 7, 8)
    await following.until(5)
    // Entry 4 is still there, and the snapshot covers it.
    expect(following.seen).toEqual(['snapshot 4 four', ...entries(5, 8)])
    following.control.abort()
  })

  it('does so also if that happens, with the history of etcd, while it was away', async () => {
    const { cluster, writer, reader } = await two()
    await fill(writer, 1, 2)
    const following = follow(reader)
    await following.until(2)
    cluster.etcd.dropWatches()
    await Promise.all([
      following.until(4),
      (async () => {
        await fill(writer, 3, 9)
        await writer.saveSnapshot({ index: 8n, term: 1n, data: utf8('eight') })
        await writer.compact(8n)
        await fill(writer, 10, 11)
      })(),
    ])
    await writer.append([utf8('e12')])
    for (let turn = 0; !following.seen.includes('12 e12') && turn < 5000; turn += 1) {
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
    // It may have been quick enough for some of the entries; none is missing, none comes twice.
    const covered = following.seen.flatMap((line) => (line.startsWith('snapshot') ? [8] : [Number(line.split(' ')[0])]))
    expect(covered).toEqual([...new Set(covered)].toSorted((a, b) => a - b))
    expect(covered.slice(-4)).toEqual([9, 10, 11, 12])
    following.control.abort()
  })

  it('goes on across changes of the data key', async () => {
    const { writer, reader } = await two()
    const following = follow(reader)
    await fill(writer, 1, 3)
    await following.until(3)
    await writer.rotateDek({ snapshot: (index) => ({ index, term: 1n, data: utf8('three') }) })
    await fill(writer, 4, 5)
    await following.until(5)
    expect(following.seen).toEqual(entries(1, 5))
    following.control.abort()
  })

  it('ends when it is left, and with a refusal at damage', async () => {
    const { cluster, writer, reader } = await two()
    await fill(writer, 1, 4)
    for await (const step of reader.follow({ signal: new AbortController().signal })) {
      expect(step.kind).toBe('entries')
      break
    }
    const client = cluster.etcd.connect()
    const call = { signal: new AbortController().signal }
    const key = '/leastwise/cluster-1/managers/frames/0000000000000003'
    const value = (await client.range({ key }, call)).kvs[0]!.value
    value[value.length - 1]! ^= 1
    await client.txn({ compare: [], success: [{ kind: 'put', key, value }] }, call)
    const following = follow(await cluster.open('m2'))
    expect(await following.ended).toMatchObject({ code: 'RECORD_NOT_AUTHENTIC' })
    // The second entry is intact, but nothing says any more that it is the one that was appended.
    expect(following.seen).toEqual(entries(1, 1))
  })

  it('ends when the log is closed, or this manager is removed', async () => {
    const { writer, reader } = await two()
    await fill(writer, 1, 1)
    const [closing, removed] = [follow(writer), follow(reader)]
    await Promise.all([closing.until(1), removed.until(1)])
    await writer.membership.remove('m2', { snapshot: (index) => ({ index, term: 1n, data: utf8('one') }) })
    expect(await removed.ended).toMatchObject({ code: 'MEMBER_UNKNOWN' })
    await writer.close()
    expect(await closing.ended).toMatchObject({ code: 'LOG_CLOSED' })
  })
})
