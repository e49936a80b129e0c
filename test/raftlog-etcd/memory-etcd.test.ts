import { memoryEtcd } from '@leastwise/raftlog-etcd'
import { describe, expect, it } from 'vitest'
import { etcdClientContract } from '../contract/etcd-client.ts'
import { manualClock } from '../support/manual-clock.ts'

etcdClientContract('in memory', () => ({ client: memoryEtcd({ clock: manualClock() }).connect(), prefix: '/test/' }))

describe('an etcd in memory', () => {
  const call = { signal: new AbortController().signal }
  const put = (key: string, bytes: number) =>
    ({ compare: [], success: [{ kind: 'put', key, value: new Uint8Array(bytes) }] }) as const

  it('ends a lease by its clock, and a renewal puts it off', async () => {
    const clock = manualClock()
    const etcd = memoryEtcd({ clock })
    const client = etcd.connect()
    const { lease } = await client.grantLease(4000, call)
    const operation = { kind: 'put', key: 'a', value: new Uint8Array(1), lease } as const
    await client.txn({ compare: [], success: [operation] }, call)
    await clock.advance(3000)
    expect(await client.keepLease(lease, call)).toBe(4000)
    await clock.advance(3000)
    expect((await client.range({ key: 'a' }, call)).kvs).toHaveLength(1)
    await clock.advance(1000)
    expect((await client.range({ key: 'a' }, call)).kvs).toHaveLength(0)
    expect(await client.keepLease(lease, call)).toBe(0)
  })

  it('refuses puts beyond its quota, and takes them again once history is gone', async () => {
    const client = memoryEtcd({ clock: manualClock(), quotaBytes: 1000 }).connect()
    await client.txn(put('a', 600), call)
    await expect(client.txn(put('a', 500), call)).rejects.toThrowCode('ETCD_FULL')
    expect((await client.range({ key: 'a' }, call)).kvs[0]?.value).toHaveLength(600)
    const { revision } = await client.txn(put('a', 300), call)
    await expect(client.txn(put('a', 500), call)).rejects.toThrowCode('ETCD_FULL')
    await client.compact(revision, call)
    await client.txn(put('a', 500), call)
  })

  it('gives each client a connection of its own, and one store', async () => {
    const etcd = memoryEtcd({ clock: manualClock() })
    const [one, other] = [etcd.connect(), etcd.connect()]
    await one.txn(put('a', 1), call)
    await one.close()
    expect((await other.range({ key: 'a' }, call)).kvs).toHaveLength(1)
    expect(etcd.revision()).toBe(2n)
  })

  it('cuts watches off', async () => {
    const etcd = memoryEtcd({ clock: manualClock() })
    const watch = etcd.connect().watch({ key: 'a' }, 1n, call)[Symbol.asyncIterator]()
    const waiting = watch.next()
    await new Promise<void>((resolve) => setImmediate(resolve))
    etcd.dropWatches()
    await expect(waiting).rejects.toThrowCode('ETCD_UNREACHABLE')
  })
})
