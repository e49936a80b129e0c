import { type CipherSuite, dekId } from '@leastwise/raftlog'
import { nodeCipherSuite } from '@leastwise/raftlog/node'
import { type EtcdClient, openMemberKey, openSharedLog } from '@leastwise/raftlog-etcd'
import { describe, expect, it } from 'vitest'
import { openRoster } from '../../packages/raftlog-etcd/src/keys/roster.ts'
import { decodeValue } from '../../packages/raftlog-etcd/src/keys/sealed-value.ts'
import { CLUSTER, LOG, readAll, testCluster, utf8 } from './etcd-support.ts'

const call = { signal: new AbortController().signal }
const context = { clusterId: CLUSTER, logId: LOG, suite: nodeCipherSuite }
const snapshot = (index: bigint) => ({ index, term: 1n, data: utf8('state') })

async function three() {
  const cluster = testCluster()
  const first = await cluster.create('m1')
  for (const id of ['m2', 'm3']) {
    await first.membership.admit({ id, publicKey: cluster.parts(id).member.key.publicKey })
  }
  const client = cluster.etcd.connect()
  const everything = async () => (await client.range({ key: '/', end: '0' }, call)).kvs
  const roster = async () => (await everything()).find(({ key }) => key.endsWith('/roster'))!.value
  return { cluster, first, client, everything, roster }
}

describe('the members of a log', () => {
  it('are admitted by a member, and then read everything', async () => {
    const { cluster, first } = await three()
    await first.append([utf8('a')])
    const third = await cluster.open('m3')
    expect(await readAll(third)).toEqual(['1:1:a'])
    expect(third.membership.members.map(({ id }) => id)).toEqual(['m1', 'm2', 'm3'])
    // Any member can.
    await third.membership.admit({ id: 'm4', publicKey: cluster.parts('m4').member.key.publicKey })
    expect(await readAll(await cluster.open('m4'))).toEqual(['1:1:a'])
    await first.refresh()
    expect(first.membership.members.map(({ id }) => id)).toEqual(['m1', 'm2', 'm3', 'm4'])
  })

  it('are admitted once, under one key', async () => {
    const { cluster, first } = await three()
    const { key } = cluster.parts('m2').member
    const before = first.head
    await first.membership.admit({ id: 'm2', publicKey: key.publicKey })
    expect(first.head).toEqual(before)
    await expect(
      first.membership.admit({ id: 'm2', publicKey: cluster.parts('m9').member.key.publicKey }),
    ).rejects.toThrowCode('MEMBER_EXISTS')
    for (const wrong of [{ id: '' }, { id: 'a b' }, { publicKey: new Uint8Array(31) }]) {
      await expect(first.membership.admit({ id: 'm9', publicKey: key.publicKey, ...wrong })).rejects.toThrow(RangeError)
    }
    await expect(first.membership.admit({ id: 'm9', publicKey: 'x' as never })).rejects.toThrow(TypeError)
  })

  it('open the log with their own box key and no other', async () => {
    const { cluster } = await three()
    const stranger = openMemberKey(new Uint8Array(32).fill(9))
    await expect(cluster.open('m2', { member: { id: 'm2', key: stranger } })).rejects.toThrowCode('MEMBER_KEY_WRONG')
    await expect(cluster.open('m9')).rejects.toThrowCode('MEMBER_UNKNOWN')
    expect(() => openMemberKey(new Uint8Array(33))).toThrow(RangeError)
    expect(() => openMemberKey('x' as never)).toThrow(TypeError)
  })

  it('lose with their removal every key of the log, and leave nothing under the old one', async () => {
    const { cluster, first, client, everything, roster } = await three()
    for (const each of ['a', 'b', 'c']) await first.append([utf8(each)])
    await first.saveSnapshot({ index: 2n, term: 1n, data: utf8('two') })
    const gone = await cluster.open('m3')
    const m3 = { id: 'm3', key: cluster.keys.get('m3')! }
    const old = openRoster(context, await roster(), m3).key
    const before = cluster.etcd.revision()

    await first.membership.remove('m3', { snapshot })
    expect(first.rotating).toBe(false)
    expect(first.membership.members.map(({ id }) => id)).toEqual(['m1', 'm2'])
    await expect(cluster.open('m3')).rejects.toThrowCode('MEMBER_UNKNOWN')
    await first.append([utf8('after')])
    await expect(readAll(gone)).rejects.toThrowCode('MEMBER_UNKNOWN')
    await expect(gone.append([utf8('x')])).rejects.toThrowCode('MEMBER_UNKNOWN')

    // Every sealed value names its key; none names the old one, and no box is his.
    const values = await everything()
    const ids = values.flatMap(({ value }) => decodeValue(value, nodeCipherSuite)?.keyId ?? [])
    expect(ids.length).toBeGreaterThan(2)
    expect(ids).not.toContain(old.id)
    const held = Buffer.from(await roster())
    expect(held.includes(Buffer.from(old.idBytes))).toBe(false)
    expect(held.includes(Buffer.from(old.dek))).toBe(false)
    const now = openRoster(context, held, { id: 'm1', key: cluster.keys.get('m1')! })
    expect(now.previous).toBeNull()
    expect(now.generation).toBe(2)
    expect(dekId(now.key.dek, nodeCipherSuite)).not.toEqual(old.idBytes)
    // And etcd has forgotten what it held before.
    await expect(client.range({ key: '/', end: '0', revision: before }, call)).rejects.toThrowCode('ETCD_COMPACTED')
    // The others go on.
    expect(await readAll(await cluster.open('m2'))).toEqual(['4:1:after'])
  })

  it('cannot be removed if they are none, or the last one', async () => {
    const { first } = await three()
    await expect(first.membership.remove('m9', { snapshot })).rejects.toThrowCode('MEMBER_UNKNOWN')
    await first.membership.remove('m2', { snapshot })
    await first.membership.remove('m3', { snapshot })
    await expect(first.membership.remove('m1', { snapshot })).rejects.toThrowCode('MEMBER_UNKNOWN')
    expect(first.membership.members.map(({ id }) => id)).toEqual(['m1'])
    expect(first.membership.pin.generation).toBe(3)
  })

  it('may go on under another box key, and then without the old one', async () => {
    const { cluster, first, roster } = await three()
    await first.append([utf8('a')])
    const fresh = { id: 'm1.2', key: openMemberKey(new Uint8Array(32).fill(7)) }
    await expect(first.membership.become(fresh)).rejects.toThrowCode('MEMBER_UNKNOWN')
    await first.membership.admit({ id: fresh.id, publicKey: fresh.key.publicKey })
    const wrong = { id: fresh.id, key: openMemberKey(new Uint8Array(32).fill(8)) }
    await expect(first.membership.become(wrong)).rejects.toThrowCode('MEMBER_KEY_WRONG')
    await first.membership.become(fresh)
    await first.membership.remove('m1', { snapshot })
    expect(first.membership.members.map(({ id }) => id)).toEqual(['m2', 'm3', 'm1.2'])
    // Somebody else changes the data key: only the new box opens it.
    const second = await cluster.open('m2')
    await second.rotateDek({ snapshot })
    await first.append([utf8('b')])
    expect(await readAll(first, 2n)).toEqual(['2:1:b'])
    const bytes = await roster()
    expect(openRoster(context, bytes, fresh).generation).toBe(first.membership.pin.generation)
    expect(() => openRoster(context, bytes, { id: 'm1', key: cluster.keys.get('m1')! })).toThrowCode('MEMBER_UNKNOWN')
  })

  it('keep a rotation that was interrupted, and finish it with the next', async () => {
    const { cluster, first, roster } = await three()
    await first.append([utf8('a')])
    const broken = first.rotateDek({ snapshot: () => Promise.reject(new Error('no snapshot')) })
    await expect(broken).rejects.toThrow('no snapshot')
    expect(first.rotating).toBe(true)
    const second = await cluster.open('m2')
    expect(second.rotating).toBe(true)
    // What lies under the old key is still read, by those who are members.
    expect(await readAll(second)).toEqual(['1:1:a'])
    await second.append([utf8('b')])
    await second.membership.remove('m3', { snapshot })
    expect(second.rotating).toBe(false)
    await first.refresh()
    expect(first.rotating).toBe(false)
    const now = openRoster(context, await roster(), { id: 'm1', key: cluster.keys.get('m1')! })
    expect([now.generation, now.previous]).toEqual([3, null])
  })

  it('make no snapshot the newest that lies under a key which was changed meanwhile', async () => {
    const { cluster, first, everything } = await three()
    for (const each of ['a', 'b', 'c']) await first.append([utf8(each)])
    const parts = cluster.parts('m2')
    let rotating: Promise<void> | null = null
    const client: EtcdClient = {
      ...parts.etcd,
      txn: async (request, options) => {
        const answer = await parts.etcd.txn(request, options)
        const isChunk = request.success.some(
          ({ kind, ...each }) => kind === 'put' && 'key' in each && each.key.includes('/snapshots/'),
        )
        // The data key changes between the chunks and the head, and what replaces the old one is not there yet.
        if (isChunk && rotating === null) {
          rotating = first.rotateDek({ snapshot: () => Promise.reject(new Error('later')) })
          await expect(rotating).rejects.toThrow('later')
        }
        return answer
      },
    }
    const second = await openSharedLog({ ...parts, etcd: client }, call)
    await second.saveSnapshot(snapshot(2n))
    const chunks = (await everything()).filter(({ key }) => key.includes('/snapshots/'))
    const now = openRoster(
      context,
      (await everything()).find(({ key }) => key.endsWith('/roster'))!.value,
      parts.member,
    )
    expect(now.generation).toBe(2)
    expect(chunks.map(({ value }) => decodeValue(value, nodeCipherSuite)?.keyId)).toEqual([now.key.id])
    expect((await first.loadSnapshot())?.index).toBe(2n)
  })

  it('rotate at the same time without harm: one does, the other hears of it or does it as well', async () => {
    const { cluster, first } = await three()
    await first.append([utf8('a')])
    const second = await cluster.open('m2')
    const done = await Promise.allSettled([first.rotateDek({ snapshot }), second.rotateDek({ snapshot })])
    expect(done.filter(({ status }) => status === 'fulfilled').length).toBeGreaterThan(0)
    for (const each of done) if (each.status === 'rejected') expect(each.reason).toMatchObject({ code: 'LOG_CONFLICT' })
    await first.rotateDek({ snapshot: () => ({ index: first.lastIndex, term: 1n, data: utf8('end') }) })
    await second.refresh()
    expect([first.rotating, second.rotating]).toEqual([false, false])
    await second.append([utf8('on')])
    expect(await readAll(first)).toEqual(['2:1:on'])
  })
})

describe('closing', () => {
  it('wipes the data keys, and leaves the pin to be kept', async () => {
    const cluster = testCluster()
    const used = new Set<Uint8Array>()
    const suite: CipherSuite = {
      ...nodeCipherSuite,
      hkdf: (key, salt, info, length) => {
        if (key.length === 32) used.add(key)
        return nodeCipherSuite.hkdf(key, salt, info, length)
      },
    }
    const log = await cluster.create('m1', { suite })
    await log.append([utf8('a')])
    // A rotation that is not finished: two keys are held.
    await expect(log.rotateDek({ snapshot: () => Promise.reject(new Error('later')) })).rejects.toThrow('later')
    const { pin } = log.membership
    const held = [...used].filter((key) => key.some((byte) => byte !== 0))
    expect(held.length).toBeGreaterThanOrEqual(2)
    const reading = log.entries()[Symbol.asyncIterator]()
    const late = reading.next()
    await log.close()
    for (const key of used) expect(key.every((byte) => byte === 0)).toBe(true)
    expect(log.membership.pin).toEqual(pin)
    expect(await late.catch((error: unknown) => error)).toMatchObject({ code: 'LOG_CLOSED' })
    const again = await cluster.open('m1', { pin })
    expect(await readAll(again)).toEqual(['1:1:a'])
  })
})

describe('a pin', () => {
  it('lets a manager in that knows an earlier data key, and shows a roster that was set back', async () => {
    const { cluster, first, client, roster } = await three()
    const old = first.membership.pin
    const oldRoster = await roster()
    const oldHead = (await client.range({ key: `/leastwise/${CLUSTER}/${LOG}/head` }, call)).kvs[0]!.value
    await first.rotateDek({ snapshot })
    await first.rotateDek({ snapshot })
    const now = first.membership.pin
    expect(now.generation).toBe(3)
    await cluster.open('m2', { pin: old })
    await cluster.open('m2', { pin: now })
    await expect(cluster.open('m2', { pin: { ...now, mark: old.mark } })).rejects.toThrowCode('ROSTER_NOT_AUTHENTIC')
    const put = (key: string, value: Uint8Array) =>
      ({ kind: 'put', key: `/leastwise/${CLUSTER}/${LOG}/${key}`, value }) as const
    await client.txn({ compare: [], success: [put('roster', oldRoster), put('head', oldHead)] }, call)
    await expect(cluster.open('m2', { pin: now })).rejects.toThrowCode('LOG_ROLLED_BACK')
    await expect(first.refresh()).rejects.toThrowCode('LOG_ROLLED_BACK')
  })

  it('shows a log that somebody made up, with boxes that open', async () => {
    const { cluster, first, client } = await three()
    const { pin } = first.membership
    await client.txn({ compare: [], success: [{ kind: 'delete', key: '/', end: '0' }] }, call)
    const forger = testCluster()
    const fake = await forger.create('evil')
    await fake.membership.admit({ id: 'm2', publicKey: cluster.keys.get('m2')!.publicKey })
    const all = (await forger.etcd.connect().range({ key: '/', end: '0' }, call)).kvs
    for (const { key, value } of all) await client.txn({ compare: [], success: [{ kind: 'put', key, value }] }, call)
    await expect(cluster.open('m2', { pin })).rejects.toThrowCode('ROSTER_NOT_AUTHENTIC')
    await expect(first.refresh()).rejects.toThrow()
  })

  it('is what a running manager holds each roster to, also when its box opens', async () => {
    const { cluster, first, client } = await three()
    const second = await cluster.open('m2')
    const forger = testCluster()
    const fake = await forger.create('evil')
    await fake.membership.admit({ id: 'm2', publicKey: cluster.keys.get('m2')!.publicKey })
    for (const generation of [1, 2]) {
      const all = (await forger.etcd.connect().range({ key: '/', end: '0' }, call)).kvs
      for (const { key, value } of all) await client.txn({ compare: [], success: [{ kind: 'put', key, value }] }, call)
      await expect(second.refresh(), `generation ${generation}`).rejects.toThrowCode('ROSTER_NOT_AUTHENTIC')
      // It seals nothing under the key of somebody else.
      await expect(second.append([utf8('MARKED')])).rejects.toThrow()
      expect(second.membership.pin).toEqual(first.membership.pin)
      await fake.rotateDek({ snapshot })
    }
  })
})

describe('a remembered head', () => {
  it('is found in a log that went on, and missed in one that was set back or went another way', async () => {
    const { cluster, first, client, everything } = await three()
    const empty = first.head
    await first.append([utf8('a')])
    const copy = await everything()
    await first.append([utf8('b'), utf8('c')])
    const remembered = first.head
    for (const head of [empty, remembered]) await cluster.open('m2', { remembered: head })
    await first.append([utf8('d')])
    await first.append([utf8('e')])
    await cluster.open('m2', { remembered })
    await expect(cluster.open('m2', { remembered: { ...remembered, tag: new Uint8Array(16) } })).rejects.toThrowCode(
      'LOG_ROLLED_BACK',
    )
    await first.saveSnapshot(snapshot(4n))
    for (const upTo of [3n, 4n]) {
      await first.compact(upTo)
      await cluster.open('m2', { remembered })
    }
    await cluster.open('m2', { remembered: empty })

    await client.txn({ compare: [], success: [{ kind: 'delete', key: '/', end: '0' }] }, call)
    for (const { key, value } of copy) await client.txn({ compare: [], success: [{ kind: 'put', key, value }] }, call)
    await expect(cluster.open('m2', { remembered })).rejects.toThrowCode('LOG_ROLLED_BACK')
    // Somebody who does not look goes on from there; the other way then shows in the entry itself.
    const other = await cluster.open('m2')
    for (const each of [['x', 'y'], ['z'], ['w']]) await other.append(each.map(utf8))
    await expect(cluster.open('m2', { remembered })).rejects.toThrowCode('LOG_ROLLED_BACK')
  })
})
