import { createSharedLog, type EtcdClient, EtcdLogError, memoryEtcd, openSharedLog } from '@leastwise/raftlog-etcd'
import { describe, expect, it } from 'vitest'
import { manualClock } from '../support/manual-clock.ts'
import { readAll, testCluster, utf8 } from './etcd-support.ts'

const TTL_MS = 10_000
const call = { signal: new AbortController().signal }

/** Two managers on one etcd, whose time stands still until it is moved. */
async function two() {
  const clock = manualClock()
  const etcd = memoryEtcd({ clock })
  const { parts } = testCluster()
  const silent = { first: false }
  const mute = (client: EtcdClient): EtcdClient => ({
    ...client,
    keepLease: async (lease, options) => {
      if (!silent.first) return await client.keepLease(lease, options)
      throw new EtcdLogError('ETCD_UNREACHABLE', 'nobody answers')
    },
  })
  const first = await createSharedLog({ ...parts('m1'), etcd: mute(etcd.connect()), clock }, call)
  const other = { ...parts('m2'), etcd: etcd.connect(), clock }
  await first.membership.admit({ id: 'm2', publicKey: other.member.key.publicKey })
  const second = await openSharedLog(other, call)
  const turn = async (): Promise<void> => {
    for (let nth = 0; nth < 30; nth += 1) await new Promise<void>((resolve) => setImmediate(resolve))
  }
  return { clock, etcd, first, second, silent, turn }
}

describe('leading background work', () => {
  it('falls to one at a time, and to the next when it resigns', async () => {
    const { first, second, turn } = await two()
    const leading = await first.campaign({ name: 'scheduler', signal: call.signal })
    expect(leading.signal.aborted).toBe(false)
    let won = false
    const waiting = second.campaign({ name: 'scheduler', signal: call.signal }).then((next) => {
      won = true
      return next
    })
    await turn()
    expect(won).toBe(false)
    const elsewhere = await second.campaign({ name: 'another', signal: call.signal })
    expect(elsewhere.signal.aborted).toBe(false)
    await leading.resign()
    await leading.resign()
    expect(leading.signal.aborted).toBe(true)
    const next = await waiting
    expect(next.revision).toBeGreaterThan(leading.revision)
    await next.resign()
    await elsewhere.resign()
  })

  it('goes on as long as the lease is renewed', async () => {
    const { clock, first } = await two()
    const leading = await first.campaign({ name: 'scheduler', ttlMs: TTL_MS, signal: call.signal })
    for (let round = 0; round < 20; round += 1) await clock.advance(TTL_MS / 4)
    expect(leading.signal.aborted).toBe(false)
    await leading.resign()
    expect(clock.sleepers()).toBe(0)
  })

  it('ends by its own clock before etcd gives it to another', async () => {
    const { clock, etcd, first, second, silent, turn } = await two()
    const leading = await first.campaign({ name: 'scheduler', ttlMs: TTL_MS, signal: call.signal })
    let won = 0
    const waiting = second.campaign({ name: 'scheduler', ttlMs: TTL_MS, signal: call.signal }).then((next) => {
      won = clock.now()
      return next
    })
    await turn()
    silent.first = true
    let stopped = 0
    leading.signal.addEventListener('abort', () => {
      stopped = clock.now()
    })
    for (let second_ = 0; second_ < 30 && won === 0; second_ += 1) {
      await clock.advance(1000)
      etcd.tick()
      await turn()
    }
    expect(stopped).toBeGreaterThan(0)
    expect(won).toBeGreaterThan(stopped)
    expect(leading.signal.reason).toMatchObject({ code: 'LEADERSHIP_LOST' })
    await (await waiting).resign()
  })

  it('guards what is appended in its name, in the same step', async () => {
    const { first, second } = await two()
    const old = await first.campaign({ name: 'scheduler', signal: call.signal })
    await first.append([utf8('by the first')], { fence: old })
    await old.resign()
    await expect(first.append([utf8('late')], { fence: old })).rejects.toThrowCode('LEADERSHIP_LOST')
    const next = await second.campaign({ name: 'scheduler', signal: call.signal })
    // It has not heard yet: etcd knows.
    const unaware = { ...old, signal: call.signal }
    await expect(first.append([utf8('late')], { fence: unaware })).rejects.toThrowCode('LEADERSHIP_LOST')
    await second.refresh()
    await second.append([utf8('by the second')], { fence: next })
    expect(await readAll(first)).toEqual(['1:1:by the first', '2:1:by the second'])
    // Without a fence the log is open to all managers.
    await first.append([utf8('by anybody')])
    await next.resign()
  })

  it('is not waited for any longer than the signal allows', async () => {
    const { first, second, turn } = await two()
    const leading = await first.campaign({ name: 'scheduler', signal: call.signal })
    const control = new AbortController()
    const waiting = second.campaign({ name: 'scheduler', signal: control.signal })
    await turn()
    const reason = new Error('enough')
    control.abort(reason)
    await expect(waiting).rejects.toBe(reason)
    await leading.resign()
  })

  it('ends with the log', async () => {
    const { first } = await two()
    const leading = await first.campaign({ name: 'scheduler', signal: call.signal })
    await first.close()
    expect(leading.signal.aborted).toBe(true)
    await expect(first.campaign({ name: 'scheduler', signal: call.signal })).rejects.toThrowCode('LOG_CLOSED')
  })

  it('takes a name and a duration that etcd can hold', async () => {
    const { first } = await two()
    for (const name of ['', 'a/b', 'x'.repeat(65), 'é']) {
      await expect(first.campaign({ name, signal: call.signal })).rejects.toThrow(RangeError)
    }
    for (const ttlMs of [0, 1999, 600_001, Number.NaN]) {
      await expect(first.campaign({ name: 'x', ttlMs, signal: call.signal })).rejects.toThrow(RangeError)
    }
  })
})
