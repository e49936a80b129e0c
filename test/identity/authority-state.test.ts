import {
  type AuthorityCommand,
  type AuthorityEvent,
  type AuthorityState,
  allowShortLifetime,
  authorityEvents,
  authorityLife,
  DEFAULT_LIFETIME_MS,
  MIN_LIFETIME_MS,
} from '@leastwise/identity'
import { beforeAll, describe, expect, it } from 'vitest'
import { type TestCluster, testCluster } from '../support/test-authority.ts'

let cluster: TestCluster
let leaf: string
let found: AuthorityCommand & { type: 'found' }
beforeAll(async () => {
  cluster = await testCluster()
  leaf = (await cluster.issue()).certificate.pem
  const { clusterId, root, rootKey, now } = cluster
  found = { type: 'found', clusterId, certificate: root.pem, privateKey: rootKey, lifetimeMs: DEFAULT_LIFETIME_MS, now }
})

const apply = (...commands: readonly AuthorityCommand[]): AuthorityState =>
  commands.reduce(
    (state, command) => authorityLife.decide(state, command).reduce(authorityLife.evolve, state),
    authorityLife.initial,
  )

describe('founding', () => {
  it('gives the cluster its first root and settings', () => {
    const { clusterId, certificate, now } = found
    expect(apply(found)).toEqual({
      phase: 'stable',
      clusterId,
      foundedAt: now,
      roots: [{ certificate, privateKey: cluster.rootKey }],
      lifetimeMs: DEFAULT_LIFETIME_MS,
      aims: 0,
      bridges: [],
      rotation: null,
    })
  })

  it('keeps a copy of the key, so that the caller may wipe its own', () => {
    const mine = cluster.rootKey.slice()
    const state = apply({ ...found, privateKey: mine })
    mine.fill(0)
    expect(state.phase === 'stable' && state.roots[0].privateKey).toEqual(cluster.rootKey)
  })

  it('needs no private key when that is somewhere else', () => {
    const state = apply({ ...found, privateKey: null })
    expect(state.phase === 'stable' && state.roots[0].privateKey).toBeNull()
  })

  it('happens once', () => {
    expect(() => authorityLife.decide(apply(found), found)).toThrowCode('CLUSTER_EXISTS')
  })

  it('takes a CA certificate only', () => {
    expect(() => apply({ ...found, certificate: leaf })).toThrowCode('AUTHORITY_UNFIT')
    expect(() => apply({ ...found, certificate: 'nothing of the kind' })).toThrowCode('CERTIFICATE_MALFORMED')
  })
})

describe('the lifetime of node certificates', () => {
  const set = (lifetimeMs: number): AuthorityCommand & { type: 'set-lifetime' } => ({
    type: 'set-lifetime',
    lifetimeMs,
  })

  it('acts at once', () => {
    const state = apply(found, set(MIN_LIFETIME_MS))
    expect(state.phase === 'stable' && state.lifetimeMs).toBe(MIN_LIFETIME_MS)
    expect(authorityLife.decide(state, set(MIN_LIFETIME_MS))).toEqual([])
  })

  it('is at least an hour, and at most the whole life of the root', () => {
    const life = cluster.root.notAfter - cluster.root.notBefore
    expect(() => apply(found, set(MIN_LIFETIME_MS - 1))).toThrowCode('LIFETIME_TOO_SHORT')
    expect(() => apply({ ...found, lifetimeMs: MIN_LIFETIME_MS - 1 })).toThrowCode('LIFETIME_TOO_SHORT')
    expect(() => apply(found, set(life + 1))).toThrowCode('LIFETIME_EXCEEDS_ISSUER')
    expect(() => apply(found, set(life))).not.toThrow()
    expect(() => apply(found, { ...set(1000), [allowShortLifetime]: true })).not.toThrow()
    for (const wrong of [0, -1, 1.5, Number.NaN, Infinity]) expect(() => apply(found, set(wrong))).toThrow(RangeError)
  })

  it('needs a cluster', () => {
    expect(() => apply(set(MIN_LIFETIME_MS))).toThrowCode('CLUSTER_MISSING')
  })
})

it('is rebuilt from its events, and from a snapshot of them', () => {
  const first = authorityLife.decide(authorityLife.initial, found)
  const log: readonly AuthorityEvent[] = [...first, { type: 'lifetime-set', lifetimeMs: 2 * MIN_LIFETIME_MS }]
  const state = log.reduce(authorityLife.evolve, authorityLife.initial)
  expect(authorityEvents(state).reduce(authorityLife.evolve, authorityLife.initial)).toEqual(state)
  expect(authorityEvents(authorityLife.initial)).toEqual([])
})
