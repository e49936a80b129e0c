import {
  EVICTION_MARGIN_MS,
  evictionOf,
  isEvicted,
  listEvictions,
  listNodes,
  MAX_NODES,
  MAX_REASON_LENGTH,
  type Membership,
  type MembershipCommand,
  membership,
  membershipEvents,
  nodeOf,
} from '@leastwise/identity'
import { describe, expect, it } from 'vitest'
import { testNodeId } from '../support/test-authority.ts'

const NOW = Date.UTC(2026, 10, 21)
const a = testNodeId(1)
const b = testNodeId(2)

const apply = (state: Membership, ...commands: readonly MembershipCommand[]): Membership =>
  commands.reduce((each, command) => membership.decide(each, command).reduce(membership.evolve, each), state)

const admit = { type: 'admit', nodeId: a, role: 'worker', csr: 'csr 1', publicKeyHash: 'key 1', now: NOW } as const
const record = {
  type: 'record-certificate',
  nodeId: a,
  csr: 'csr 1',
  certificate: 'cert 1',
  serial: '01',
  notAfter: NOW + 1000,
} as const
const renew = { type: 'renew', nodeId: a, csr: 'csr 2', publicKeyHash: 'key 2' } as const
const evict = { type: 'evict', nodeId: a, reason: 'stolen', now: NOW } as const
const issued = apply(membership.initial, admit, record)

const expectRefusal = (state: Membership, command: MembershipCommand, code: string): void => {
  const before = structuredClone(state)
  expect(() => membership.decide(state, command)).toThrowCode(code)
  expect(state).toEqual(before)
}

describe('a node that joins', () => {
  it('is pending until its certificate is recorded', () => {
    const pending = apply(membership.initial, admit)
    expect(nodeOf(pending, a)).toEqual({
      nodeId: a,
      role: 'worker',
      roleEpoch: 0,
      availability: 'active',
      admittedAt: NOW,
      status: 'pending',
      csr: 'csr 1',
      publicKeyHash: 'key 1',
      certificate: null,
      serial: null,
      notAfter: null,
      certificates: [],
      latestNotAfter: null,
    })
    expect(nodeOf(issued, a)).toMatchObject({
      status: 'issued',
      certificate: 'cert 1',
      serial: '01',
      notAfter: NOW + 1000,
    })
  })

  it('may be admitted again with the same request, which changes nothing', () => {
    expect(membership.decide(issued, admit)).toEqual([])
  })

  it('cannot take the id of another', () => {
    expectRefusal(issued, { ...admit, csr: 'csr 9', publicKeyHash: 'key 9' }, 'NODE_EXISTS')
    expectRefusal(issued, { ...admit, role: 'manager' }, 'NODE_EXISTS')
  })

  it('is refused when the cluster is full', () => {
    let full = membership.initial
    for (let number = 0; number < MAX_NODES; number += 1) {
      full = membership.evolve(full, {
        type: 'node-admitted',
        nodeId: testNodeId(number + 10),
        role: 'worker',
        csr: '',
        publicKeyHash: '',
        availability: 'active',
        at: NOW,
      })
    }
    expectRefusal(full, admit, 'MEMBERSHIP_FULL')
  })
})

describe('renewal', () => {
  it('is asked for once, and ends with a certificate for the new CSR', () => {
    const asked = apply(issued, { type: 'request-renewal', nodeId: a })
    expect(nodeOf(asked, a)?.status).toBe('rotate')
    expect(membership.decide(asked, { type: 'request-renewal', nodeId: a })).toEqual([])
    const renewing = apply(asked, renew)
    expect(nodeOf(renewing, a)).toMatchObject({
      status: 'renew',
      csr: 'csr 2',
      certificate: null,
      serial: '01',
      notAfter: NOW + 1000,
    })
    expect(membership.decide(renewing, { type: 'request-renewal', nodeId: a })).toEqual([])
    const done = apply(renewing, { ...record, csr: 'csr 2', certificate: 'cert 2', serial: '02', notAfter: NOW + 2000 })
    expect(nodeOf(done, a)).toMatchObject({
      status: 'issued',
      certificate: 'cert 2',
      serial: '02',
      publicKeyHash: 'key 2',
    })
  })

  it('that comes twice is taken once, before and after it was signed', () => {
    const renewing = apply(issued, renew)
    expect(membership.decide(renewing, renew)).toEqual([])
    const done = apply(renewing, { ...record, csr: 'csr 2', certificate: 'cert 2' })
    expect(membership.decide(done, renew)).toEqual([])
  })

  it('must bring a new key', () => {
    expectRefusal(issued, { ...renew, publicKeyHash: 'key 1' }, 'NODE_KEY_REUSED')
    expectRefusal(
      apply(issued, { type: 'request-renewal', nodeId: a }),
      { ...renew, csr: 'csr 1', publicKeyHash: 'key 1' },
      'NODE_KEY_REUSED',
    )
  })

  it('replaces a request that was not answered; the answer to the old one is refused', () => {
    const renewing = apply(issued, renew, { ...renew, csr: 'csr 3', publicKeyHash: 'key 3' })
    expectRefusal(renewing, { ...record, csr: 'csr 2', certificate: 'cert 2' }, 'CSR_SUPERSEDED')
    expect(nodeOf(apply(renewing, { ...record, csr: 'csr 3', certificate: 'cert 3' }), a)?.status).toBe('issued')
  })

  it('keeps a node pending that renews before its first certificate', () => {
    expect(nodeOf(apply(membership.initial, admit, renew), a)).toMatchObject({ status: 'pending', csr: 'csr 2' })
  })
})

describe('recording a certificate', () => {
  it('twice changes nothing', () => {
    expect(membership.decide(issued, record)).toEqual([])
  })

  it('is refused when another one answers the CSR already', () => {
    expectRefusal(issued, { ...record, certificate: 'cert other' }, 'CSR_SUPERSEDED')
  })
})

describe('eviction', () => {
  it('removes the node and refuses it from then on', () => {
    const gone = apply(issued, evict)
    expect(nodeOf(gone, a)).toBeNull()
    expect(isEvicted(gone, a)).toBe(true)
    expect(evictionOf(gone, a)).toEqual({
      nodeId: a,
      reason: 'stolen',
      at: NOW,
      until: NOW + 1000 + EVICTION_MARGIN_MS,
    })
    expect(membership.decide(gone, evict)).toEqual([])
    for (const command of [admit, renew, record, { type: 'request-renewal', nodeId: a } as const])
      expectRefusal(gone, command, 'NODE_EVICTED')
  })

  it('outlives the longest certificate that the node ever got, and what the host asks for', () => {
    const shorter = apply(issued, renew, { ...record, csr: 'csr 2', certificate: 'cert 2', notAfter: NOW + 10 })
    expect(evictionOf(apply(shorter, evict), a)?.until).toBe(NOW + 1000 + EVICTION_MARGIN_MS)
    expect(evictionOf(apply(shorter, { ...evict, until: NOW }), a)?.until).toBe(NOW + 1000 + EVICTION_MARGIN_MS)
    const far = NOW + 10 * EVICTION_MARGIN_MS
    expect(evictionOf(apply(shorter, { ...evict, until: far }), a)?.until).toBe(far)
  })

  it('of a node without a certificate lasts for the margin', () => {
    expect(evictionOf(apply(membership.initial, admit, evict), a)?.until).toBe(NOW + EVICTION_MARGIN_MS)
  })

  it('is forgotten by itself, never before its end', () => {
    const gone = apply(issued, evict)
    const { until } = evictionOf(gone, a)!
    expect(membership.decide(gone, { type: 'prune', now: until })).toEqual([])
    const pruned = apply(gone, { type: 'prune', now: until + 1 })
    expect(listEvictions(pruned)).toEqual([])
    expect(pruned).toEqual(membership.initial)
  })

  it('takes a reason of bounded length', () => {
    expect(() => membership.decide(issued, { ...evict, reason: 'x'.repeat(MAX_REASON_LENGTH + 1) })).toThrow(RangeError)
  })
})

it('knows nothing of nodes that were never admitted', () => {
  const commands: readonly MembershipCommand[] = [evict, renew, record, { type: 'request-renewal', nodeId: a }]
  for (const command of commands) expectRefusal(membership.initial, command, 'NODE_UNKNOWN')
  expect(nodeOf(membership.initial, a)).toBeNull()
  expect(evictionOf(membership.initial, a)).toBeNull()
})

it('lists nodes and evictions by age', () => {
  const state = apply(issued, { ...admit, nodeId: b, now: NOW - 1 })
  expect(listNodes(state).map(({ nodeId }) => nodeId)).toEqual([b, a])
  expect(listEvictions(apply(state, evict, { ...evict, nodeId: b, now: NOW - 5 })).map(({ nodeId }) => nodeId)).toEqual(
    [b, a],
  )
})

it('keeps ten thousand nodes and a hundred thousand evictions, each change cheap and sharing the rest', () => {
  let state = membership.initial
  for (let number = 0; number < 100_000; number += 1) {
    state = membership.evolve(state, {
      type: 'node-evicted',
      nodeId: testNodeId(number),
      reason: '',
      at: NOW,
      until: NOW + number,
    })
  }
  for (let number = 100_000; number < 110_000; number += 1) {
    state = membership.evolve(state, {
      type: 'node-admitted',
      nodeId: testNodeId(number),
      role: 'worker',
      csr: '',
      publicKeyHash: '',
      availability: 'active',
      at: NOW,
    })
  }
  expect([state.nodes.size, state.evictions.size]).toEqual([10_000, 100_000])
  const next = membership.evolve(state, {
    type: 'node-evicted',
    nodeId: testNodeId(100_000),
    reason: '',
    at: NOW,
    until: NOW,
  })
  expect(isEvicted(state, testNodeId(100_000))).toBe(false)
  expect(isEvicted(next, testNodeId(100_000))).toBe(true)
  const sharedRows = next.evictions.rows.filter((row, at) => row === state.evictions.rows[at]).length
  expect(sharedRows).toBe(63)
  const changed = next.evictions.rows.findIndex((row, at) => row !== state.evictions.rows[at])
  const largest = Math.max(...next.evictions.rows[changed]!.map((shard) => shard?.size ?? 0))
  expect(largest).toBeLessThan(100)

  const events = membership.decide(state, { type: 'prune', now: NOW + 2500 })
  expect(events.length).toBe(3)
  const pruned = events.reduce(membership.evolve, state)
  expect(pruned.evictions.size).toBe(97_500)
  expect(isEvicted(pruned, testNodeId(2499))).toBe(false)
  expect(isEvicted(pruned, testNodeId(2500))).toBe(true)
})

it('is rebuilt from a snapshot of events', () => {
  const state = apply(issued, { ...admit, nodeId: b, role: 'manager' }, evict)
  const events = [...membershipEvents(state)]
  expect(JSON.parse(JSON.stringify(events))).toEqual(events)
  expect(events.reduce(membership.evolve, membership.initial)).toEqual(state)
})
