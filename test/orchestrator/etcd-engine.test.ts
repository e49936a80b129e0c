import { join } from 'node:path'
import { clearWrapper, openKeyFile } from '@leastwise/identity/node'
import { unlockKeyWrapper } from '@leastwise/raftlog'
import { systemRandom } from '@leastwise/raftlog/node'
import { createMemberKey, type EtcdClient, EtcdLogError, openMemberKey } from '@leastwise/raftlog-etcd'
import { describe, expect, it } from 'vitest'
import { etcdEngine } from '../../examples/orchestrator/manager/etcd/etcd-engine.ts'
import { decodeMembership, MEMBERSHIP } from '../../examples/orchestrator/manager/etcd/own-membership.ts'
import { removeMembers } from '../../examples/orchestrator/manager/etcd/remove-members.ts'
import { newCluster } from '../../examples/orchestrator/manager/founding/genesis.ts'
import { managerKeys } from '../../examples/orchestrator/manager/manager-keys.ts'
import { testCluster, utf8 } from '../raftlog-etcd/etcd-support.ts'
import { tempDir } from '../support/temp-dir.ts'
import { until } from './cluster-processes.ts'

/** One manager with its key file, on an etcd that can be told to refuse every change. */
async function setting() {
  const fault = { on: false }
  const cluster = testCluster(
    (client): EtcdClient => ({
      ...client,
      txn: async (request, options) => {
        if (fault.on && request.success.some(({ kind }) => kind !== 'range'))
          throw new EtcdLogError('ETCD_REFUSED', 'etcd refused the request: a fault of this test')
        return await client.txn(request, options)
      },
    }),
  )
  const { identity, nodeId, orders } = await newCluster(Date.now())
  const key = createMemberKey(systemRandom)
  cluster.keys.set(`${nodeId}.1`, key)
  const log = await cluster.create(`${nodeId}.1`)
  const path = join(tempDir(), 'node.key')
  const keys = managerKeys({
    file: await openKeyFile(path),
    wrapper: clearWrapper,
    content: { ...identity, companion: {} },
  })
  const own = { number: 1, secretKey: key.secretKey, pin: log.membership.pin, head: log.head }
  const engine = etcdEngine({ nodeId, etcd: cluster.etcd.connect(), log, keys }, own)
  const stop = new AbortController()
  const failures: unknown[] = []
  const store = await engine.openStore({ signal: stop.signal, fail: (error) => failures.push(error) })
  await store.commit(() => orders)
  const lock = async () =>
    await engine.lock(unlockKeyWrapper(new Uint8Array(32).fill(5), systemRandom), {
      identity,
      snapshot: store.snapshot,
    })
  const kept = async () => {
    const content = await (await openKeyFile(path)).load(unlockKeyWrapper(new Uint8Array(32).fill(5), systemRandom))
    const bytes = content?.companion[MEMBERSHIP] ?? new Uint8Array(0)
    return await decodeMembership(bytes, unlockKeyWrapper(new Uint8Array(32).fill(5), systemRandom))
  }
  return { cluster, nodeId, log, engine, stop, store, fault, failures, lock, kept, keys }
}

const ids = ({ log }: Awaited<ReturnType<typeof setting>>): readonly string[] =>
  log.membership.members.map(({ id }) => id)

describe('a manager that changes its box key', () => {
  it('has the new one in the log and in its key file, and nothing opens with the old one', async () => {
    const here = await setting()
    expect(await here.lock()).toBeNull()
    expect(ids(here)).toEqual([`${here.nodeId}.2`])
    expect((await here.kept()).number).toBe(2)
    await here.log.append([utf8('[]')])
    here.stop.abort()
    await here.engine.close()
  })

  it('does not lose its new unlock key when the old box key cannot be removed, and removes it later', async () => {
    const here = await setting()
    const { fault, engine, log, store, cluster, nodeId } = here
    // Somebody else is at work, or etcd is gone: between the key file and the removal.
    const { remove } = log.membership
    let refusals = 2
    Object.defineProperty(log.membership, 'remove', {
      value: async (...args: Parameters<typeof remove>) => {
        refusals -= 1
        if (refusals >= 0) throw new EtcdLogError('LOG_CONFLICT', 'other managers change the data key all the time')
        await remove(...args)
      },
    })
    // Whoever asked is told the key, for the file is under it.
    expect(await here.lock()).toBe('LOG_CONFLICT')
    const own = await here.kept()
    expect(own.number).toBe(2)
    expect(ids(here)).toEqual([`${nodeId}.1`, `${nodeId}.2`])
    const again = await cluster.open(`${nodeId}.2`, {
      member: { id: `${nodeId}.2`, key: openMemberKey(own.secretKey) },
    })
    await again.close()
    expect(fault.on).toBe(false)

    const events: string[] = []
    const background = engine.background(
      {
        store,
        issuing: {} as never,
        now: Date.now,
        announce: ({ event, code }) => {
          events.push(`${event} ${String(code)}`)
        },
      },
      { signal: here.stop.signal },
    )
    while (ids(here).length > 1) await new Promise((done) => setImmediate(done))
    expect(events).toContain('background-failed LOG_CONFLICT')
    expect(ids(here)).toEqual([`${nodeId}.2`])
    here.stop.abort()
    await background.catch(() => undefined)
    await engine.close()
  })

  it('keeps everything under the old key when the new one does not get into the log', async () => {
    const here = await setting()
    here.fault.on = true
    await expect(here.lock()).rejects.toThrowCode('ETCD_REFUSED')
    expect(here.keys.locked()).toBe(false)
    expect(ids(here)).toEqual([`${here.nodeId}.1`])
    here.fault.on = false
    expect(await here.lock()).toBeNull()
    here.stop.abort()
    await here.engine.close()
  })
})

describe('a manager whose disk is full', () => {
  it('goes on, and keeps what it has seen of the log when there is room again', async () => {
    const here = await setting()
    const { engine, log, store, keys, nodeId } = here
    let isFull = true
    let refusals = 0
    const { saveCompanion } = keys
    Object.defineProperty(keys, 'saveCompanion', {
      value: async (...words: Parameters<typeof saveCompanion>) => {
        if (!isFull) {
          await saveCompanion(...words)
          return
        }
        refusals += 1
        throw Object.assign(new Error('no room'), { code: 'KEY_FILE_WRITE_FAILED' })
      },
    })
    await log.rotateDek({ snapshot: store.snapshot })
    await store.commit(() => [{ part: 'managers', command: { type: 'announce', nodeId, address: '127.0.0.1:1' } }])
    await until('the key file is refused', () => refusals > 0)
    const events: string[] = []
    const background = engine.background(
      {
        store,
        issuing: {} as never,
        now: Date.now,
        announce: ({ event, code }) => {
          events.push(`${event} ${String(code)}`)
        },
      },
      { signal: here.stop.signal },
    )
    await until('somebody is told', () => events.includes('background-failed KEY_FILE_WRITE_FAILED'))
    isFull = false
    const kept = async () => (await decodeMembership(keys.companion(MEMBERSHIP)!, clearWrapper)).pin
    await until('it is kept', async () => (await kept())?.generation === log.membership.pin.generation)
    expect(here.failures).toEqual([])
    here.stop.abort()
    await background.catch(() => undefined)
    await engine.close()
  })
})

describe('the manager that leads', () => {
  it('removes who is no manager from the log, and not one that came in while it looked', async () => {
    const here = await setting()
    const { log, store, engine, nodeId } = here
    const boxKey = (): Uint8Array => createMemberKey(systemRandom).publicKey
    await log.membership.admit({ id: 'ghost.1', publicKey: boxKey() })
    const background = engine.background(
      { store, issuing: { issueAll: () => Promise.resolve() } as never, now: Date.now, announce: () => undefined },
      { signal: here.stop.signal },
    )
    // It has seen the ghost, and waits a moment for whoever is about to remove it. Meanwhile another manager joins.
    const other = await newCluster(Date.now())
    await new Promise((done) => setImmediate(done))
    await store.commit(() =>
      other.orders.filter((order) => order.part === 'membership' && order.command.type === 'admit'),
    )
    await log.membership.admit({ id: `${other.nodeId}.1`, publicKey: boxKey() })
    while (ids(here).includes('ghost.1')) await new Promise((done) => setImmediate(done))
    expect(ids(here)).toEqual([`${nodeId}.1`, `${other.nodeId}.1`])
    here.stop.abort()
    await background.catch(() => undefined)
    await engine.close()
  })
})

describe('members that are removed', () => {
  it('may be gone already, by the hand of another manager; not so the one that removes', async () => {
    const cluster = testCluster()
    const first = await cluster.create('m1')
    for (const id of ['m2', 'm3'])
      await first.membership.admit({ id, publicKey: cluster.parts(id).member.key.publicKey })
    await first.append([utf8('a')])
    const snapshot = (index: bigint) => ({ index, term: 1n, data: utf8('state') })
    const second = await cluster.open('m2')
    await first.membership.remove('m3', { snapshot })
    expect(second.membership.members).toHaveLength(3)
    await removeMembers(second, (id) => id === 'm3', { snapshot })
    await first.membership.remove('m2', { snapshot })
    await expect(removeMembers(second, (id) => id === 'm1', { snapshot })).rejects.toThrowCode('MEMBER_UNKNOWN')
  })
})
