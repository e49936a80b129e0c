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

  it('leaves no lease behind where somebody else was quicker', async () => {
    const { clock, etcd, first, second } = await two()
    const { parts } = testCluster()
    const own = parts('m9')
    await second.membership.admit({ id: 'm9', publicKey: own.member.key.publicKey })
    const leases: { granted: bigint[]; revoked: bigint[] } = { granted: [], revoked: [] }
    const inner = etcd.connect()
    const late: EtcdClient = {
      ...inner,
      grantLease: async (ttlMs, options) => {
        const granted = await inner.grantLease(ttlMs, options)
        leases.granted.push(granted.lease)
        if (leases.granted.length === 1) await first.campaign({ name: 'scheduler', signal: call.signal })
        return granted
      },
      revokeLease: async (lease, options) => {
        leases.revoked.push(lease)
        await inner.revokeLease(lease, options)
      },
    }
    const third = await openSharedLog({ ...own, etcd: late, clock }, call)
    const giving = new AbortController()
    const waiting = third.campaign({ name: 'scheduler', signal: giving.signal })
    for (let turn = 0; turn < 30; turn += 1) await new Promise<void>((resolve) => setImmediate(resolve))
    expect(leases.granted.length).toBe(1)
    expect(leases.revoked).toEqual(leases.granted)
    const reason = new Error('no longer')
    giving.abort(reason)
    await expect(waiting).rejects.toBe(reason)
  })

  it('is not made longer by a clock that is set back', async () => {
    const { clock, etcd, second, turn } = await two()
    const { parts } = testCluster()
    let back = 0
    let isSilent = false
    const inner = etcd.connect()
    const mute: EtcdClient = {
      ...inner,
      keepLease: async (lease, options) => {
        if (isSilent) throw new EtcdLogError('ETCD_UNREACHABLE', 'nobody answers')
        return await inner.keepLease(lease, options)
      },
    }
    const wound = { ...clock, now: () => clock.now() - back }
    const own = parts('m9')
    await second.membership.admit({ id: 'm9', publicKey: own.member.key.publicKey })
    const third = await openSharedLog({ ...own, etcd: mute, clock: wound }, call)
    const leading = await third.campaign({ name: 'scheduler', ttlMs: TTL_MS, signal: call.signal })
    await turn()
    await clock.advance(TTL_MS / 4)
    expect(leading.signal.aborted).toBe(false)
    back = 3_600_000
    // One more renewal is answered, and its time is that of the clock that was set back.
    await clock.advance(TTL_MS / 4)
    expect(leading.signal.aborted).toBe(false)
    isSilent = true
    back *= 2
    await clock.advance(TTL_MS * 0.8)
    expect(leading.signal.aborted).toBe(true)
    expect(clock.sleepers()).toBe(0)
  })

  it('ends after the machine has slept, before it is renewed', async () => {
    const { clock, etcd, second } = await two()
    let asked = 0
    const inner = etcd.connect()
    const counting: EtcdClient = {
      ...inner,
      keepLease: async (lease, options) => {
        asked += 1
        return await inner.keepLease(lease, options)
      },
    }
    let slept = 0
    const own = testCluster().parts('m9')
    await second.membership.admit({ id: 'm9', publicKey: own.member.key.publicKey })
    const woken = { ...clock, now: () => clock.now() + slept }
    const third = await openSharedLog({ ...own, etcd: counting, clock: woken }, call)
    const leading = await third.campaign({ name: 'scheduler', ttlMs: TTL_MS, signal: call.signal })
    slept = TTL_MS
    await clock.advance(TTL_MS / 4)
    expect([leading.signal.aborted, asked]).toEqual([true, 0])
  })

  it('is asked for anew by a machine that slept between the lease and taking the place', async () => {
    const { clock, etcd, second } = await two()
    let leases = 0
    const inner = etcd.connect()
    const sleepy: EtcdClient = {
      ...inner,
      grantLease: async (ttlMs, options) => {
        const granted = await inner.grantLease(ttlMs, options)
        leases += 1
        if (leases === 1) await clock.advance(2 * TTL_MS)
        return granted
      },
    }
    const own = testCluster().parts('m9')
    await second.membership.admit({ id: 'm9', publicKey: own.member.key.publicKey })
    const third = await openSharedLog({ ...own, etcd: sleepy, clock }, call)
    const leading = await third.campaign({ name: 'scheduler', ttlMs: TTL_MS, signal: call.signal })
    expect([leading.signal.aborted, leases]).toEqual([false, 2])
    await leading.resign()
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
