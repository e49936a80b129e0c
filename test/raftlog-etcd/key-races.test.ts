import { type EtcdClient, EtcdLogError, type TxnRequest } from '@leastwise/raftlog-etcd'
import { describe, expect, it } from 'vitest'
import { readAll, testCluster, utf8 } from './etcd-support.ts'

const call = { signal: new AbortController().signal }
const headOf = (key: string): boolean => key.endsWith('/head')

describe('managers that change the data key while others work', () => {
  it('are followed across two changes between the reading of the head and of the roster', async () => {
    const hook: { run: (() => Promise<void>) | null } = { run: null }
    const cluster = testCluster()
    const first = await cluster.create('m1')
    const parts = cluster.parts('m2')
    await first.membership.admit({ id: 'm2', publicKey: parts.member.key.publicKey })
    const second = await cluster.open('m2', {
      etcd: {
        ...parts.etcd,
        range: async (request, options) => {
          const answer = await parts.etcd.range(request, options)
          const { run } = hook
          if (run !== null && headOf(request.key)) {
            hook.run = null
            await run()
          }
          return answer
        },
      },
    })
    await first.append([utf8('a')])
    const at = () => ({ index: first.lastIndex, term: 1n, data: utf8('state') })
    await first.rotateDek({ snapshot: at })
    await first.append([utf8('b')])
    hook.run = async () => {
      await first.rotateDek({ snapshot: at })
    }
    // It knows neither the key of the head that it has read nor the one of now.
    expect(await second.termAt(2n)).toBe(1n)
    expect(hook.run).toBeNull()
    expect(second.membership.pin).toEqual(first.membership.pin)
    await second.append([utf8('c')])
    expect(await readAll(first)).toEqual(['3:1:c'])
  })

  it('finish what another one has begun, and both are told that it is done', async () => {
    const cluster = testCluster()
    const first = await cluster.create('m1')
    for (const id of ['m2', 'm3', 'm4'])
      await first.membership.admit({ id, publicKey: cluster.parts(id).member.key.publicKey })
    const second = await cluster.open('m2')
    await first.append([utf8('a')])
    let go = (): void => undefined
    const slow = new Promise<void>((resolve) => {
      go = resolve
    })
    const removing = first.membership.remove('m3', {
      snapshot: async (index) => {
        await slow
        return { index, term: 1n, data: utf8('the first one') }
      },
    })
    // The first one has changed the key and makes its snapshot; it may as well have died.
    while (!second.rotating) await second.refresh()
    await second.append([utf8('b')])
    await second.membership.remove('m4', {
      snapshot: () => ({ index: second.lastIndex, term: 1n, data: utf8('the second one') }),
    })
    go()
    await removing
    await first.refresh()
    expect(first.membership.members.map(({ id }) => id)).toEqual(['m1', 'm2'])
    expect([first.rotating, first.membership.pin.generation]).toEqual([false, 3])
    expect(new TextDecoder().decode((await first.loadSnapshot())?.data)).toBe('the second one')
  })

  it('say LOG_CONFLICT for a snapshot that was new enough when it was handed over', async () => {
    const cluster = testCluster()
    const first = await cluster.create('m1')
    await first.membership.admit({ id: 'm2', publicKey: cluster.parts('m2').member.key.publicKey })
    const second = await cluster.open('m2')
    for (const each of ['a', 'b', 'c']) await first.append([utf8(each)])
    await second.refresh()
    await first.saveSnapshot({ index: 3n, term: 1n, data: utf8('newer') })
    await expect(second.saveSnapshot({ index: 2n, term: 1n, data: utf8('older') })).rejects.toThrowCode('LOG_CONFLICT')
    await expect(second.saveSnapshot({ index: 2n, term: 1n, data: utf8('known to be older') })).rejects.toThrow(
      RangeError,
    )
  })
})

describe('a chunk of a snapshot that arrives when nobody waits for it any more', () => {
  /** Two managers; what the second one sends first is lost, and arrives when it is told to. */
  async function withLateChunk() {
    const cluster = testCluster()
    const first = await cluster.create('m1')
    const parts = cluster.parts('m2')
    await first.membership.admit({ id: 'm2', publicKey: parts.member.key.publicKey })
    const late: TxnRequest[] = []
    const before: { head: (() => Promise<void>) | null } = { head: null }
    const isChunk = ({ success }: TxnRequest): boolean =>
      success.some((each) => each.kind === 'put' && each.key.includes('/snapshots/'))
    const etcd: EtcdClient = {
      ...parts.etcd,
      txn: async (request, options) => {
        if (isChunk(request) && late.length === 0) {
          late.push(request)
          throw new EtcdLogError('ETCD_UNREACHABLE', 'no answer came; try again')
        }
        const { head } = before
        if (head !== null && request.success.some((each) => each.kind === 'put' && headOf(each.key))) {
          before.head = null
          await head()
        }
        return await parts.etcd.txn(request, options)
      },
    }
    const second = await cluster.open('m2', { etcd })
    for (const each of ['a', 'b']) await first.append([utf8(each)])
    await second.refresh()
    const client = cluster.etcd.connect()
    const arrive = async (): Promise<void> => {
      for (const request of late) await client.txn(request, call)
    }
    const chunks = async () =>
      (await client.range({ key: '/', end: '0' }, call)).kvs.filter(({ key }) => key.includes('/snapshots/'))
    return { cluster, first, second, before, arrive, chunks }
  }

  it('does not stand for those that were cleared away', async () => {
    const { first, second, before, arrive } = await withLateChunk()
    before.head = async () => {
      await first.saveSnapshot({ index: 1n, term: 1n, data: utf8('small') })
      await arrive()
    }
    const data = new Uint8Array(2 * 1024 * 1024 + 7).fill(3)
    const saving = second.saveSnapshot({ index: 2n, term: 1n, data })
    await expect(saving).rejects.toThrowCode('LOG_CONFLICT')
    expect((await first.loadSnapshot())?.index).toBe(1n)
    await second.saveSnapshot({ index: 2n, term: 1n, data })
    const kept = await first.loadSnapshot()
    expect(Buffer.compare(kept?.data ?? new Uint8Array(0), data)).toBe(0)
  })

  it('leaves nothing under a data key that is gone', async () => {
    const { cluster, first, second, arrive, chunks } = await withLateChunk()
    await second.saveSnapshot({ index: 2n, term: 1n, data: utf8('sealed under the old key') })
    await first.rotateDek({ snapshot: () => ({ index: first.lastIndex, term: 1n, data: utf8('new') }) })
    expect(await chunks()).toHaveLength(1)
    const revision = cluster.etcd.revision()
    await arrive()
    expect(await chunks()).toHaveLength(1)
    expect(cluster.etcd.revision()).toBe(revision)
  })
})
