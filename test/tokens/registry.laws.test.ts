import {
  findToken,
  listTokens,
  redemptionOf,
  type TokenCommand,
  TokenError,
  type TokenEvent,
  type TokenRegistry,
  tokenRegistry,
} from '@leastwise/tokens'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { RegistryOracle } from './registry-oracle.ts'
import { applyAll, DAY, hash, id, key, MINUTE, mint, NOW, nodeId, redeem } from './registry-support.ts'

// A handful of names, so that commands meet; steps of time that meet lifetimes, overlaps and the day an exhausted token stays.
const few = fc.nat(3)
const role = fc.constantFrom('worker', 'manager')
const ttlMs = fc.constantFrom(null, 1, MINUTE, DAY)
const maxUses = fc.constantFrom(null, 1, 2)
const step = fc.constantFrom(0, 0, 0, 0, 0, 0, 1, MINUTE / 2, MINUTE, DAY / 2, DAY)
const command: fc.Arbitrary<TokenCommand> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc
      .tuple(few, few, role, ttlMs, maxUses)
      .map(([n, secret, who, ttl, uses]) =>
        mint(n, { secretHash: hash(secret), role: who, ttlMs: ttl, maxUses: uses }),
      ),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(few, few, role, fc.constantFrom(0, MINUTE, DAY), ttlMs, maxUses)
      .map(([n, secret, who, overlapMs, ttl, uses]) => ({
        ...mint(n, { role: who, secretHash: hash(secret), ttlMs: ttl, maxUses: uses }),
        type: 'rotate' as const,
        overlapMs,
      })),
  },
  { weight: 1, arbitrary: few.map((n) => ({ type: 'revoke' as const, id: id(n), now: NOW })) },
  { weight: 5, arbitrary: fc.tuple(few, few, few).map(([n, by, node]) => redeem(n, by, { nodeId: nodeId(node) })) },
  { weight: 1, arbitrary: fc.constant({ type: 'prune' as const, now: NOW }) },
)
const history = fc.array(fc.tuple(step, command), { minLength: 10, maxLength: 50, size: 'max' }).map((steps) => {
  let now = NOW
  return steps.map(([ms, one]) => ({ ...one, now: (now += ms) }))
})

const codeOf = (run: () => readonly TokenEvent[]): { code: string | null; events: readonly TokenEvent[] } => {
  try {
    return { code: null, events: run() }
  } catch (error) {
    if (error instanceof TokenError) return { code: error.code, events: [] }
    throw error
  }
}

const deepFreeze = <T>(value: T): T => {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    Object.values(value).forEach(deepFreeze)
  }
  return value
}

it('agrees with the oracle after each command, in what it shows and in why it refuses', () => {
  const seen = new Map<string, number>()
  const note = (what: string): unknown => seen.set(what, (seen.get(what) ?? 0) + 1)
  fc.assert(
    fc.property(history, (commands) => {
      const oracle = new RegistryOracle()
      let state = tokenRegistry.initial
      for (const one of commands) {
        const { code, events } = codeOf(() => tokenRegistry.decide(state, deepFreeze(one)))
        expect(code).toBe(oracle.do(one))
        state = deepFreeze(applyAll(state, deepFreeze(events)))
        expect(listTokens(state, one.now)).toEqual(oracle.list(one.now))
        for (const event of events) note(event.type)
        note(code ?? 'done')
        for (let n = 0; n < 4; n += 1) {
          const listed = oracle.tokens.find(({ secretHash }) => secretHash === hash(n))
          const found = oracle.list(one.now).find((record) => record.id === listed?.id && record.state === 'live')
          expect(findToken(state, hash(n), one.now)).toEqual(found ?? null)
          for (let by = 0; by < 4; by += 1) {
            expect(redemptionOf(state, hash(n), key(by), one.now)).toEqual(oracle.answer(hash(n), key(by), one.now))
          }
        }
      }
    }),
    { numRuns: 200 },
  )
  // The law is worth something only if the histories reach every corner.
  expect([...seen.keys()].sort()).toEqual([
    'TOKEN_EXHAUSTED',
    'TOKEN_EXISTS',
    'TOKEN_EXPIRED',
    'TOKEN_REVOKED',
    'TOKEN_UNKNOWN',
    'done',
    'token-minted',
    'token-redeemed',
    'token-revoked',
    'tokens-pruned',
    'tokens-retired',
  ])
})

it('replaying the journal, also as JSON, and going on from a snapshot give the same state', () => {
  fc.assert(
    fc.property(history, fc.nat(), (commands, cut) => {
      const journal: TokenEvent[] = []
      const states: TokenRegistry[] = [tokenRegistry.initial]
      let state = tokenRegistry.initial
      for (const one of commands) {
        for (const event of codeOf(() => tokenRegistry.decide(state, one)).events) {
          journal.push(event)
          state = tokenRegistry.evolve(state, event)
          states.push(state)
        }
      }
      const text = JSON.stringify(journal)
      const again = JSON.parse(text) as TokenEvent[]
      expect(again).toEqual(journal)
      expect(applyAll(tokenRegistry.initial, again)).toEqual(state)
      expect(JSON.stringify(applyAll(tokenRegistry.initial, again))).toBe(JSON.stringify(state))
      const at = cut % states.length
      const snapshot = JSON.parse(JSON.stringify(states[at])) as TokenRegistry
      expect(applyAll(snapshot, again.slice(at))).toEqual(state)
    }),
  )
})

it('a clock that runs backwards revives nothing that was revoked', () => {
  fc.assert(
    fc.property(history, fc.nat(3 * DAY), (commands, back) => {
      let state = tokenRegistry.initial
      for (const one of commands) {
        state = applyAll(state, codeOf(() => tokenRegistry.decide(state, one)).events)
        const revoked = listTokens(state, one.now).filter((token) => token.state === 'revoked')
        const earlier = new Map(listTokens(state, one.now - back).map((token) => [token.id, token.state]))
        for (const token of revoked) expect(earlier.get(token.id)).toBe('revoked')
      }
    }),
  )
})
