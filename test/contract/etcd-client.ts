import type { EtcdClient, KeyValue, TxnRequest, WatchAnswer } from '@leastwise/raftlog-etcd'
import { describe, expect, it } from 'vitest'

/** A client, and a start of keys that nobody else uses. */
export interface EtcdUnderTest {
  readonly client: EtcdClient
  readonly prefix: string
}

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
const shown = (kvs: readonly KeyValue[], prefix: string): string[] =>
  kvs.map(({ key, value, version }) => `${key.slice(prefix.length)}=${new TextDecoder().decode(value)} v${version}`)

/** What every {@link EtcdClient} does, the one in memory as the one that speaks to a real etcd. */
export function etcdClientContract(name: string, prepare: () => EtcdUnderTest): void {
  describe(`etcd client: ${name}`, () => {
    const setUp = () => {
      const { client, prefix } = prepare()
      const control = new AbortController()
      const call = { signal: control.signal }
      const all = { key: prefix, end: `${prefix}~` }
      const put = (key: string, value: string, lease?: bigint) =>
        ({ kind: 'put', key: prefix + key, value: utf8(value), ...(lease === undefined ? {} : { lease }) }) as const
      const run = async (...success: TxnRequest['success']) => await client.txn({ compare: [], success }, call)
      const read = async (more: object = {}) => shown((await client.range({ ...all, ...more }, call)).kvs, prefix)
      return { client, prefix, control, call, all, put, run, read }
    }

    it('reads ranges in order, with limits, and as they were', async () => {
      const { client, call, all, put, run, read } = setUp()
      await run(put('b', '1'), put('a', '2'), put('c', '3'))
      const { revision } = await client.range(all, call)
      await run(put('a', '4'))
      expect(await read()).toEqual(['a=4 v2', 'b=1 v1', 'c=3 v1'])
      expect(await read({ order: 'descending', limit: 2 })).toEqual(['c=3 v1', 'b=1 v1'])
      expect(await read({ revision })).toEqual(['a=2 v1', 'b=1 v1', 'c=3 v1'])
      expect((await client.range({ ...all, limit: 2 }, call)).more).toBe(true)
      expect((await client.range({ ...all, limit: 3 }, call)).more).toBe(false)
    })

    it('gives one revision to a whole transaction, and none to one that changes nothing', async () => {
      const { client, prefix, call, all, put, run } = setUp()
      const before = await run(put('a', '1'), put('b', '2'))
      const { kvs } = await client.range(all, call)
      expect(kvs.map(({ modRevision, createRevision }) => [modRevision, createRevision])).toEqual([
        [before.revision, before.revision],
        [before.revision, before.revision],
      ])
      const none = await run({ kind: 'delete', key: `${prefix}none` }, { kind: 'range', range: all })
      expect(none.revision).toBe(before.revision)
      expect(none.ranges[0]?.kvs).toHaveLength(2)
      expect((await run(put('a', '3'))).revision).toBe(before.revision + 1n)
    })

    it('takes the branch that its conditions choose', async () => {
      const { client, prefix, call, put, run, read } = setUp()
      const { revision } = await run(put('a', '1'))
      const key = `${prefix}a`
      const outcome = async (compare: TxnRequest['compare']) =>
        (await client.txn({ compare, success: [put('x', 'yes')], failure: [put('x', 'no')] }, call)).succeeded
      expect(await outcome([{ key, target: 'modRevision', is: '=', value: revision }])).toBe(true)
      expect(await outcome([{ key, target: 'modRevision', is: '=', value: revision + 1n }])).toBe(false)
      expect(await outcome([{ key, target: 'createRevision', is: '!=', value: 0n }])).toBe(true)
      expect(await outcome([{ key: `${prefix}none`, target: 'createRevision', is: '=', value: 0n }])).toBe(true)
      expect(await outcome([{ key: `${prefix}none`, target: 'version', is: '>', value: 0n }])).toBe(false)
      expect(await outcome([{ key, target: 'version', is: '<', value: 2n }])).toBe(true)
      const both = [
        { key, target: 'version', is: '=', value: 1n } as const,
        { key, target: 'version', is: '=', value: 2n } as const,
      ]
      expect(await outcome(both)).toBe(false)
      expect(await read()).toEqual(['a=1 v1', 'x=no v7'])
    })

    it('sees in a transaction what it has done so far', async () => {
      const { prefix, all, put, run } = setUp()
      await run(put('a', '1'), put('b', '2'))
      const { ranges } = await run(
        { kind: 'delete', key: `${prefix}a` },
        { kind: 'range', range: all },
        put('c', '3'),
        { kind: 'range', range: all },
      )
      expect(ranges.map(({ kvs }) => shown(kvs, prefix))).toEqual([['b=2 v1'], ['b=2 v1', 'c=3 v1']])
    })

    it('begins a key anew after it was deleted', async () => {
      const { client, prefix, call, put, run, read, all } = setUp()
      await run(put('a', '1'))
      await run(put('a', '2'))
      await run({ kind: 'delete', ...all })
      expect(await read()).toEqual([])
      const { revision } = await run(put('a', '3'))
      const [kv] = (await client.range({ key: `${prefix}a` }, call)).kvs
      expect(kv).toMatchObject({ createRevision: revision, modRevision: revision, version: 1n, lease: 0n })
    })

    it('refuses what no transaction can do', async () => {
      const { prefix, put, run, read, all } = setUp()
      await expect(run(put('a', '1'), put('a', '2'))).rejects.toThrowCode('ETCD_REFUSED')
      await expect(run(put('a', '1'), { kind: 'delete', ...all })).rejects.toThrowCode('ETCD_REFUSED')
      await expect(run(put('a', '1', 123_456_789n))).rejects.toThrowCode('ETCD_REFUSED')
      const large = { kind: 'put', key: `${prefix}a`, value: new Uint8Array(1600 * 1024) } as const
      await expect(run(large)).rejects.toThrowCode('ETCD_REFUSED')
      expect(await read()).toEqual([])
    })

    it('forgets old revisions when it is told to, and only these', async () => {
      const { client, call, put, run, read } = setUp()
      const first = await run(put('a', '1'), put('b', '1'))
      const second = await run(put('a', '2'))
      await run(put('a', '3'))
      await client.compact(second.revision, call)
      await expect(read({ revision: first.revision })).rejects.toThrowCode('ETCD_COMPACTED')
      expect(await read({ revision: second.revision })).toEqual(['a=2 v2', 'b=1 v1'])
      expect(await read()).toEqual(['a=3 v3', 'b=1 v1'])
      await client.compact(second.revision, call)
      await expect(client.compact(second.revision + 1_000_000n, call)).rejects.toThrowCode('ETCD_REFUSED')
      await expect(read({ revision: second.revision + 1_000_000n })).rejects.toThrowCode('ETCD_REFUSED')
      const watch = client.watch({ key: 'x' }, first.revision, call)
      await expect(watch[Symbol.asyncIterator]().next()).rejects.toThrowCode('ETCD_COMPACTED')
    })

    it('tells of every change from a revision on, in order', async () => {
      const { client, prefix, control, call, all, put, run } = setUp()
      const { revision } = await run(put('a', '1'))
      await run(put('a', '2'), put('b', '2'))
      const seen: string[] = []
      const revisions: bigint[] = []
      const watching = (async () => {
        for await (const { events } of client.watch(all, revision, call)) {
          for (const { kind, key, value, modRevision } of events) {
            seen.push(`${kind} ${key.slice(prefix.length)}=${new TextDecoder().decode(value)}`)
            revisions.push(modRevision - revision)
          }
          if (seen.length === 3) await run({ kind: 'delete', key: `${prefix}a` })
          if (seen.length === 4) await run({ kind: 'put', key: `${prefix}~outside`, value: utf8('x') }, put('c', '3'))
          if (seen.length === 5) return
        }
      })()
      await watching
      expect(seen).toEqual(['put a=1', 'put a=2', 'put b=2', 'delete a=', 'put c=3'])
      expect(revisions).toEqual([0n, 1n, 1n, 2n, 3n])
      control.abort()
    })

    it('ends a watch and a call by their signal, with its reason', async () => {
      const { client, control, call, all, put, run } = setUp()
      const { revision } = await run(put('a', '1'))
      const reason = new Error('enough')
      const watch: AsyncIterator<WatchAnswer> = client.watch(all, revision, call)[Symbol.asyncIterator]()
      await watch.next()
      const waiting = watch.next()
      control.abort(reason)
      await expect(waiting).rejects.toBe(reason)
      await expect(client.range(all, call)).rejects.toBe(reason)
      await expect(client.txn({ compare: [], success: [] }, call)).rejects.toBe(reason)
    })

    it('keeps the keys of a lease until it is revoked', async () => {
      const { client, call, put, run, read } = setUp()
      const { lease, ttlMs } = await client.grantLease(2500, call)
      expect(ttlMs).toBe(3000)
      await run(put('a', '1', lease), put('b', '1', lease), put('c', '1'))
      await run(put('b', '2'))
      expect(await client.keepLease(lease, call)).toBe(3000)
      await client.revokeLease(lease, call)
      expect(await read()).toEqual(['b=2 v2', 'c=1 v1'])
      expect(await client.keepLease(lease, call)).toBe(0)
      await client.revokeLease(lease, call)
    })

    it('is unreachable once it is closed', async () => {
      const { client, call, all } = setUp()
      await client.close()
      await client.close()
      await expect(client.range(all, call)).rejects.toThrowCode('ETCD_UNREACHABLE')
    })
  })
}
