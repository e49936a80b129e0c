import {
  authorityLife,
  changedNodes,
  countBehind,
  createRotationRoster,
  type FoundedAuthority,
  type Membership,
  membership,
  type NodeRecord,
  nextToShorten,
  nodeOf,
  type RotationMembers,
  rootIdOf,
} from '@leastwise/identity'
import { beforeAll, describe, expect, it } from 'vitest'
import { withEntry } from '../../packages/identity/src/sharded-map.ts'
import { testCluster, testNodeId } from '../support/test-authority.ts'
import {
  apply,
  calm,
  crossed,
  DAY_MS,
  founded,
  foundedOn,
  policy,
  rootOfCluster,
  start,
  testRoot,
} from './rotation-support.ts'

const NODES = 10_000
const BATCH = 100
const NOW = Date.UTC(2026, 11, 1)

const nodeIds = Array.from({ length: NODES }, (_, number) => testNodeId(number))
let looks = 0

/** A record that counts how often it is looked at. */
const counting = (number: number, change: Partial<NodeRecord> = {}): NodeRecord => {
  const facts = { nodeId: testNodeId(number), role: 'worker', roleEpoch: 0, availability: 'active' } as const
  const issued = { status: 'issued', csr: 'csr', publicKeyHash: 'key', certificate: 'pem', serial: '01' } as const
  const ends = { notAfter: NOW + 90 * DAY_MS, latestNotAfter: NOW + 90 * DAY_MS, certificates: [] }
  const record: NodeRecord = { ...facts, ...issued, ...ends, admittedAt: NOW + number, ...change }
  return new Proxy(record, {
    get: (target, name) => {
      if (name === 'admittedAt' || name === 'notAfter') looks += 1
      return target[name as keyof NodeRecord]
    },
  })
}

const withRecord = ({ nodes, evictions }: Membership, record: NodeRecord): Membership => ({
  nodes: withEntry(nodes, record.nodeId, record),
  evictions,
})

let all: Membership
let reissuing: FoundedAuthority
let rootId: string
beforeAll(async () => {
  all = nodeIds.reduce((state, _, number) => withRecord(state, counting(number)), membership.initial)
  const cluster = await testCluster({ now: NOW })
  const next = await testRoot('swarm-ca-2', NOW)
  rootId = rootIdOf(next.certificate)
  const crossSigned = await crossed(next, rootOfCluster(cluster), NOW)
  const pace = policy({ startWindow: BATCH, maxWindow: BATCH })
  reissuing = founded(
    apply(
      foundedOn(rootOfCluster(cluster), NOW),
      { type: 'plan-rotation', policy: pace, now: NOW },
      start(next, crossSigned, NOW),
      { type: 'begin-reissue', now: NOW },
    ),
  )
})

/** How many records `run` looks at. */
const looksOf = (run: () => void): number => {
  looks = 0
  run()
  return looks
}

describe('of ten thousand nodes, few are looked at', () => {
  it('in a step of a rotation: those that were asked, came, joined or went since the step before', () => {
    let reached = 0
    const roster = createRotationRoster({
      isReachable: () => {
        reached += 1
        return true
      },
    })
    let [state, members] = [reissuing, all]
    const step = (now: number): readonly string[] => {
      const given: RotationMembers = roster.of(members)
      const events = authorityLife.decide(state, { type: 'next-batch', members: given, load: calm, now })
      state = founded(events.reduce(authorityLife.evolve, state))
      return events.flatMap((event) => (event.type === 'batch-asked' ? event.nodes : []))
    }
    let asked: readonly string[] = []
    // The first one looks at all of them.
    expect(looksOf(() => (asked = step(NOW)))).toBeGreaterThanOrEqual(NODES)
    expect(asked).toEqual(nodeIds.slice(0, BATCH))
    for (let turn = 1; turn <= 5; turn += 1) {
      const now = NOW + turn * 500
      const nodes = asked.map((nodeId) => ({ nodeId, rootId, notAfter: now + DAY_MS }))
      state = founded(apply(state, { type: 'observe', nodes, now }))
      members = withRecord(members, counting(NODES + turn))
      reached = 0
      const seen = looksOf(() => {
        asked = step(now)
        expect(countBehind(state, roster.of(members), now)).toBe(NODES + turn - turn * BATCH)
      })
      expect(asked).toEqual(nodeIds.slice(turn * BATCH, (turn + 1) * BATCH))
      // A batch that was asked and came, the next one, and the node that joined: each a few times at most.
      expect(seen).toBeLessThanOrEqual(4 * BATCH)
      expect(reached).toBe(BATCH)
    }
  })

  it('when lifetimes are shortened: those of the rows that have changed', () => {
    let members = all
    const next = (): readonly string[] =>
      nextToShorten(members, { lifetimeMs: DAY_MS, now: NOW, isReachable: () => true, window: 2 })
    const first = looksOf(next)
    expect(first).toBeGreaterThanOrEqual(NODES)
    expect(looksOf(next)).toBeLessThan(NODES / 20)
    members = withRecord(members, counting(17, { status: 'rotate' }))
    // A row is one of 64.
    expect(looksOf(next)).toBeLessThan(first / 20)
    expect(next()).toHaveLength(1)
  })

  it('by who asks what has changed: nobody else', () => {
    const after = withRecord(withRecord(all, counting(4711)), counting(NODES))
    const changed = looksOf(() => {
      expect([...changedNodes(all, after)].sort()).toEqual([testNodeId(4711), testNodeId(NODES)].sort())
    })
    expect(changed).toBe(0)
    expect([...changedNodes(after, after)]).toEqual([])
    expect(nodeOf(after, testNodeId(NODES))?.nodeId).toBe(testNodeId(NODES))
  })
})
