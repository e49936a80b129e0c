import { inspect } from 'node:util'
import {
  createEvictionPublisher,
  EVICTION_BEAT_MS,
  EVICTION_LIST_LIFE_MS,
  type Eviction,
  type EvictionBook,
  evictionBook,
  evictionBookEvents,
  evictionsSince,
  type HeldEvictions,
  holdEvictions,
  isNodeEvicted,
  type ListSigner,
  MAX_EVICTION_LIST_LIFE_MS,
  notEvicted,
  type RandomSource,
  verifyEvictionList,
} from '@leastwise/identity'
import { systemDigest, systemVerifier } from '@leastwise/identity/node'
import fc from 'fast-check'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type ManualClock, manualClock } from '../support/manual-clock.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { type TestCluster, type TestNode, testCluster, testClusterId, testNodeId } from '../support/test-authority.ts'
import { bookWith, ofNode, signerOf } from './eviction-support.ts'
import { crossed, rootOfCluster } from './rotation-support.ts'

const HOUR_MS = 3_600_000
const START = Date.UTC(2026, 10, 22)
let cluster: TestCluster
let manager: TestNode
let other: TestNode
beforeAll(async () => {
  cluster = await testCluster({ now: START })
  manager = await cluster.issue({ role: 'manager', lifetimeMs: 72 * HOUR_MS })
  other = await cluster.issue({ role: 'manager', lifetimeMs: 72 * HOUR_MS })
})

let clock: ManualClock
let book: EvictionBook
let signer: ListSigner
let signed: number
let outOfReach: boolean
beforeEach(() => {
  clock = manualClock(START)
  book = evictionBook.initial
  signed = 0
  outOfReach = false
  signer = counted(manager)
})

/** Counts what it signs. */
const counted = (who: TestNode): ListSigner => {
  const { signer: key, chain } = signerOf(who)
  const sign: typeof key.sign = (data) => {
    signed += 1
    if (outOfReach) throw Object.assign(new Error('the key is out of reach'), { code: 'NO_KEY' })
    return key.sign(data)
  }
  return { signer: { keyType: key.keyType, publicKey: key.publicKey, sign }, chain }
}
/** Draws the longest silence. */
const unhurried: RandomSource = { bytes: (length) => new Uint8Array(length) }
const publisherOf = (
  options: { readonly lifeMs?: number; readonly beatMs?: number; readonly random?: RandomSource } = {},
) =>
  createEvictionPublisher({
    clusterId: cluster.clusterId,
    readBook: () => book,
    signAs: () => signer,
    clock,
    random: unhurried,
    digest: systemDigest,
    ...options,
  })
/** No node that this cluster has issued to. */
const victim = (number: number) => testNodeId(500 + number)
const evict = (...numbers: readonly number[]): void => {
  book = bookWith(book, ...numbers.map((number) => ofNode(victim(number), clock.now())))
}
const roots = () => [cluster.root]
const read = async (bytes: Uint8Array | undefined, now = clock.now()) =>
  await verifyEvictionList(bytes!, {
    roots: roots(),
    clusterId: cluster.clusterId,
    now,
    verifier: systemVerifier,
    view: held().view,
  })
const held = (view?: HeldEvictions['view']): HeldEvictions =>
  holdEvictions({
    clusterId: cluster.clusterId,
    verifier: systemVerifier,
    digest: systemDigest,
    ...(view === undefined ? {} : { view }),
  })
const nodesIn = (evictions: readonly Eviction[]) =>
  evictions.map((each) => (each.kind === 'node' ? each.nodeId : each.serial)).sort()

/** A peer that listens: the lists that have come so far. */
function listening(publisher: ReturnType<typeof publisherOf>, known = 0) {
  const stop = new AbortController()
  const came: Uint8Array[] = []
  const over = (async () => {
    for await (const list of publisher.lists(known, { signal: stop.signal })) came.push(list)
  })()
  over.catch(() => undefined)
  return {
    came,
    over,
    stop: () => {
      stop.abort(new Error('enough'))
    },
  }
}

describe('a publisher of evictions', () => {
  it('gives a peer what it lacks at once, then what is new, and nobody more than that', async () => {
    evict(1, 2)
    const publisher = publisherOf()
    const fresh = listening(publisher)
    const upToDate = listening(publisher, book.sequence)
    await clock.advance(0)
    expect(await read(fresh.came[0])).toMatchObject({ base: 0, sequence: 1 })
    expect(nodesIn((await read(fresh.came[0])).evictions)).toEqual([victim(1), victim(2)])
    expect(await read(upToDate.came[0])).toMatchObject({ base: 1, sequence: 1, evictions: [] })
    evict(3)
    publisher.changed()
    await clock.advance(0)
    for (const { came } of [fresh, upToDate]) {
      expect(came).toHaveLength(2)
      const news = await read(came[1])
      expect(news).toMatchObject({ base: 1, sequence: 2, issuedAt: START, validUntil: START + EVICTION_LIST_LIFE_MS })
      expect(nodesIn(news.evictions)).toEqual([victim(3)])
    }
  })

  it('signs once for all peers', async () => {
    evict(1)
    const publisher = publisherOf()
    const peers = Array.from({ length: 100 }, (_, number) => listening(publisher, number % 2))
    await clock.advance(0)
    expect(signed).toBe(2)
    evict(2)
    publisher.changed()
    await clock.advance(0)
    expect(signed).toBe(3)
    expect(peers.every(({ came }) => came.length === 2)).toBe(true)
    for (const { stop } of peers) stop()
  })

  it('says that it is there whenever there was silence for a beat, and prolongs what the peer has', async () => {
    evict(1)
    const publisher = publisherOf()
    const peer = listening(publisher)
    const holder = held()
    await clock.advance(10 * EVICTION_BEAT_MS)
    expect(peer.came).toHaveLength(11)
    for (const list of peer.came) await holder.take(list, { roots: roots(), now: clock.now() })
    expect(holder.view).toMatchObject({ sequence: 1, validUntil: clock.now() + EVICTION_LIST_LIFE_MS })
    expect(holder.heardAt).toBe(clock.now())
    expect(holder.view.set.size).toBe(1)
  })

  it('spreads the beats of those who came or were told something in the same moment, and keeps none waiting longer', async () => {
    evict(1)
    const publisher = publisherOf({ random: seededRandom(11) })
    const peers = Array.from({ length: 500 }, () => listening(publisher, 1))
    const lists = (): number => peers.reduce((sum, { came }) => sum + came.length, 0)
    await clock.advance(0)
    for (const what of ['came', 'told']) {
      const begun = lists()
      const signedBefore = signed
      const shares: number[] = []
      for (let tenth = 0; tenth < 20; tenth += 1) {
        const before = lists()
        await clock.advance(EVICTION_BEAT_MS / 10)
        shares.push(lists() - before)
      }
      // 50 in each tenth of a beat, and not 500 in one of ten.
      expect({ what, most: Math.max(...shares) < 80, least: Math.min(...shares) > 25 }).toMatchObject({
        most: true,
        least: true,
      })
      expect(lists() - begun).toBe(2 * peers.length)
      expect(signed - signedBefore).toBeLessThanOrEqual(5)
      evict(2)
      publisher.changed()
      await clock.advance(0)
    }
    for (const { stop } of peers) stop()
  })

  it('gives a peer that missed some the news since, and one that missed many or long ago the whole list', async () => {
    evict(100)
    const publisher = publisherOf()
    publisher.changed()
    const first = listening(publisher)
    await clock.advance(0)
    first.stop()
    for (const number of [101, 102, 103]) {
      evict(number)
      const each = listening(publisher, book.sequence)
      await clock.advance(0)
      each.stop()
    }
    const missed = listening(publisher, 2)
    await clock.advance(0)
    expect(await Promise.all(missed.came.map(async (list) => (await read(list)).base))).toEqual([2, 3])
    const stranger = listening(publisher, 0)
    await clock.advance(0)
    expect(await read(stranger.came[0])).toMatchObject({ base: 0, sequence: 4 })
    await clock.advance(EVICTION_LIST_LIFE_MS / 2)
    const late = listening(publisher, 2)
    await clock.advance(0)
    expect(await read(late.came[0])).toMatchObject({ base: 0, sequence: 4 })
    for (const { stop } of [missed, stranger, late]) stop()
  })

  it('does not send what a peer would refuse: nothing until this manager has caught up', async () => {
    evict(1)
    const publisher = publisherOf()
    const ahead = listening(publisher, 2)
    await clock.advance(3 * EVICTION_BEAT_MS)
    expect(ahead.came).toEqual([])
    evict(2)
    evict(3)
    publisher.changed()
    await clock.advance(0)
    expect(await read(ahead.came[0])).toMatchObject({ base: 1, sequence: 3 })
  })

  it('signs anew for everybody when the manager has another certificate', async () => {
    evict(1)
    const publisher = publisherOf()
    const peer = listening(publisher)
    await clock.advance(0)
    signer = counted(other)
    publisher.changed()
    await clock.advance(0)
    expect(peer.came).toHaveLength(2)
    const holder = held()
    for (const list of peer.came) await holder.take(list, { roots: roots(), now: clock.now() })
    const view = { ...holder.view }
    evict(2)
    book = bookWith(book, ofNode(manager.nodeId, clock.now()))
    publisher.changed()
    await clock.advance(0)
    await holder.take(peer.came[2]!, { roots: roots(), now: clock.now() })
    expect(isNodeEvicted(holder.view.set, manager.nodeId, clock.now())).toBe(true)
    // What the first one signed is worth nothing to whoever has heard of its eviction.
    await expect(held(holder.view).take(peer.came[0]!, { roots: roots(), now: clock.now() })).rejects.toThrowCode(
      'EVICTION_LIST_UNTRUSTED',
    )
    expect(view.sequence).toBe(1)
  })

  it('with a key that is out of reach fails for those who ask, and tries again for the next', async () => {
    evict(1)
    const publisher = publisherOf()
    outOfReach = true
    await expect(listening(publisher).over).rejects.toThrow('out of reach')
    outOfReach = false
    const next = listening(publisher)
    await clock.advance(0)
    expect(await read(next.came[0])).toMatchObject({ sequence: 1 })
  })

  it.each([0, 2])(
    'reaches peers that have heard more than a restored book knows, after %d other evictions',
    async (made) => {
      evict(1)
      const backup = book
      const holder = held()
      const heard = listening(publisherOf())
      for (const number of [2, 3, 4]) evict(number)
      await clock.advance(EVICTION_BEAT_MS)
      for (const list of heard.came) await holder.take(list, { roots: roots(), now: clock.now() })
      heard.stop()
      expect(holder.view.sequence).toBe(4)
      // The three are lost, and their numbers are given again.
      book = backup
      const publisher = publisherOf()
      const again = listening(publisher, holder.view.sequence)
      for (let number = 0; number < made; number += 1) evict(5 + number)
      publisher.changed()
      await clock.advance(0)
      expect(again.came).toEqual([])
      book = evictionBook.decide(book, { type: 'restored' }).reduce(evictionBook.evolve, book)
      publisher.changed()
      await clock.advance(0)
      evict(9)
      publisher.changed()
      await clock.advance(0)
      for (const list of again.came) await holder.take(list, { roots: roots(), now: clock.now() })
      expect(holder.view).toMatchObject({ sequence: book.sequence, validUntil: clock.now() + EVICTION_LIST_LIFE_MS })
      const others = Array.from({ length: made }, (_, number) => 5 + number)
      for (const number of [1, 2, 3, 4, ...others, 9])
        expect(isNodeEvicted(holder.view.set, victim(number), clock.now())).toBe(true)
      expect([...evictionBookEvents(book)].reduce(evictionBook.evolve, evictionBook.initial)).toEqual(book)
    },
  )

  it('goes on after the book was set back by a restore', async () => {
    evict(1)
    const older = book
    evict(2)
    const publisher = publisherOf()
    book = older
    const peer = listening(publisher)
    await clock.advance(0)
    expect(nodesIn((await read(peer.came[0])).evictions)).toEqual([victim(1)])
  })

  it('ends with the reason of its signal, and leaves no sleeper', async () => {
    const publisher = publisherOf()
    const peer = listening(publisher)
    await clock.advance(0)
    expect(clock.sleepers()).toBe(1)
    peer.stop()
    await expect(peer.over).rejects.toThrow('enough')
    expect(clock.sleepers()).toBe(0)
  })

  it('refuses lives and beats that cannot be', () => {
    for (const lifeMs of [0, -1000, 1500, Number.NaN, MAX_EVICTION_LIST_LIFE_MS + 1000])
      expect(() => publisherOf({ lifeMs })).toThrow(RangeError)
    for (const beatMs of [0, -1, Number.NaN, EVICTION_LIST_LIFE_MS])
      expect(() => publisherOf({ beatMs })).toThrow(RangeError)
    expect(publisherOf({ lifeMs: 2000 })).toBeDefined()
  })
})

describe('a manager that lies', () => {
  const trust = () => ({ roots: roots(), now: clock.now() })
  const firstList = async (): Promise<Uint8Array> => {
    const peer = listening(publisherOf())
    await clock.advance(0)
    peer.stop()
    return peer.came[0]!
  }

  it('can evict whom it likes, and can let nobody in again', async () => {
    evict(1)
    const honest = await firstList()
    const holder = held()
    await holder.take(honest, trust())
    signer = signerOf(other)
    // A book of its own, of a number that looks newer, in which the one who was evicted does not stand.
    book = { ...bookWith(evictionBook.initial, ofNode(victim(2), START), ofNode(victim(3), START)), sequence: 9 }
    await holder.take(await firstList(), trust())
    for (const number of [1, 2, 3]) expect(isNodeEvicted(holder.view.set, victim(number), START)).toBe(true)
  })

  it('signs nothing any more for those who have heard of its eviction', async () => {
    book = bookWith(book, ofNode(other.nodeId, START))
    const holder = held()
    await holder.take(await firstList(), trust())
    signer = signerOf(other)
    evict(2)
    await expect(holder.take(await firstList(), trust())).rejects.toThrowCode('EVICTION_LIST_UNTRUSTED')
    expect(holder.view.sequence).toBe(1)
  })

  it('can make later lists look old by its number: then the view ends, which shows', async () => {
    signer = signerOf(other)
    book = { ...book, sequence: 2 ** 48 - 1 }
    const holder = held()
    await holder.take(await firstList(), trust())
    signer = signerOf(manager)
    book = bookWith(evictionBook.initial, ofNode(other.nodeId, START))
    await expect(holder.take(await firstList(), trust())).rejects.toThrowCode('EVICTION_LIST_ROLLED_BACK')
    const ends = START + EVICTION_LIST_LIFE_MS
    expect(holder.view.validUntil).toBe(ends)
    const judge = notEvicted({ readView: () => holder.view, now: () => ends + 1, whenStale: 'refuse' })
    expect(() => {
      judge({ nodeId: victim(1), serial: '0a' })
    }).toThrowCode('EVICTIONS_STALE')
  })
})

describe('while the root rotates', () => {
  it('a list verifies for peers that trust the old root, both, or the new one', async () => {
    const next = await testCluster({ now: START, commonName: 'swarm-ca-2' })
    const bridge = await crossed(rootOfCluster(next), rootOfCluster(cluster), START)
    const renewed = await next.issue({ role: 'manager' })
    const { signer: key } = signerOf(renewed)
    signer = { signer: key, chain: [renewed.certificate, bridge] }
    evict(1)
    const peer = listening(publisherOf())
    await clock.advance(0)
    for (const trusted of [[cluster.root], [cluster.root, next.root], [next.root, cluster.root], [next.root]]) {
      const { sequence } = await held().take(peer.came[0]!, { roots: trusted, now: START })
      expect(sequence).toBe(1)
    }
    // Before the manager was re-issued: for those who trust the old root still, which are all of them.
    signer = counted(manager)
    const early = listening(publisherOf())
    await clock.advance(0)
    for (const trusted of [[cluster.root], [cluster.root, next.root]])
      expect((await held().take(early.came[0]!, { roots: trusted, now: START })).sequence).toBe(1)
    await expect(held().take(early.came[0]!, { roots: [next.root], now: START })).rejects.toThrowCode(
      'EVICTION_LIST_UNTRUSTED',
    )
  })
})

describe('what a node holds', () => {
  const lists = async (...known: readonly number[]): Promise<readonly Uint8Array[]> => {
    const publisher = publisherOf()
    const made: Uint8Array[] = []
    for (const number of known) {
      const peer = listening(publisher, number)
      await clock.advance(0)
      made.push(...peer.came)
      peer.stop()
    }
    return made
  }
  const trust = () => ({ roots: roots(), now: clock.now() })

  it('acts first and is kept then; a disk that fails keeps nobody in', async () => {
    evict(1)
    const [list] = await lists(0)
    const order: string[] = []
    const holder = holdEvictions({
      clusterId: cluster.clusterId,
      verifier: systemVerifier,
      digest: systemDigest,
      save: async (view) => {
        order.push(`save ${view.sequence}`)
        throw Object.assign(new Error('no space'), { code: 'EVICTION_FILE_FAILED' })
      },
    })
    const leave = holder.follow({
      recheck: () => {
        order.push(`recheck ${holder.view.sequence}`)
      },
    })
    await expect(holder.take(list!, trust())).rejects.toThrowCode('EVICTION_FILE_FAILED')
    expect(order).toEqual(['recheck 1', 'save 1'])
    expect(isNodeEvicted(holder.view.set, victim(1), clock.now())).toBe(true)
    leave()
    holder.recheck()
    expect(order).toHaveLength(2)
  })

  it('asks nobody anew for a list without news, unless the view had ended', async () => {
    evict(1)
    const [whole, beat] = await lists(0, 1)
    const holder = held()
    let asked = 0
    holder.follow({
      recheck: () => {
        asked += 1
      },
    })
    await holder.take(whole!, trust())
    await holder.take(beat!, trust())
    expect(asked).toBe(1)
    await clock.advance(EVICTION_LIST_LIFE_MS + 1000)
    const [revival] = await lists(1)
    await holder.take(revival!, trust())
    expect(asked).toBe(2)
  })

  it('takes one list after the other, in the order in which they came', async () => {
    evict(1)
    const publisher = publisherOf()
    const peer = listening(publisher)
    await clock.advance(0)
    for (const number of [2, 3, 4]) {
      evict(number)
      publisher.changed()
      await clock.advance(0)
    }
    const holder = held()
    const views = await Promise.all(peer.came.map(async (list) => await holder.take(list, trust())))
    expect(views.map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4])
  })

  it('is not changed by a list that is older, foreign, expired, forged, cut, from the future, or leaves something out', async () => {
    evict(1)
    const [old] = await lists(0)
    evict(2)
    const [whole, delta] = await lists(0, 1)
    const holder = held()
    const refused = async (bytes: Uint8Array, code: string, now = clock.now()) => {
      const before = holder.view
      const error = await holder.take(bytes, { roots: roots(), now }).catch((thrown: unknown) => thrown)
      expect(error).toMatchObject({ name: 'IdentityError', code })
      expect(inspect(error)).not.toContain(victim(2))
      expect(holder.view).toBe(before)
    }
    expect(delta).toBeDefined()
    await holder.take(whole!, trust())
    await refused(old!, 'EVICTION_LIST_ROLLED_BACK')
    await refused(whole!, 'EVICTION_LIST_EXPIRED', START + EVICTION_LIST_LIFE_MS + 1000)
    const inOurTime = clock
    clock = { ...inOurTime, now: () => inOurTime.now() + 2 * HOUR_MS }
    const ahead = listening(publisherOf())
    clock = inOurTime
    await clock.advance(0)
    await refused(ahead.came[0]!, 'EVICTION_LIST_NOT_YET_VALID')
    ahead.stop()
    const foreign = await testCluster({ now: START, clusterId: testClusterId(2) })
    const stranger = holdEvictions({ clusterId: foreign.clusterId, verifier: systemVerifier, digest: systemDigest })
    await expect(stranger.take(whole!, { roots: [foreign.root], now: START })).rejects.toThrowCode(
      'EVICTION_LIST_WRONG_CLUSTER',
    )
    signer = signerOf(await (await testCluster({ now: START })).issue({ role: 'manager' }))
    await refused((await lists(0))[0]!, 'EVICTION_LIST_UNTRUSTED')
    signer = signerOf(await cluster.issue({ role: 'worker' }))
    await refused((await lists(0))[0]!, 'EVICTION_LIST_UNTRUSTED')
    for (let length = 0; length < whole!.length; length += 1)
      await refused(whole!.subarray(0, length), 'EVICTION_LIST_MALFORMED')
    signer = signerOf(manager)
    evict(3)
    evict(4)
    const gap = (await lists(0))[0]!
    await expect(held().take(gap, trust())).resolves.toMatchObject({ sequence: 4 })
    const publisher = publisherOf()
    evict(5)
    const peer = listening(publisher, 4)
    await clock.advance(0)
    await refused(peer.came[0]!, 'EVICTION_LIST_GAP')
  })

  it('lets the signature of no flipped bit pass', async () => {
    evict(1)
    const [whole] = await lists(0)
    for (let at = 0; at < whole!.length; at += 7) {
      const changed = Uint8Array.from(whole!)
      changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8))
      await expect(held().take(changed, trust())).rejects.toMatchObject({ name: 'IdentityError' })
    }
  })

  it('forgets what has ended', async () => {
    evict(1)
    const [whole] = await lists(0)
    const holder = held()
    await holder.take(whole!, trust())
    expect(holder.view.set.size).toBe(1)
    await clock.advance(91 * HOUR_MS + 1000)
    const later = await testCluster({ now: clock.now() })
    signer = signerOf(await later.issue({ role: 'manager' }))
    const [beat] = await lists(1)
    await holder.take(beat!, { roots: [later.root], now: clock.now() })
    expect(holder.view).toMatchObject({ sequence: 1, set: { size: 0 } })
  })
})

it('law: what a book has since another one, joined with it, is the book', () => {
  const numbers = fc.array(fc.tuple(fc.nat(30), fc.integer({ min: 1, max: 4 })), { maxLength: 20 })
  fc.assert(
    fc.property(numbers, numbers, fc.boolean(), (first, second, snapshot) => {
      const of = ([number, quarter]: readonly [number, number]): Eviction => ({
        ...ofNode(testNodeId(number), START),
        until: START + quarter * HOUR_MS,
      })
      const before = bookWith(evictionBook.initial, ...first.map(of))
      const grown = bookWith(before, ...second.map(of))
      // A book that was read from a snapshot shares nothing with the one before.
      const after = snapshot ? [...evictionBookEvents(grown)].reduce(evictionBook.evolve, evictionBook.initial) : grown
      const since = [...evictionsSince(before, after)]
      const joined = bookWith(before, ...since)
      expect([...evictionBookEvents({ ...joined, sequence: 0 })]).toEqual([
        ...evictionBookEvents({ ...grown, sequence: 0 }),
      ])
      const ends = new Map(first.map(of).map((each) => [JSON.stringify({ ...each, until: 0 }), 0]))
      for (const each of first.map(of)) {
        const key = JSON.stringify({ ...each, until: 0 })
        ends.set(key, Math.max(ends.get(key) ?? 0, each.until))
      }
      for (const each of since) expect(each.until).toBeGreaterThan(ends.get(JSON.stringify({ ...each, until: 0 })) ?? 0)
    }),
  )
})
