import { setImmediate as turn } from 'node:timers/promises'
import { ConnectError } from '@connectrpc/connect'
import {
  createEvictionPublisher,
  type EvictionBook,
  evictionBook,
  type HeldEvictions,
  holdEvictions,
  isNodeEvicted,
  type ListSigner,
} from '@leastwise/identity'
import { systemClock, systemDigest, systemRandom, systemVerifier } from '@leastwise/identity/node'
import type { Clock, EvictionsPort } from '@leastwise/swarm'
import { type LinkTrust, openManagerLink } from '@leastwise/swarm/node'
import { describe, expect, it, onTestFinished } from 'vitest'
import { bookWith, ofNode, signerOf } from '../identity/eviction-support.ts'
import { hurriedClock } from '../support/hurried-clock.ts'
import { probeAgent } from '../support/swarm-probe.ts'
import { type RunningManager, startManager } from '../support/swarm-server.ts'
import { type TestCluster, type TestNode, testCluster, testNodeId } from '../support/test-authority.ts'

const HOUR_MS = 3_600_000
const VICTIM = testNodeId(500)
const OTHER = testNodeId(501)

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await turn()
}

const hurried = hurriedClock(20)

interface Pushing extends RunningManager {
  readonly evict: (nodeId: string) => void
  /** The next streams send this in place of what they should. */
  readonly instead: Uint8Array[]
  signer: ListSigner
  /** The numbers that nodes said they knew. */
  readonly known: readonly number[]
  readonly manager1: TestNode
}

/** A manager that pushes evictions. */
async function pushing(cluster?: TestCluster): Promise<Pushing> {
  const own = cluster ?? (await testCluster())
  const manager1 = await own.issue({ role: 'manager' })
  let book: EvictionBook = evictionBook.initial
  const instead: Uint8Array[] = []
  const known: number[] = []
  const scene = { signer: signerOf(manager1) }
  const publisher = createEvictionPublisher({
    clusterId: own.clusterId,
    readBook: () => book,
    signAs: () => scene.signer,
    clock: systemClock,
    random: systemRandom,
    digest: systemDigest,
  })
  const evictions: EvictionsPort = {
    lists: async function* (number, options) {
      known.push(number)
      const other = instead.shift()
      if (other !== undefined) yield other
      yield* publisher.lists(number, options)
    },
  }
  const running = await startManager({ cluster: own, evictions })
  return Object.assign(scene, running, {
    instead,
    known,
    manager1,
    evict: (nodeId: string) => {
      book = bookWith(book, ofNode(nodeId as typeof VICTIM, Date.now()))
      publisher.changed()
    },
  })
}

const holding = ({ cluster }: RunningManager, view?: HeldEvictions['view']): HeldEvictions =>
  holdEvictions({
    clusterId: cluster.clusterId,
    verifier: systemVerifier,
    digest: systemDigest,
    ...(view === undefined ? {} : { view }),
  })

/** A connection of the test's own. */
const linked = (manager: RunningManager, trust: LinkTrust) => {
  const link = openManagerLink(manager.address, trust)
  onTestFinished(() => {
    link[Symbol.dispose]()
  })
  return link
}

/** How a stream of evictions ends: the code in its trailer. */
async function endOf(stream: AsyncIterable<unknown>): Promise<string | null> {
  try {
    for await (const _ of stream);
    return null
  } catch (error) {
    return error instanceof ConnectError ? error.metadata.get('leastwise-code') : null
  }
}

describe('an agent', () => {
  it('takes what a manager pushes, and hears of an eviction at once', async () => {
    const manager = await pushing()
    manager.evict(VICTIM)
    const evictions = holding(manager)
    const agent = probeAgent({ credentials: await manager.member(), managers: [manager.address], evictions })
    expect(await agent.next('evictions')).toMatchObject({ sequence: 1, evictions: 1 })
    let rechecked = 0
    evictions.follow({
      recheck: () => {
        rechecked += 1
      },
    })
    const before = performance.now()
    manager.evict(OTHER)
    await until(() => rechecked === 1)
    expect(performance.now() - before).toBeLessThan(1000)
    expect(isNodeEvicted(evictions.view.set, OTHER, Date.now())).toBe(true)
    expect(evictions.view.validUntil).toBeGreaterThan(Date.now() + 23 * HOUR_MS)
    expect(agent.events.some(({ type }) => type === 'disconnected')).toBe(false)
  })

  it('asks for what it lacks alone when it comes back', async () => {
    const manager = await pushing()
    manager.evict(VICTIM)
    manager.evict(OTHER)
    const evictions = holding(manager)
    const credentials = await manager.member()
    const agent = probeAgent({ credentials, managers: [manager.address], evictions })
    await agent.next('evictions')
    agent.stop()
    const again = holding(manager, evictions.view)
    const next = probeAgent({ credentials, managers: [manager.address], evictions: again })
    await next.next('evictions')
    expect(manager.known).toEqual([0, 2])
    expect(again.view.set).toBe(evictions.view.set)
  })

  it('with a manager that does not know the service goes on as before, and says so once', async () => {
    const manager = await startManager()
    const agent = probeAgent({
      credentials: await manager.member(),
      managers: [manager.address],
      evictions: holding(manager),
      clock: hurried,
    })
    expect(await agent.next('evictions-unavailable')).toMatchObject({ address: manager.address })
    await agent.next('assignments')
    const heard = agent.events.length
    for (let beats = 0; beats < 3; beats += 1) await hurried.sleep(20, { signal: new AbortController().signal })
    expect(agent.events.slice(heard).map(({ type }) => type)).toEqual([])
    expect(agent.events.filter(({ type }) => type === 'evictions-unavailable')).toHaveLength(1)
    expect(agent.events.some(({ type }) => type === 'disconnected' || type === 'evictions-refused')).toBe(false)
  })

  it('that was given nothing to hold them asks for none', async () => {
    const manager = await pushing()
    const agent = probeAgent({ credentials: await manager.member(), managers: [manager.address] })
    await agent.next('assignments')
    expect(manager.known).toEqual([])
  })

  it.each([
    ['is cut', 'EVICTION_LIST_MALFORMED'],
    ['was changed', 'EVICTION_LIST_UNTRUSTED'],
    ['a worker has signed', 'EVICTION_LIST_UNTRUSTED'],
    ['another cluster has signed', 'EVICTION_LIST_UNTRUSTED'],
    ['is of another cluster', 'EVICTION_LIST_WRONG_CLUSTER'],
    ['has ended', 'EVICTION_LIST_EXPIRED'],
    ['is empty', 'EVICTION_LIST_MALFORMED'],
  ])('does not take a list that %s, keeps its session, and takes the next good one', async (kind, code) => {
    const manager = await pushing()
    const made = async (signer: ListSigner, clusterId = manager.cluster.clusterId, now = Date.now()) => {
      const stop = new AbortController()
      const { lists } = createEvictionPublisher({
        ...{
          clusterId,
          signAs: () => signer,
          lifeMs: 2000,
          random: systemRandom,
          digest: systemDigest,
          clock: { ...systemClock, now: () => now },
        },
        readBook: () => bookWith(evictionBook.initial, ofNode(OTHER, now)),
      })
      for await (const list of lists(0, { signal: stop.signal })) return list
      throw new Error('no list came')
    }
    const good = await made(signerOf(manager.manager1))
    const stranger = await testCluster({ clusterId: manager.cluster.clusterId })
    const bad: Record<string, () => Promise<Uint8Array>> = {
      'is cut': async () => await Promise.resolve(good.subarray(0, -1)),
      'was changed': async () => await Promise.resolve(good.with(-1, (good.at(-1) ?? 0) ^ 1)),
      'a worker has signed': async () => await made(signerOf(await manager.cluster.issue())),
      'another cluster has signed': async () => await made(signerOf(await stranger.issue({ role: 'manager' }))),
      'is of another cluster': async () =>
        await made(
          signerOf(manager.manager1),
          `${manager.cluster.clusterId.slice(0, -1)}z` as TestCluster['clusterId'],
        ),
      'has ended': async () => await made(signerOf(manager.manager1), undefined, Date.now() - 10_000),
      'is empty': async () => await Promise.resolve(new Uint8Array(0)),
    }
    manager.evict(VICTIM)
    manager.instead.push(await bad[kind]!())
    const evictions = holding(manager)
    const agent = probeAgent({
      credentials: await manager.member(),
      managers: [manager.address],
      evictions,
      clock: hurried,
    })
    expect(await agent.next('evictions-refused')).toMatchObject({ code })
    await agent.next('evictions')
    expect(isNodeEvicted(evictions.view.set, OTHER, Date.now())).toBe(false)
    expect(isNodeEvicted(evictions.view.set, VICTIM, Date.now())).toBe(true)
    expect(agent.events.some(({ type }) => type === 'disconnected')).toBe(false)
  })

  it('does not go back to an older list, nor skip one', async () => {
    const manager = await pushing()
    const old = await firstOf(manager)
    manager.evict(VICTIM)
    manager.evict(OTHER)
    manager.instead.push(old)
    const first = holding(manager)
    const credentials = await manager.member()
    const agent = probeAgent({ credentials, managers: [manager.address], evictions: first, clock: hurried })
    await agent.next('evictions')
    await until(() => first.view.sequence === 2)
    agent.stop()
    manager.instead.push(old)
    const again = holding(manager, first.view)
    const next = probeAgent({ credentials, managers: [manager.address], evictions: again, clock: hurried })
    expect(await next.next('evictions-refused')).toMatchObject({ code: 'EVICTION_LIST_ROLLED_BACK' })
    await next.next('evictions')
    expect(again.view.sequence).toBe(2)
  })

  it('says when no list comes in time, and lets everybody be judged anew, whether it has a session or not', async () => {
    const manager = await pushing()
    manager.evict(VICTIM)
    const evictions = holding(manager)
    let ahead = 0
    const clock: Clock = { ...hurried, now: () => systemClock.now() + ahead }
    const credentials = await manager.member({ lifetimeMs: 80 * HOUR_MS })
    const agent = probeAgent({ credentials, managers: [manager.address], evictions, clock })
    await agent.next('evictions')
    let rechecked = 0
    evictions.follow({
      recheck: () => {
        rechecked += 1
      },
    })
    agent.stop()
    const alone = probeAgent({ credentials, managers: ['127.0.0.1:1'], evictions, clock })
    await alone.next('disconnected')
    expect(rechecked).toBe(0)
    ahead = 25 * HOUR_MS
    expect(await alone.next('evictions-stale')).toEqual({ type: 'evictions-stale', since: evictions.view.validUntil })
    expect(rechecked).toBe(1)
  })

  it('tells of a disk that does not keep a list, and refuses whom it names all the same', async () => {
    const manager = await pushing()
    manager.evict(VICTIM)
    const evictions = holdEvictions({
      clusterId: manager.cluster.clusterId,
      verifier: systemVerifier,
      digest: systemDigest,
      save: async () => {
        await Promise.reject(Object.assign(new Error('no space'), { code: 'EVICTION_FILE_FAILED' }))
      },
    })
    const agent = probeAgent({
      credentials: await manager.member(),
      managers: [manager.address],
      evictions,
      clock: hurried,
    })
    expect(await agent.next('evictions-refused')).toMatchObject({ code: 'EVICTION_FILE_FAILED' })
    expect(isNodeEvicted(evictions.view.set, VICTIM, Date.now())).toBe(true)
  })
})

/** The list that a manager gives to a node that has none. */
async function firstOf(manager: Pushing): Promise<Uint8Array> {
  const link = linked(manager, { kind: 'identity', credentials: await manager.member() })
  for await (const { list } of link.evictions.follow({ known: 0n })) return list
  throw new Error('no list came')
}

describe('the eviction service', () => {
  it('is for nodes in good standing', async () => {
    const manager = await pushing()
    const { cluster } = manager
    const nobody = linked(manager, { kind: 'bundle', trustBundle: new TextEncoder().encode(cluster.root.pem) })
    expect(await endOf(nobody.evictions.follow({ known: 0n }))).toBe('CALLER_ANONYMOUS')
    const credentials = await manager.member()
    manager.manager.evicted.add(credentials.nodeId)
    const evicted = linked(manager, { kind: 'identity', credentials })
    expect(await endOf(evicted.evictions.follow({ known: 0n }))).toBe('PEER_EVICTED')
  })

  it('has one stream for each node, which the latest takes over', async () => {
    const manager = await pushing()
    const credentials = await manager.member()
    const link = linked(manager, { kind: 'identity', credentials })
    const first = endOf(link.evictions.follow({ known: 0n }))
    await until(() => manager.known.length === 1)
    const second = link.evictions.follow({ known: 0n })[Symbol.asyncIterator]()
    await second.next()
    expect(await first).toBe('SESSION_REPLACED')
    manager.evict(VICTIM)
    expect((await second.next()).done).toBe(false)
  })

  it('does not take a number that nobody can have', async () => {
    const manager = await pushing()
    const link = linked(manager, { kind: 'identity', credentials: await manager.member() })
    expect(await endOf(link.evictions.follow({ known: 2n ** 63n }))).toBe('REQUEST_MALFORMED')
  })

  it('ends with the connection of a node that is evicted', async () => {
    const manager = await pushing()
    const credentials = await manager.member()
    const link = linked(manager, { kind: 'identity', credentials })
    const over = endOf(link.evictions.follow({ known: 0n }))
    await until(() => manager.known.length === 1)
    manager.manager.evicted.add(credentials.nodeId)
    manager.server.recheck()
    expect(await over).toBe(null)
  })
})
