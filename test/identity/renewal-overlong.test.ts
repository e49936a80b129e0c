import {
  DEFAULT_SHORTENING_WINDOW,
  isOverlong,
  listNodes,
  type Membership,
  type MembershipCommand,
  membership,
  nextToShorten,
  overlongNodes,
  SKEW_TOLERANCE_MS,
} from '@leastwise/identity'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { testNodeId } from '../support/test-authority.ts'

const DAY_MS = 86_400_000
const NOW = Date.UTC(2026, 10, 21, 12)

const after = (state: Membership, ...commands: readonly MembershipCommand[]): Membership =>
  commands.reduce((held, command) => membership.decide(held, command).reduce(membership.evolve, held), state)

/** Node `number`, with a certificate that ends at `notAfter`. */
const joined = (state: Membership, number: number, notAfter: number): Membership => {
  const nodeId = testNodeId(number)
  const facts = { nodeId, csr: `csr ${number}`, publicKeyHash: `key ${number}` } as const
  return after(
    state,
    { type: 'admit', role: 'worker', ...facts, now: NOW },
    { type: 'record-certificate', nodeId, csr: facts.csr, certificate: 'pem', serial: `0${number}`, notAfter },
  )
}
const ends = (...days: readonly number[]): Membership =>
  days.reduce((state, day, number) => joined(state, number, NOW + day * DAY_MS), membership.initial)
const everybody = { isReachable: () => true }

describe('a shorter lifetime', () => {
  it('concerns the nodes whose certificate ends later than a new one would, the latest first', () => {
    const state = ends(90, 10, 31, 60, 30)
    const found = overlongNodes(state, { lifetimeMs: 30 * DAY_MS, now: NOW })
    expect(found.map(({ nodeId }) => nodeId)).toEqual([0, 3, 2].map(testNodeId))
    expect(overlongNodes(state, { lifetimeMs: 90 * DAY_MS, now: NOW })).toEqual([])
  })

  it('leaves room for an issuer whose clock is ahead, so that nobody renews in circles', () => {
    const end = (ms: number): Membership => joined(membership.initial, 1, NOW + DAY_MS + ms)
    const options = { lifetimeMs: DAY_MS, now: NOW }
    expect(overlongNodes(end(SKEW_TOLERANCE_MS), options)).toEqual([])
    expect(overlongNodes(end(SKEW_TOLERANCE_MS + 1), options).length).toBe(1)
  })

  it('does not concern a node that has no certificate yet', () => {
    const nodeId = testNodeId(1)
    const state = after(membership.initial, {
      type: 'admit',
      role: 'worker',
      nodeId,
      csr: 'csr',
      publicKeyHash: 'key',
      now: NOW,
    })
    expect(overlongNodes(state, { lifetimeMs: 1, now: NOW })).toEqual([])
  })

  it('is brought about in steps: never more under way than the window, and everybody in the end', () => {
    let state = ends(...Array.from({ length: 130 }, () => 90))
    const options = { lifetimeMs: DAY_MS, now: NOW, ...everybody }
    const asked: string[] = []
    for (let round = 0; overlongNodes(state, options).length > 0; round += 1) {
      expect(round).toBeLessThan(20)
      const next = nextToShorten(state, options)
      asked.push(...next)
      for (const nodeId of next) state = after(state, { type: 'request-renewal', nodeId })
      expect(nextToShorten(state, options)).toEqual([])
      const underWay = overlongNodes(state, options).filter(({ status }) => status !== 'issued')
      expect(underWay.length).toBeLessThanOrEqual(DEFAULT_SHORTENING_WINDOW)
      for (const { nodeId } of underWay) {
        const csr = `second ${nodeId}`
        const serial = nodeId.slice(-4)
        state = after(
          state,
          { type: 'renew', nodeId, csr, publicKeyHash: csr },
          { type: 'record-certificate', nodeId, csr, certificate: 'pem', serial, notAfter: NOW + DAY_MS },
        )
      }
    }
    expect(asked.length).toBe(130)
    expect(new Set(asked).size).toBe(130)
  })

  it('asks only whom it can reach; nodes that are away do not hold up the others', () => {
    let state = ends(90, 90, 90, 90)
    const away = new Set<string>([0, 1].map(testNodeId))
    for (const nodeId of [0, 1].map(testNodeId)) state = after(state, { type: 'request-renewal', nodeId })
    const options = { lifetimeMs: DAY_MS, now: NOW, window: 1, isReachable: (id: string) => !away.has(id) }
    expect(nextToShorten(state, options)).toEqual([testNodeId(2)])
    away.clear()
    expect(nextToShorten(state, options)).toEqual([])
  })

  it('wants a window of one or more', () => {
    for (const window of [0, 1.5, Number.NaN])
      expect(() => nextToShorten(membership.initial, { lifetimeMs: 1, now: 1, window, ...everybody })).toThrow(
        RangeError,
      )
  })
})

it('law: after any history the next ones are those that a walk over all nodes gives', () => {
  const step = fc.tuple(fc.constantFrom('join', 'join', 'ask', 'renew', 'evict'), fc.nat(7), fc.nat(60))
  let chosen = 0
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 4 }), (steps, window) => {
      let state = membership.initial
      const options = { lifetimeMs: 30 * DAY_MS, now: NOW, window, isReachable: (id: string) => id !== testNodeId(3) }
      for (const [at, [kind, number, days]] of steps.entries()) {
        const nodeId = testNodeId(number)
        const isThere = listNodes(state).some((node) => node.nodeId === nodeId)
        if (kind === 'join' && !isThere) state = joined(state, number, NOW + days * DAY_MS)
        if (kind !== 'join' && isThere) {
          const news = { nodeId, csr: `csr at ${at}`, publicKeyHash: `key at ${at}` } as const
          if (kind === 'ask') state = after(state, { type: 'request-renewal', nodeId })
          if (kind === 'renew') state = after(state, { type: 'renew', ...news })
          if (kind === 'evict')
            state = after(state, { type: 'evict', nodeId, reason: '', now: NOW }, { type: 'prune', now: Infinity })
        }
        const overlong = listNodes(state)
          .filter((node) => isOverlong(node, options))
          .sort((a, b) => (b.notAfter ?? 0) - (a.notAfter ?? 0) || (a.nodeId < b.nodeId ? -1 : 1))
        expect(overlongNodes(state, options)).toEqual(overlong)
        const reachable = overlong.filter((node) => options.isReachable(node.nodeId))
        const waiting = reachable.filter(({ status }) => status === 'issued')
        const room = Math.max(0, window - (reachable.length - waiting.length))
        const next = nextToShorten(state, options)
        expect(next).toEqual(waiting.slice(0, room).map((node) => node.nodeId))
        chosen += next.length
      }
    }),
  )
  expect(chosen).toBeGreaterThan(100)
})
