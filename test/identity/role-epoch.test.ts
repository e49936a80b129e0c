import {
  type Eviction,
  evictionsFrom,
  MAX_LIVE_CERTIFICATES,
  type Membership,
  type MembershipCommand,
  type MembershipEvent,
  mayRenew,
  member,
  membership,
  membershipEvents,
  nodeOf,
  type PeerIdentity,
  type Role,
} from '@leastwise/identity'
import { describe, expect, it } from 'vitest'
import { testClusterId, testNodeId } from '../support/test-authority.ts'

const NOW = Date.UTC(2026, 10, 21)
const DAY_MS = 86_400_000
const a = testNodeId(1)
const b = testNodeId(2)

const apply = (state: Membership, ...commands: readonly MembershipCommand[]): Membership =>
  commands.reduce((each, command) => membership.decide(each, command).reduce(membership.evolve, each), state)

let drawn = 0
/** Admits a node and gives it a certificate. */
const joined = (state: Membership, nodeId: typeof a, role: Role, serial: string): Membership => {
  drawn += 1
  const csr = `csr ${drawn}`
  return apply(
    state,
    { type: 'admit', nodeId, role, csr, publicKeyHash: `key ${drawn}`, now: NOW },
    { type: 'record-certificate', nodeId, csr, certificate: csr, serial, notAfter: NOW + 90 * DAY_MS },
  )
}
/** Renews under the present epoch. */
const renewed = (state: Membership, nodeId: typeof a, serial: string): Membership => {
  drawn += 1
  const csr = `csr ${drawn}`
  const { roleEpoch } = nodeOf(state, nodeId)!
  return apply(
    state,
    { type: 'renew', nodeId, csr, publicKeyHash: `key ${drawn}` },
    { type: 'record-certificate', nodeId, csr, certificate: csr, serial, notAfter: NOW + 90 * DAY_MS, roleEpoch },
  )
}
const setRole = (state: Membership, nodeId: typeof a, role: Role): Membership =>
  apply(state, { type: 'set-role', nodeId, role, now: NOW })
const peer = (nodeId: typeof a, role: Role, serial: string): PeerIdentity => ({
  nodeId,
  role,
  serial,
  clusterId: testClusterId(1),
  notBefore: NOW,
  notAfter: NOW + 90 * DAY_MS,
})
const judge = (state: Membership, who: PeerIdentity) => () => {
  member(() => state)(who)
}
const two = joined(joined(membership.initial, a, 'manager', 'aa01'), b, 'manager', 'bb01')

describe('a change of role', () => {
  it('starts a new epoch, forgets the certificates of the old one, and asks the node to renew', () => {
    const demoted = setRole(two, b, 'worker')
    expect(nodeOf(demoted, b)).toMatchObject({ role: 'worker', roleEpoch: 1, status: 'rotate', certificates: [] })
    expect(membership.decide(demoted, { type: 'set-role', nodeId: b, role: 'worker', now: NOW })).toEqual([])
  })

  it('makes the old certificate worthless at once, not at its expiry', () => {
    const demoted = setRole(two, b, 'worker')
    expect(judge(two, peer(b, 'manager', 'bb01'))).not.toThrow()
    expect(judge(demoted, peer(b, 'manager', 'bb01'))).toThrowCode('PEER_WRONG_ROLE')
    const again = renewed(demoted, b, 'bb02')
    expect(judge(again, peer(b, 'worker', 'bb02'))).not.toThrow()
    expect(judge(again, peer(b, 'manager', 'bb01'))).toThrowCode('PEER_WRONG_ROLE')
  })

  it('there and back does not revive a certificate of the first time', () => {
    const back = renewed(setRole(renewed(setRole(two, b, 'worker'), b, 'bb02'), b, 'manager'), b, 'bb03')
    expect(nodeOf(back, b)?.roleEpoch).toBe(2)
    expect(judge(back, peer(b, 'manager', 'bb03'))).not.toThrow()
    expect(judge(back, peer(b, 'manager', 'bb01'))).toThrowCode('PEER_ROLE_STALE')
    expect(judge(back, peer(b, 'worker', 'bb02'))).toThrowCode('PEER_WRONG_ROLE')
  })

  it('leaves a node with an old certificate the way to a new one, and nothing else', () => {
    const demoted = setRole(two, b, 'worker')
    const renewing = mayRenew(() => demoted)
    expect(() => {
      renewing(peer(b, 'manager', 'bb01'))
    }).not.toThrow()
    expect(() => {
      renewing(peer(testNodeId(9), 'worker', '01'))
    }).toThrowCode('PEER_UNKNOWN')
    const gone = apply(demoted, { type: 'evict', nodeId: b, reason: '', now: NOW })
    expect(() => {
      mayRenew(() => gone)(peer(b, 'manager', 'bb01'))
    }).toThrowCode('PEER_EVICTED')
  })

  it('refuses a certificate that was signed for the role of another epoch', () => {
    const renewing = apply(two, { type: 'renew', nodeId: b, csr: 'late', publicKeyHash: 'late' })
    const demoted = setRole(renewing, b, 'worker')
    expect(nodeOf(demoted, b)?.status).toBe('renew')
    const record = {
      type: 'record-certificate',
      nodeId: b,
      csr: 'late',
      certificate: 'late',
      serial: 'bb09',
      notAfter: NOW + DAY_MS,
    } as const
    expect(() => membership.decide(demoted, record)).toThrowCode('CSR_SUPERSEDED')
    expect(() => membership.decide(demoted, { ...record, roleEpoch: 2 })).toThrowCode('CSR_SUPERSEDED')
    expect(nodeOf(apply(demoted, { ...record, roleEpoch: 1 }), b)?.status).toBe('issued')
  })

  it('never takes the last manager away', () => {
    const one = setRole(two, b, 'worker')
    const last = { type: 'set-role', nodeId: a, role: 'worker', now: NOW } as const
    const gone = { type: 'evict', nodeId: a, reason: 'stolen', now: NOW } as const
    expect(() => membership.decide(one, last)).toThrowCode('LAST_MANAGER')
    expect(() => membership.decide(one, gone)).toThrowCode('LAST_MANAGER')
    expect(membership.decide(two, gone)).toMatchObject([{ type: 'node-evicted', nodeId: a }])
    // One that waits for its first certificate manages nothing yet.
    const waiting = apply(one, {
      type: 'admit',
      nodeId: testNodeId(3),
      role: 'manager',
      csr: 'c',
      publicKeyHash: 'c',
      now: NOW,
    })
    expect(() => membership.decide(waiting, last)).toThrowCode('LAST_MANAGER')
    expect(() => membership.decide(waiting, gone)).toThrowCode('LAST_MANAGER')
    expect(() => membership.decide(two, { ...last, nodeId: testNodeId(9) })).toThrowCode('NODE_UNKNOWN')
  })

  it('is in the snapshot, and snapshots from before it are read', () => {
    const state = renewed(setRole(two, b, 'worker'), b, 'bb02')
    const events = JSON.parse(JSON.stringify([...membershipEvents(state)])) as MembershipEvent[]
    expect(events.reduce(membership.evolve, membership.initial)).toEqual(state)
    const { certificates: _, ...old } = nodeOf(two, a)!
    const restored = membership.evolve(membership.initial, { type: 'node-restored', node: old as never })
    expect(nodeOf(restored, a)?.certificates).toEqual([{ serial: 'aa01', notAfter: NOW + 90 * DAY_MS }])
  })
})

describe('what the membership means for the eviction lists', () => {
  const MARGIN_MS = 7 * DAY_MS
  const after = (state: Membership, command: MembershipCommand): readonly Eviction[] =>
    membership.decide(state, command).flatMap((event) => evictionsFrom(state, event, NOW + 1))

  it('a change of role evicts by number what was issued in the epoch that ends', () => {
    const state = renewed(two, b, 'bb02')
    expect(after(state, { type: 'set-role', nodeId: b, role: 'worker', now: NOW })).toEqual(
      ['bb01', 'bb02'].map((serial) => ({
        kind: 'certificate',
        serial,
        issuerKeyId: null,
        reason: 'affiliation-changed',
        at: NOW,
        until: NOW + 90 * DAY_MS + MARGIN_MS,
      })),
    )
  })

  it('an eviction evicts the node, and its certificates for CRLs', () => {
    const evictions = after(two, { type: 'evict', nodeId: b, reason: 'stolen', now: NOW })
    expect(evictions).toMatchObject([
      { kind: 'node', nodeId: b, until: NOW + 90 * DAY_MS + MARGIN_MS },
      { kind: 'certificate', serial: 'bb01', reason: 'privilege-withdrawn' },
    ])
    // What ended already needs no entry.
    const late = membership.decide(two, { type: 'evict', nodeId: b, reason: '', now: NOW })
    expect(late.flatMap((event) => evictionsFrom(two, event, NOW + 91 * DAY_MS))).toHaveLength(1)
  })

  it('a node cannot renew until an old certificate is forgotten: what falls off the list is evicted', () => {
    let state = two
    for (let number = 2; number <= MAX_LIVE_CERTIFICATES; number += 1) state = renewed(state, b, `bb${10 + number}`)
    expect(nodeOf(state, b)?.certificates).toHaveLength(MAX_LIVE_CERTIFICATES)
    const renewing = apply(state, { type: 'renew', nodeId: b, csr: 'next', publicKeyHash: 'next' })
    const record = {
      type: 'record-certificate',
      nodeId: b,
      csr: 'next',
      certificate: 'next',
      serial: 'bb99',
      notAfter: NOW + 90 * DAY_MS,
    } as const
    expect(after(renewing, record)).toMatchObject([{ kind: 'certificate', serial: 'bb01', reason: 'superseded' }])
    const serials = nodeOf(apply(renewing, record), b)?.certificates.map(({ serial }) => serial)
    expect(serials).toHaveLength(MAX_LIVE_CERTIFICATES)
    expect(serials?.at(-1)).toBe('bb99')
    expect(serials).not.toContain('bb01')
  })

  it('nothing else means anything', () => {
    expect(after(two, { type: 'request-renewal', nodeId: a })).toEqual([])
    expect(after(two, { type: 'renew', nodeId: a, csr: 'n', publicKeyHash: 'n' })).toEqual([])
    expect(
      after(two, { type: 'admit', nodeId: testNodeId(5), role: 'worker', csr: 'c', publicKeyHash: 'c', now: NOW }),
    ).toEqual([])
    const gone = apply(two, { type: 'evict', nodeId: b, reason: '', now: NOW })
    expect(after(gone, { type: 'prune', now: NOW + 1000 * DAY_MS })).toEqual([])
    expect([...membershipEvents(two)].flatMap((event) => evictionsFrom(two, event, NOW))).toEqual([])
  })
})
