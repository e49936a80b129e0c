import { systemRandom } from '@leastwise/raftlog/node'
import { createMemberKey } from '@leastwise/raftlog-etcd'
import { createEtcdLog } from '@leastwise/raftlog-etcd/node'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type EtcdCluster, type MemberNumber, startEtcd } from './support/etcd-cluster.ts'
import { openManagers, type Run, runProcessesThrough, runThrough } from './support/etcd-managers.ts'
import { describePeer, needs } from './support/needs.ts'
import { until } from './support/until.ts'

const TOOLS = needs('root', 'etcd', 'etcdctl', 'ip', 'nsenter', 'openssl', 'setpriv')
const { signal } = new AbortController()
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

function expectSound({ violations, following, followed, final }: Run): void {
  expect(violations).toEqual([])
  expect(following).toEqual([])
  expect(followed).toEqual(final)
}

describePeer('managers that append to three real members of etcd', TOOLS, () => {
  let etcd: EtcdCluster
  beforeAll(async () => {
    etcd = await startEtcd()
  })
  afterAll(async () => {
    await etcd[Symbol.asyncDispose]()
  })

  it('lose nothing and repeat nothing when the leader is killed', async () => {
    const leader = await etcd.leader()
    // Each writer is a process of its own, and one of them is killed as well, in the middle of an append.
    const run = await runProcessesThrough(etcd, {
      harm: async () => {
        await etcd.kill(leader)
      },
      undo: () => {
        etcd.start(leader)
      },
    })
    expectSound(run)
    // That append.
    expect(run.unknown).toBeGreaterThan(0)
  })

  it('lose nothing and repeat nothing when another member is killed', async () => {
    const member = (((await etcd.leader()) + 1) % 3) as MemberNumber
    const run = await runThrough(etcd, {
      harm: async () => {
        await etcd.kill(member)
      },
      undo: () => {
        etcd.start(member)
      },
    })
    expectSound(run)
  })

  it('lose nothing and repeat nothing when the leader is paused and goes on later', async () => {
    const leader = await etcd.leader()
    const run = await runThrough(etcd, {
      harm: () => {
        etcd.pause(leader)
      },
      undo: () => {
        etcd.resume(leader)
      },
    })
    expectSound(run)
  })

  it("lose nothing and repeat nothing when the leader's network is cut", async () => {
    const leader = await etcd.leader()
    const run = await runThrough(etcd, {
      harm: () => {
        etcd.cut(leader)
      },
      undo: () => {
        etcd.mend(leader)
      },
    })
    expectSound(run)
  })

  it('lose nothing and repeat nothing when clients still reach a leader that has lost the others', async () => {
    const leader = await etcd.leader()
    const run = await runThrough(etcd, {
      harm: () => {
        etcd.isolate(leader)
      },
      undo: () => {
        etcd.rejoin(leader)
      },
    })
    expectSound(run)
  })

  it('append nothing without a majority, and go on when it is back', async () => {
    const run = await runThrough(etcd, {
      harm: async () => {
        await etcd.kill(1)
        await etcd.kill(2)
      },
      harmMs: 3000,
      undo: () => {
        etcd.start(1)
        etcd.start(2)
      },
    })
    expectSound(run)
    // What was on its way when they died may just have made it.
    expect(run.acknowledged.during).toBeLessThan(10)
  })

  it('have one leader for background work at a time, also when it hangs', async () => {
    const [first, second] = await openManagers(etcd, 2)
    const leading = await first!.log.campaign({ name: 'scheduler', ttlMs: 2000, signal })
    let won = false
    const waiting = second!.log.campaign({ name: 'scheduler', ttlMs: 2000, signal }).then((leadership) => {
      won = true
      return leadership
    })
    await first!.log.append([utf8('led')], { fence: leading })
    // Its connections are gone: it cannot renew, and nobody tells it.
    await first!.client.close()
    await until('the old leader stops', 10_000, () => (leading.signal.aborted ? true : null))
    expect(won).toBe(false)
    const next = await waiting
    expect(next.revision).toBeGreaterThan(leading.revision)
    await second!.log.refresh()
    await expect(
      second!.log.append([utf8('late')], { fence: { ...leading, signal } }),
      'an order of the old leader that arrives late',
    ).rejects.toThrowCode('LEADERSHIP_LOST')
    await second!.log.append([utf8('led on')], { fence: next })
    await next.resign()
    await second!.log.close()
  })

  it('are let in by their certificate, and nobody is without one', async () => {
    const key = createMemberKey(systemRandom)
    const attempt = async (client: ReturnType<EtcdCluster['connect']>): Promise<void> => {
      await createEtcdLog({ etcd: client, clusterId: 'c', logId: 'tls', member: { id: 'm', key } }, { signal })
    }
    const { tls } = etcd.optionsOf()
    const stranger = etcd.strangers()
    // In TLS 1.3 a client learns of it after its own part is done: by an alert, or just by the end of the connection.
    await expect(attempt(etcd.connect([0], { tls: stranger.pair }))).rejects.toMatchObject({
      code: expect.stringMatching(/^ETCD_UN(?:TRUSTED|REACHABLE)$/) as string,
    })
    await expect(
      attempt(etcd.connect([0], { tls: { ...tls!, trustBundle: stranger.root } })),
      'a member under a root that is not trusted',
    ).rejects.toThrowCode('ETCD_UNTRUSTED')
    await expect(
      attempt(etcd.connect([0], { tls: { ...tls!, serverName: 'etcd.example' } })),
      'a member of another name',
    ).rejects.toThrowCode('ETCD_UNTRUSTED')
    await attempt(etcd.connect([0]))
  })
})

describePeer('an etcd whose quota is used up', TOOLS, () => {
  it('refuses appends with a code, goes on to be read, and recovers', async () => {
    await using etcd = await startEtcd([`--quota-backend-bytes=${8 * 1024 * 1024}`])
    // Nobody compacts this etcd: what the log drops stays in its history.
    const [manager] = await openManagers(etcd, 1, { history: 'keep' })
    const { log } = manager!
    const large = new Uint8Array(900 * 1024).fill(7)
    let kept = 0n
    const fill = async (): Promise<void> => {
      for (let nth = 0; nth < 30; nth += 1) {
        kept = (await log.append([large])).last
        if (kept % 2n === 1n) continue
        await log.saveSnapshot({ index: kept - 1n, term: 1n, data: utf8('so far') })
        await log.compact(kept - 1n)
      }
    }
    await expect(fill()).rejects.toThrowCode('ETCD_FULL')
    expect(kept).toBeGreaterThan(3n)
    expect((await log.refresh()).index).toBe(kept)
    let read = 0n
    for await (const { index, data } of log.entries()) {
      expect(data.length).toBe(large.length)
      read = index
    }
    expect(read).toBe(kept)
    expect((await log.loadSnapshot())?.index).toBe(log.snapshotAt?.index)
    await expect(log.append([large])).rejects.toThrowCode('ETCD_FULL')

    etcd.makeRoom()
    expect(await log.append([large], { at: kept + 1n })).toEqual({ first: kept + 1n, last: kept + 1n })
    await log.close()
  })
})
