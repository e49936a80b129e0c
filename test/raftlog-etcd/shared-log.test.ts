import { inspect } from 'node:util'
import {
  createSharedLog,
  type EtcdClient,
  EtcdLogError,
  MAX_SHARED_APPEND_BYTES,
  openSharedLog,
} from '@leastwise/raftlog-etcd'
import { describe, expect, it } from 'vitest'
import { CLUSTER, type Cluster, LOG, readAll, testCluster, utf8 } from './etcd-support.ts'
import { type Fate, faultyClient } from './faulty-client.ts'

const call = { signal: new AbortController().signal }
const BASE = `/leastwise/${CLUSTER}/${LOG}`

async function pair(cluster: Cluster) {
  const first = await cluster.create('m1')
  const { key } = cluster.parts('m2').member
  await first.membership.admit({ id: 'm2', publicKey: key.publicKey })
  return { first, second: await cluster.open('m2') }
}

/** What lies in etcd, and a hand to change it. */
function tamper({ etcd }: Cluster) {
  const client = etcd.connect()
  return {
    client,
    keys: async (folder: string) =>
      (await client.range({ key: `${BASE}/${folder}/`, end: `${BASE}/${folder}0` }, call)).kvs,
    get: async (key: string) => (await client.range({ key: `${BASE}/${key}` }, call)).kvs[0]!.value.slice(),
    put: async (key: string, value: Uint8Array) => {
      await client.txn({ compare: [], success: [{ kind: 'put', key, value }] }, call)
    },
    remove: async (key: string) => {
      await client.txn({ compare: [], success: [{ kind: 'delete', key }] }, call)
    },
  }
}

describe('several managers on one log', () => {
  it('tell the one who was late, and append nothing of his', async () => {
    const { first, second } = await pair(testCluster())
    await first.append([utf8('a')])
    await expect(second.append([utf8('b')])).rejects.toThrowCode('LOG_CONFLICT')
    expect(second.lastIndex).toBe(1n)
    expect(await second.append([utf8('c')])).toEqual({ first: 2n, last: 2n })
    await first.refresh()
    expect(await readAll(first)).toEqual(['1:1:a', '2:1:c'])
  })

  it('append only at the place that was decided on', async () => {
    const { first, second } = await pair(testCluster())
    await first.append([utf8('a'), utf8('b')])
    // The second one has not heard of them, and says where he is.
    await expect(second.append([utf8('x')], { at: 1n })).rejects.toThrowCode('LOG_CONFLICT')
    await expect(first.append([utf8('x')], { at: 2n })).rejects.toThrowCode('LOG_CONFLICT')
    await expect(first.append([utf8('x')], { at: 4n })).rejects.toThrow(RangeError)
    await expect(first.append([utf8('x')], { at: 0n })).rejects.toThrow(RangeError)
    await expect(first.append([utf8('x')], { at: 3 as unknown as bigint })).rejects.toThrow(TypeError)
    await first.append([utf8('c')])
    // He may know of entries from elsewhere.
    await second.append([utf8('d')], { at: 4n })
    expect(await readAll(second)).toEqual(['1:1:a', '2:1:b', '3:1:c', '4:1:d'])
  })

  it('read what was acknowledged to anybody before', async () => {
    const { first, second } = await pair(testCluster())
    await first.append([utf8('a')])
    expect(await readAll(second)).toEqual(['1:1:a'])
    await first.append([utf8('b')])
    expect((await second.entry(2n))?.index).toBe(2n)
    await first.append([utf8('c')], { term: 5n })
    expect(await second.termAt(3n)).toBe(5n)
    expect((await second.refresh()).index).toBe(3n)
    expect(second.head).toEqual(first.head)
  })

  it('survive that one compacts, saves snapshots and rotates while another reads', async () => {
    const { first, second } = await pair(testCluster())
    for (let nth = 0; nth < 30; nth += 1) await first.append([utf8(`${nth}`)])
    const seen: bigint[] = []
    for await (const { index } of second.entries()) {
      seen.push(index)
      if (index === 2n) await first.saveSnapshot({ index: 20n, term: 1n, data: utf8('twenty') })
      if (index === 4n)
        await first.rotateDek({ snapshot: (atLeast) => ({ index: atLeast, term: 1n, data: utf8('all') }) })
      if (index === 8n) break
    }
    expect(seen).toEqual([1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n])
    // The frames after the first page are gone with the history that held them.
    await expect(readAll(second, 9n)).rejects.toThrowCode('LOG_GAP')
    expect((await second.loadSnapshot())?.index).toBe(30n)
    await second.append([utf8('on')], { at: 31n })
    expect(await readAll(first, 31n)).toEqual(['31:1:on'])
    expect(second.rotating).toBe(false)
  })

  it('clear away what a writer of a snapshot left, and tell one whose chunks were cleared', async () => {
    const cluster = testCluster()
    const { first, second } = await pair(cluster)
    await first.append(['a', 'b', 'c'].map(utf8))
    const hand = tamper(cluster)
    await hand.put(`${BASE}/snapshots/${'0'.repeat(32)}/00000000`, utf8('left by one that died'))
    await hand.put(`${BASE}/snapshots/${'f'.repeat(32)}/00000000`, utf8('left by one that died'))
    await first.saveSnapshot({ index: 1n, term: 1n, data: utf8('a') })
    expect(await hand.keys('snapshots')).toHaveLength(1)
    const at = (index: bigint) => ({ index, term: 1n, data: new Uint8Array(2 << 20) })
    await second.refresh()
    const done = await Promise.allSettled([first.saveSnapshot(at(3n)), second.saveSnapshot(at(3n))])
    for (const each of done) if (each.status === 'rejected') expect(each.reason).toMatchObject({ code: 'LOG_CONFLICT' })
    expect(done.some(({ status }) => status === 'fulfilled')).toBe(true)
    expect((await first.loadSnapshot())?.index).toBe(3n)
    expect(await hand.keys('snapshots')).toHaveLength(2)
  })

  it('find a log that is there, and none that is not', async () => {
    const cluster = testCluster()
    await expect(cluster.open('m1')).rejects.toThrowCode('LOG_MISSING')
    await cluster.create('m1')
    await expect(cluster.create('m1')).rejects.toThrowCode('LOG_EXISTS')
    await expect(cluster.open('m1', { logId: 'another' })).rejects.toThrowCode('LOG_MISSING')
    await expect(cluster.open('m2')).rejects.toThrowCode('MEMBER_UNKNOWN')
    for (const wrong of [{ clusterId: '' }, { logId: 'a b' }, { prefix: '' }]) {
      await expect(cluster.open('m1', wrong)).rejects.toThrow(RangeError)
    }
  })

  it('refuse what belongs to one Raft node', async () => {
    const log = await testCluster().create()
    expect(log.state).toBeNull()
    const state = { term: 1n, vote: null, commit: 0n }
    await expect(log.saveState(state)).rejects.toThrowCode('OPERATION_NOT_SHARED')
    await expect(log.append([utf8('a')], { state } as object)).rejects.toThrowCode('OPERATION_NOT_SHARED')
    await expect(log.rewrap({} as never)).rejects.toThrowCode('OPERATION_NOT_SHARED')
    await expect(log.lock({} as never, {} as never)).rejects.toThrowCode('OPERATION_NOT_SHARED')
  })

  it('take no append that a request of etcd cannot hold', async () => {
    const log = await testCluster().create()
    const half = new Uint8Array(MAX_SHARED_APPEND_BYTES / 2)
    await expect(log.append([half, half, utf8('x')])).rejects.toThrowCode('ENTRY_TOO_LARGE')
    await log.append([half, half])
    // Those that wait together do not share a transaction that is too large.
    await Promise.all([log.append([half]), log.append([half]), log.append([half])])
    expect(log.head).toMatchObject({ index: 5n, frames: 4n })
  })

  it('take a snapshot from elsewhere only if nothing acknowledged is lost by it', async () => {
    const { first, second } = await pair(testCluster())
    await first.append(['a', 'b', 'c'].map(utf8), { term: 3n })
    const data = utf8('restored')
    await expect(second.installSnapshot({ index: 2n, term: 3n, data })).rejects.toThrow(RangeError)
    await expect(second.installSnapshot({ index: 9n, term: 2n, data })).rejects.toThrow(RangeError)
    await second.installSnapshot({ index: 9n, term: 3n, data })
    expect([second.firstIndex, second.lastIndex, second.lastTerm]).toEqual([10n, 9n, 3n])
    await first.refresh()
    await first.append([utf8('d')])
    expect(await readAll(second)).toEqual(['10:3:d'])
  })
})

describe('an append whose answer is lost', () => {
  const through = async (fates: readonly Fate[]) => {
    const cluster = testCluster()
    await cluster.create('m1')
    const left = [...fates]
    const parts = cluster.parts('m1')
    const faulty = faultyClient(
      parts.etcd,
      () => left.shift() ?? 'fine',
      async () => undefined,
    )
    const log = await openSharedLog({ ...parts, etcd: faulty.client, patienceMs: 500 }, call)
    return { cluster, log, arrive: faulty.arrive, other: await cluster.open('m1') }
  }

  it('is found out to have happened', async () => {
    const { log } = await through(['answer lost'])
    expect(await log.append([utf8('a')])).toEqual({ first: 1n, last: 1n })
    expect(await readAll(log)).toEqual(['1:1:a'])
  })

  it('is sent again, the same bytes, as long as it can still happen only once', async () => {
    const { log, arrive } = await through(['request lost', 'late', 'answer lost'])
    expect(await log.append([utf8('a')])).toEqual({ first: 1n, last: 1n })
    await arrive()
    expect(await readAll(log)).toEqual(['1:1:a'])
    expect(log.head.frames).toBe(1n)
  })

  it('is known to be in the log, although it arrived only when it was sent again', async () => {
    const { log, other } = await through(['before the next'])
    expect(await log.append([utf8('a')])).toEqual({ first: 1n, last: 1n })
    expect(await readAll(other)).toEqual(['1:1:a'])
  })

  it('is a conflict if somebody else came first', async () => {
    const { log, other, arrive } = await through(['request lost'])
    const waiting = log.append([utf8('mine')])
    await other.append([utf8('theirs')])
    await expect(waiting).rejects.toThrowCode('LOG_CONFLICT')
    await arrive()
    expect(await readAll(log)).toEqual(['1:1:theirs'])
  })

  it('is unknown if etcd says nothing for too long, and may happen later', async () => {
    const { log, other, arrive } = await through(Array.from({ length: 30 }, () => 'late' as const))
    await expect(log.append([utf8('a')])).rejects.toThrowCode('APPEND_UNKNOWN')
    expect(await readAll(other)).toEqual([])
    await arrive()
    expect(await readAll(other)).toEqual(['1:1:a'])
    // Decided again on what is there, it does not count twice.
    await expect(log.append([utf8('a')], { at: 1n })).rejects.toThrow()
    expect(await readAll(other)).toEqual(['1:1:a'])
  })

  it('of a new log is found out as well', async () => {
    const cluster = testCluster()
    const parts = cluster.parts('m1')
    const lost = faultyClient(
      parts.etcd,
      () => 'answer lost',
      async () => undefined,
    )
    const log = await createSharedLog({ ...parts, etcd: lost.client }, call)
    expect(log.lastIndex).toBe(0n)
    const other = testCluster()
    const fresh = other.parts('m1')
    const never = faultyClient(
      fresh.etcd,
      () => 'request lost',
      async () => undefined,
    )
    await expect(createSharedLog({ ...fresh, etcd: never.client }, call)).rejects.toThrowCode('APPEND_UNKNOWN')
  })
})

describe('whoever can write to etcd and holds no key', () => {
  const filled = async () => {
    const cluster = testCluster()
    const log = await cluster.create()
    for (const each of ['a', 'b', 'c', 'd']) await log.append([utf8(each)])
    return { cluster, log, hand: tamper(cluster) }
  }

  it('cannot change a frame', async () => {
    const { log, hand } = await filled()
    const [, frame] = await hand.keys('frames')
    for (let at = 0; at < frame!.value.length; at += 1) {
      const changed = frame!.value.slice()
      changed[at]! ^= 1 << (at & 7)
      await hand.put(frame!.key, changed)
      const codes =
        at === 4 ? 'RECORD_UNSUPPORTED_VERSION' : at >= 8 && at < 24 ? 'RECORD_UNKNOWN_KEY' : 'RECORD_NOT_AUTHENTIC'
      // A frame under a key that is gone is no frame of this log.
      const expected = codes === 'RECORD_UNKNOWN_KEY' ? 'RECORD_NOT_AUTHENTIC' : codes
      await expect(readAll(log), `byte ${at}`).rejects.toThrowCode(expected)
    }
  })

  it('cannot swap, repeat, remove or bring in frames', async () => {
    const { cluster, hand } = await filled()
    const frames = await hand.keys('frames')
    const restore = async (): Promise<void> => {
      for (const { key, value } of frames) await hand.put(key, value)
    }
    const read = async () => await readAll(await cluster.open())
    await hand.put(frames[1]!.key, frames[2]!.value)
    await expect(read()).rejects.toThrowCode('RECORD_NOT_AUTHENTIC')
    await restore()
    await hand.remove(frames[1]!.key)
    await expect(read()).rejects.toThrowCode('RECORD_TRUNCATED')
    await restore()
    await hand.remove(frames[3]!.key)
    await expect(read()).rejects.toThrowCode('RECORD_TRUNCATED')
    await restore()
    await hand.put(`${BASE}/frames/0000000000000005`, frames[3]!.value)
    expect(await read()).toHaveLength(4)
    const elsewhere = testCluster()
    const foreign = await elsewhere.create('m1')
    for (const each of ['a', 'b', 'c', 'd']) await foreign.append([utf8(each)])
    await hand.put(frames[1]!.key, (await tamper(elsewhere).keys('frames'))[1]!.value)
    await expect(read()).rejects.toThrowCode('RECORD_NOT_AUTHENTIC')
    await restore()
    expect(await read()).toHaveLength(4)
  })

  it('cannot give the frame of a manager that lost the race for the one that won', async () => {
    const cluster = testCluster()
    const { first } = await pair(cluster)
    const parts = cluster.parts('m2')
    const sent: { readonly key: string; readonly value: Uint8Array }[] = []
    const client: EtcdClient = {
      ...parts.etcd,
      txn: async (request, options) => {
        for (const each of request.success) if (each.kind === 'put') sent.push({ key: each.key, value: each.value })
        return await parts.etcd.txn(request, options)
      },
    }
    const late = await openSharedLog({ ...parts, etcd: client }, call)
    for (const each of ['a', 'b']) await first.append([utf8(each)])
    await late.refresh()
    await first.append([utf8('c')])
    await expect(late.append([utf8('lost')])).rejects.toThrowCode('LOG_CONFLICT')
    for (const each of ['d', 'e']) await first.append([utf8(each)])

    const frame = sent.find(({ key }) => key === `${BASE}/frames/0000000000000003`)!
    await tamper(cluster).put(frame.key, frame.value)
    // Nothing of it is given, be it asked for alone, within a range, or by who follows.
    await expect(first.entry(3n)).rejects.toThrowCode('RECORD_NOT_AUTHENTIC')
    const seen: bigint[] = []
    const following = async (): Promise<void> => {
      for await (const step of first.follow({ from: 1n, signal: call.signal })) {
        if (step.kind === 'entries') seen.push(...step.entries.map(({ index }) => index))
      }
    }
    await expect(following()).rejects.toThrowCode('RECORD_NOT_AUTHENTIC')
    for (const range of [
      { from: 3n, to: 3n },
      { from: 2n, to: 4n },
    ]) {
      const given: bigint[] = []
      const reading = async (): Promise<void> => {
        for await (const { index } of first.entries(range)) given.push(index)
      }
      await expect(reading()).rejects.toThrowCode('RECORD_NOT_AUTHENTIC')
      expect(given).toEqual(range.from === 3n ? [] : [2n])
    }
    expect(seen).toEqual([1n, 2n])
  })

  it('cannot change the head', async () => {
    const { log, hand } = await filled()
    const head = await hand.get('head')
    for (let at = 0; at < head.length; at += 1) {
      const changed = head.slice()
      changed[at]! ^= 1 << (at & 7)
      await hand.put(`${BASE}/head`, changed)
      await expect(log.refresh(), `byte ${at}`).rejects.toThrowCode(
        at === 4 ? 'RECORD_UNSUPPORTED_VERSION' : at >= 8 && at < 24 ? 'RECORD_UNKNOWN_KEY' : 'RECORD_NOT_AUTHENTIC',
      )
    }
  })

  it('cannot set the log back without a running manager noticing', async () => {
    const { log, hand } = await filled()
    const old = await hand.get('head')
    await log.append([utf8('e')])
    await hand.put(`${BASE}/head`, old)
    await expect(log.refresh()).rejects.toThrowCode('LOG_ROLLED_BACK')
    await expect(readAll(log)).rejects.toThrowCode('LOG_ROLLED_BACK')
    await expect(log.append([utf8('f')])).rejects.toThrowCode('LOG_ROLLED_BACK')
    await hand.remove(`${BASE}/head`)
    await expect(log.refresh()).rejects.toThrowCode('LOG_ROLLED_BACK')
  })

  it('cannot change a snapshot, or give a chunk for another', async () => {
    const { cluster, log, hand } = await filled()
    const data = new Uint8Array(2.5 * 1024 * 1024).fill(1)
    await log.saveSnapshot({ index: 4n, term: 1n, data })
    const chunks = await hand.keys('snapshots')
    expect(chunks).toHaveLength(3)
    const load = async () => await (await cluster.open()).loadSnapshot()
    await hand.put(chunks[0]!.key, chunks[1]!.value)
    await expect(load()).rejects.toThrowCode('RECORD_NOT_AUTHENTIC')
    await hand.put(chunks[0]!.key, chunks[0]!.value)
    const changed = chunks[2]!.value.slice()
    changed[500]! ^= 1
    await hand.put(chunks[2]!.key, changed)
    await expect(load()).rejects.toThrowCode('RECORD_NOT_AUTHENTIC')
    await hand.remove(chunks[2]!.key)
    await expect(load()).rejects.toThrowCode('RECORD_NOT_AUTHENTIC')
    await hand.put(chunks[2]!.key, chunks[2]!.value)
    expect(Buffer.compare((await load())!.data, data)).toBe(0)
  })

  it('reads nothing of what was appended', async () => {
    const cluster = testCluster()
    const log = await cluster.create()
    const marked = 'a secret that is marked'
    await log.append([utf8(marked)])
    await log.saveSnapshot({ index: 1n, term: 1n, data: utf8(marked) })
    const { kvs } = await tamper(cluster).client.range({ key: '/', end: '0' }, call)
    expect(kvs.length).toBeGreaterThan(3)
    for (const { key, value } of kvs) {
      expect(Buffer.from(value).includes(marked), key).toBe(false)
      for (const { secretKey } of cluster.keys.values())
        expect(Buffer.from(value).includes(Buffer.from(secretKey)), key).toBe(false)
    }
  })
})

describe('an error', () => {
  it('says nothing of entries and keys', async () => {
    const cluster = testCluster()
    const log = await cluster.create()
    const marked = 'a secret that is marked'
    const hand = tamper(cluster)
    const shown: string[] = []
    const refused = async (run: () => Promise<unknown>): Promise<void> => {
      const error: unknown = await run().then(
        () => null,
        (reason: unknown) => reason,
      )
      expect(error).toBeInstanceOf(Error)
      shown.push(inspect(error, { depth: 9, showHidden: true }), inspect(log))
    }
    await refused(async () => await log.append([utf8(marked)], { at: 9n }))
    await refused(async () => await log.append([utf8(marked), new Uint8Array(2 << 20)]))
    await log.append([utf8(marked)])
    await refused(async () => await log.append([utf8(marked)], { at: 1n }))
    const value = await hand.get('frames/0000000000000001')
    value[value.length - 1]! ^= 1
    await hand.put(`${BASE}/frames/0000000000000001`, value)
    await refused(async () => await readAll(log))
    await refused(async () => await cluster.open('m1', { pin: { generation: 1, mark: marked } }))
    const secret = Buffer.from(cluster.keys.get('m1')!.secretKey)
    for (const text of shown) {
      expect(text).not.toContain(marked)
      expect(text).not.toContain(secret.toString('hex').slice(0, 16))
      expect(text).not.toContain([...secret.subarray(0, 6)].join(', '))
    }
  })
})

describe('an etcd that is full', () => {
  it('refuses appends with its code, and the handle goes on', async () => {
    let full = false
    const cluster = testCluster(
      (client): EtcdClient => ({
        ...client,
        txn: async (request, options) => {
          const put = request.success.find(({ kind }) => kind === 'put')
          if (!full || put === undefined) return await client.txn(request, options)
          throw new EtcdLogError('ETCD_FULL', 'quota is used up')
        },
      }),
    )
    const log = await cluster.create()
    await log.append([utf8('a')])
    full = true
    await expect(log.append([utf8('b')])).rejects.toThrowCode('ETCD_FULL')
    await expect(log.append([utf8('b')])).rejects.toThrowCode('ETCD_FULL')
    expect(await readAll(log)).toEqual(['1:1:a'])
    full = false
    expect(await log.append([utf8('c')])).toEqual({ first: 2n, last: 2n })
  })

  it('has made the change that fills it up, though it says no', async () => {
    let fills = false
    const cluster = testCluster(
      (client): EtcdClient => ({
        ...client,
        txn: async (request, options) => {
          const answer = await client.txn(request, options)
          if (!fills || !request.success.some(({ kind }) => kind === 'put')) return answer
          throw new EtcdLogError('ETCD_FULL', 'quota is used up')
        },
      }),
    )
    fills = true
    const log = await cluster.create()
    expect(await log.append([utf8('a')])).toEqual({ first: 1n, last: 1n })
    await log.saveSnapshot({ index: 1n, term: 1n, data: utf8('a') }).catch(() => undefined)
    expect(await readAll(log)).toEqual(['1:1:a'])
    expect(log.lastIndex).toBe(1n)
  })
})
