import {
  type Authorizer,
  allOf,
  allowRoles,
  inCluster,
  type MembershipCommand,
  member,
  membership,
  type PeerIdentity,
} from '@leastwise/identity'
import { describe, expect, it } from 'vitest'
import { testClusterId, testNodeId } from '../support/test-authority.ts'

const NOW = Date.UTC(2026, 10, 21)
const nodeId = testNodeId(1)
const peer: PeerIdentity = {
  nodeId,
  role: 'worker',
  clusterId: testClusterId(1),
  serial: '01',
  notBefore: NOW,
  notAfter: NOW + 1000,
}
const admit: MembershipCommand = { type: 'admit', nodeId, role: 'worker', csr: 'csr', publicKeyHash: 'key', now: NOW }
const record: MembershipCommand = {
  type: 'record-certificate',
  nodeId,
  csr: 'csr',
  certificate: 'cert',
  serial: '01',
  notAfter: NOW + 1000,
}
const evict: MembershipCommand = { type: 'evict', nodeId, reason: '', now: NOW }

const after = (...commands: readonly MembershipCommand[]): Authorizer =>
  member(() =>
    commands.reduce(
      (state, each) => membership.decide(state, each).reduce(membership.evolve, state),
      membership.initial,
    ),
  )

describe('member', () => {
  it('passes a node that was admitted and got a certificate, also while it renews', () => {
    expect(() => {
      after(admit, record)(peer)
    }).not.toThrow()
    expect(() => {
      after(admit, record, { type: 'renew', nodeId, csr: 'csr 2', publicKeyHash: 'key 2' })(peer)
    }).not.toThrow()
  })

  it('refuses a removed node, an unknown one, one whose certificate was never recorded, and one of another role', () => {
    expect(() => {
      after(admit, record, evict)(peer)
    }).toThrowCode('PEER_EVICTED')
    expect(() => {
      after()(peer)
    }).toThrowCode('PEER_UNKNOWN')
    expect(() => {
      after(admit)(peer)
    }).toThrowCode('PEER_UNKNOWN')
    expect(() => {
      after(admit, record)({ ...peer, role: 'manager' })
    }).toThrowCode('PEER_WRONG_ROLE')
  })

  it('reads the membership anew for each decision', () => {
    let state = [admit, record].reduce(
      (each, command) => membership.decide(each, command).reduce(membership.evolve, each),
      membership.initial,
    )
    const authorize = member(() => state)
    expect(() => {
      authorize(peer)
    }).not.toThrow()
    state = membership.decide(state, evict).reduce(membership.evolve, state)
    expect(() => {
      authorize(peer)
    }).toThrowCode('PEER_EVICTED')
  })
})

it('allowRoles passes its roles and refuses others', () => {
  expect(() => {
    allowRoles('worker', 'manager')(peer)
  }).not.toThrow()
  expect(() => {
    allowRoles('manager')(peer)
  }).toThrowCode('PEER_WRONG_ROLE')
  expect(() => allowRoles()).toThrow(RangeError)
})

it('inCluster passes its cluster and refuses another', () => {
  expect(() => {
    inCluster(peer.clusterId)(peer)
  }).not.toThrow()
  expect(() => {
    inCluster(testClusterId(2))(peer)
  }).toThrowCode('PEER_WRONG_CLUSTER')
})

it('allOf needs everyone to pass, gives the first refusal, and is never empty', () => {
  expect(() => {
    allOf(inCluster(peer.clusterId), allowRoles('worker'))(peer)
  }).not.toThrow()
  expect(() => {
    allOf(allowRoles('worker'), inCluster(testClusterId(2)), allowRoles('manager'))(peer)
  }).toThrowCode('PEER_WRONG_CLUSTER')
  expect(() => allOf()).toThrow(RangeError)
})
