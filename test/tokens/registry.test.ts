import {
  EXHAUSTED_KEPT_MS,
  findToken,
  listTokens,
  MAX_PRUNED_AT_ONCE,
  MAX_TOKEN_TTL_MS,
  MAX_TOKEN_USES,
  MAX_TOKENS,
  MIN_REDEMPTIONS_REMEMBERED,
  redemptionOf,
  type TokenCommand,
  type TokenError,
  type TokenEvent,
  tokenRegistry,
} from '@leastwise/tokens'
import { describe, expect, it } from 'vitest'
import { after, applyAll, DAY, hash, id, key, MINUTE, mint, NOW, next, nodeId, redeem } from './registry-support.ts'

const { decide, evolve, initial } = tokenRegistry
const rotate = (n: number, overlapMs: number, rest = {}) => ({
  ...mint(n),
  type: 'rotate' as const,
  overlapMs,
  ...rest,
})
const revoke = (n: number, now = NOW) => ({ type: 'revoke' as const, id: id(n), now })
const prune = (now: number) => ({ type: 'prune' as const, now })
const states = (state: typeof initial, now: number) => listTokens(state, now).map((token) => token.state)

describe('mint', () => {
  it('gives a token that can be found by its hash', () => {
    const state = after(mint(1, { role: 'manager', ttlMs: MINUTE, maxUses: 3 }))
    const record = {
      id: id(1),
      role: 'manager',
      createdAt: NOW,
      expiresAt: NOW + MINUTE,
      uses: 0,
      maxUses: 3,
      lastUsedAt: null,
      state: 'live',
    }
    expect(findToken(state, hash(1), NOW)).toEqual(record)
    expect(listTokens(state, NOW)).toEqual([record])
    expect(findToken(state, hash(2), NOW)).toBeNull()
    expect(listTokens(initial, NOW)).toEqual([])
  })

  it('keeps several tokens of a role alive', () => {
    expect(states(after(mint(1), mint(2), mint(3)), NOW)).toEqual(['live', 'live', 'live'])
  })

  it('refuses an id or a secret that is registered, dead or alive', () => {
    const state = after(mint(1), revoke(1))
    expect(() => decide(state, mint(1, { secretHash: hash(2) }))).toThrowCode('TOKEN_EXISTS')
    expect(() => decide(state, mint(2, { secretHash: hash(1) }))).toThrowCode('TOKEN_EXISTS')
  })

  it.each([0, -1, 0.5, NaN, Infinity, MAX_TOKEN_TTL_MS + 1])('refuses a lifetime of %s ms', (ttlMs) => {
    expect(() => decide(initial, mint(1, { ttlMs }))).toThrowCode('LIFETIME_OUT_OF_RANGE')
    expect(() => decide(initial, rotate(1, 0, { ttlMs }))).toThrowCode('LIFETIME_OUT_OF_RANGE')
  })

  it.each([1, MAX_TOKEN_TTL_MS])('accepts a lifetime of %s ms', (ttlMs) => {
    const state = after(mint(1, { ttlMs }))
    expect(states(state, NOW + ttlMs - 1)).toEqual(['live'])
    expect(states(state, NOW + ttlMs)).toEqual(['expired'])
  })

  it.each([0, -1, 1.5, NaN, Infinity, MAX_TOKEN_USES + 1])('refuses a use count of %s', (maxUses) => {
    expect(() => decide(initial, mint(1, { maxUses }))).toThrowCode('USES_OUT_OF_RANGE')
  })

  it('refuses an id that is none, and a hash or an instant that the host got wrong', () => {
    expect(() => decide(initial, mint(1, { id: 'short' }))).toThrowCode('ID_MALFORMED')
    expect(() => decide(initial, mint(1, { secretHash: 'SWMTKN-1-…' as never }))).toThrow(TypeError)
    for (const now of [NaN, -1, 1.5, Infinity]) expect(() => decide(initial, mint(1, { now }))).toThrow(RangeError)
  })
})

describe('redeem', () => {
  it('counts a use and remembers who became which node', () => {
    const state = after(mint(1, { role: 'manager' }), redeem(1, 7))
    expect(listTokens(state, NOW)).toMatchObject([{ uses: 1, lastUsedAt: NOW, state: 'live' }])
    expect(redemptionOf(state, hash(1), key(7), NOW)).toEqual({ tokenId: id(1), nodeId: nodeId(7), role: 'manager' })
    expect(redemptionOf(state, hash(1), key(8), NOW)).toBeNull()
    expect(redemptionOf(state, hash(2), key(7), NOW)).toBeNull()
  })

  it('again with the same key and token, costs nothing and gives the first answer', () => {
    const state = after(mint(1, { maxUses: 1 }), redeem(1, 7))
    const again = redeem(1, 7, { nodeId: nodeId(99), now: NOW + MINUTE })
    expect(decide(state, again)).toEqual([])
    expect(redemptionOf(state, hash(1), key(7), NOW + MINUTE)).toMatchObject({ nodeId: nodeId(7) })
  })

  it('with the same key but another token, is a use of that one', () => {
    const state = after(mint(1), mint(2), redeem(1, 7), redeem(2, 7, { nodeId: nodeId(8) }))
    expect(listTokens(state, NOW).map((token) => token.uses)).toEqual([1, 1])
    expect(redemptionOf(state, hash(2), key(7), NOW)).toMatchObject({ nodeId: nodeId(8) })
  })

  it('says why it refuses, and names the token', () => {
    const state = after(mint(1, { ttlMs: MINUTE }), mint(2, { maxUses: 1 }), redeem(2, 1), mint(3), revoke(3))
    const later = NOW + MINUTE
    expect(() => decide(state, redeem(9, 5))).toThrowCode('TOKEN_UNKNOWN')
    expect(() => decide(state, redeem(1, 5, { now: later }))).toThrowCode('TOKEN_EXPIRED')
    expect(() => decide(state, redeem(2, 5))).toThrowCode('TOKEN_EXHAUSTED')
    expect(() => decide(state, redeem(3, 5))).toThrowCode('TOKEN_REVOKED')
    try {
      decide(state, redeem(3, 5))
      expect.unreachable()
    } catch (error) {
      expect((error as TokenError).tokenId).toBe(id(3))
    }
  })

  it('gives no answer again once the token is revoked, expired or pruned', () => {
    const state = after(mint(1, { ttlMs: MINUTE }), redeem(1, 7))
    expect(redemptionOf(state, hash(1), key(7), NOW + MINUTE - 1)).not.toBeNull()
    expect(redemptionOf(state, hash(1), key(7), NOW + MINUTE)).toBeNull()
    expect(() => decide(state, redeem(1, 7, { now: NOW + MINUTE }))).toThrowCode('TOKEN_EXPIRED')
    const revoked = next(state, revoke(1))
    expect(redemptionOf(revoked, hash(1), key(7), NOW)).toBeNull()
    expect(() => decide(revoked, redeem(1, 7))).toThrowCode('TOKEN_REVOKED')
    const reused = next(revoked, prune(NOW), mint(1))
    expect(redemptionOf(reused, hash(1), key(7), NOW)).toBeNull()
  })

  it('refuses a node id that is none and a key hash that the host got wrong', () => {
    const state = after(mint(1))
    expect(() => decide(state, redeem(1, 1, { nodeId: '../../etc' }))).toThrowCode('ID_MALFORMED')
    expect(() => decide(state, redeem(1, 1, { publicKeyHash: key(1).toUpperCase() }))).toThrow(TypeError)
    expect(() => decide(state, redeem(1, 1, { secretHash: '' as never }))).toThrow(TypeError)
  })
})

describe('rotate', () => {
  it('without overlap revokes every token of the role that still answers', () => {
    const state = after(mint(1), mint(2, { maxUses: 1 }), redeem(2, 7), mint(3, { role: 'manager' }), rotate(4, 0))
    expect(states(state, NOW)).toEqual(['revoked', 'revoked', 'live', 'live'])
    expect(redemptionOf(state, hash(2), key(7), NOW)).toBeNull()
  })

  it('with overlap lets them live on to its end, or to their own if that is sooner', () => {
    const state = after(mint(1), mint(2, { ttlMs: MINUTE }), rotate(3, 2 * MINUTE, { maxUses: 5 }))
    expect(listTokens(state, NOW).map((token) => token.expiresAt)).toEqual([NOW + 2 * MINUTE, NOW + MINUTE, null])
    expect(states(state, NOW + MINUTE)).toEqual(['live', 'expired', 'live'])
    expect(states(state, NOW + 2 * MINUTE)).toEqual(['expired', 'expired', 'live'])
  })

  it('never lengthens a life, nor revives a token', () => {
    const state = after(mint(1, { ttlMs: 1 }), mint(2), revoke(2), rotate(3, DAY, { now: NOW + MINUTE }))
    expect(states(state, NOW + MINUTE)).toEqual(['expired', 'revoked', 'live'])
  })

  it('is a mint when there is nothing to retire', () => {
    expect(decide(initial, rotate(1, 0)).map((event) => event.type)).toEqual(['token-minted'])
    const others = after(mint(1, { role: 'manager' }))
    expect(decide(others, rotate(2, 0)).map((event) => event.type)).toEqual(['token-minted'])
    const dead = after(mint(1), revoke(1))
    expect(decide(dead, rotate(2, 0)).map((event) => event.type)).toEqual(['token-minted'])
  })

  it('retires first, so that half of it leaves too few tokens and never too many', () => {
    const events = decide(after(mint(1)), rotate(2, 0))
    expect(events.map((event) => event.type)).toEqual(['tokens-retired', 'token-minted'])
  })

  it.each([-1, 0.5, NaN, MAX_TOKEN_TTL_MS + 1])('refuses an overlap of %s ms', (overlapMs) => {
    expect(() => decide(initial, rotate(1, overlapMs))).toThrowCode('LIFETIME_OUT_OF_RANGE')
  })

  it('refused for its new token, leaves the old ones alone', () => {
    const state = after(mint(1))
    expect(() => decide(state, rotate(1, 0))).toThrowCode('TOKEN_EXISTS')
    expect(states(state, NOW)).toEqual(['live'])
  })
})

describe('revoke', () => {
  it('ends a token at once, and again does nothing', () => {
    const state = after(mint(1), revoke(1))
    expect(states(state, NOW)).toEqual(['revoked'])
    expect(findToken(state, hash(1), NOW)).toBeNull()
    expect(decide(state, revoke(1))).toEqual([])
  })

  it('refuses an id that is unknown or none', () => {
    expect(() => decide(initial, revoke(1))).toThrowCode('TOKEN_UNKNOWN')
    expect(() => decide(initial, { ...revoke(1), id: '' })).toThrowCode('ID_MALFORMED')
  })

  it('holds for a manager whose clock is behind', () => {
    const state = after(mint(1), revoke(1, NOW + DAY), mint(2), rotate(3, 0, { now: NOW + DAY, role: 'worker' }))
    expect(states(state, NOW)).toEqual(['revoked', 'revoked', 'live'])
  })
})

describe('prune', () => {
  it('takes away what is revoked or expired, and what is exhausted a day after its last use', () => {
    const state = after(mint(1), mint(2, { ttlMs: 1 }), mint(3), revoke(3), mint(4, { maxUses: 1 }), redeem(4, 7))
    const soon = next(state, prune(NOW + 1))
    expect(listTokens(soon, NOW).map((token) => token.id)).toEqual([id(1), id(4)])
    expect(decide(soon, prune(NOW + EXHAUSTED_KEPT_MS - 1))).toEqual([])
    const late = next(soon, prune(NOW + EXHAUSTED_KEPT_MS))
    expect(listTokens(late, NOW).map((token) => token.id)).toEqual([id(1)])
    expect(() => decide(late, redeem(3, 1))).toThrowCode('TOKEN_UNKNOWN')
  })

  it('takes away a bounded number at a time, the oldest first', () => {
    const all = Array.from({ length: MAX_PRUNED_AT_ONCE + 5 }, (_, n) => mint(n, { ttlMs: 1 }))
    const state = after(...all)
    const [event] = decide(state, prune(NOW + 1))
    expect(event).toMatchObject({ ids: all.slice(0, MAX_PRUNED_AT_ONCE).map((command) => command.id) })
    expect(JSON.stringify(event).length).toBeLessThan(32 * 1024)
    const rest = next(state, prune(NOW + 1))
    expect(listTokens(rest, NOW).length).toBe(5)
    expect(decide(next(rest, prune(NOW + 1)), prune(NOW + 1))).toEqual([])
  })
})

describe('limits', () => {
  const full = after(...Array.from({ length: MAX_TOKENS }, (_, n) => mint(n, { ttlMs: n === 0 ? MINUTE : null })))

  it('refuses a token too many while all others can be used', () => {
    expect(() => decide(full, mint(MAX_TOKENS))).toThrowCode('TOKEN_LIMIT')
    expect(() => decide(full, rotate(MAX_TOKENS, MINUTE))).toThrowCode('TOKEN_LIMIT')
    expect(() => decide(full, rotate(MAX_TOKENS, 0, { role: 'manager' }))).toThrowCode('TOKEN_LIMIT')
  })

  it('makes room by itself when there are dead ones', () => {
    const state = next(full, mint(MAX_TOKENS, { now: NOW + MINUTE }))
    expect(listTokens(state, NOW).length).toBe(MAX_TOKENS)
    expect(listTokens(state, NOW)[0]?.id).toBe(id(1))
  })

  it('never stands in the way of a rotation that revokes', () => {
    const state = next(full, rotate(MAX_TOKENS, 0))
    expect(states(state, NOW).filter((one) => one === 'live').length).toBe(1)
    expect(findToken(state, hash(MAX_TOKENS), NOW)).not.toBeNull()
  })

  it('bounds the memory of redemptions, and forgets the oldest first', () => {
    let state = after(mint(1), redeem(1, 0))
    const extra = (from: number, to: number) => {
      for (let by = from; by < to; by += 1) state = applyAll(state, decide(state, redeem(1, by)))
    }
    extra(1, MIN_REDEMPTIONS_REMEMBERED + 1)
    expect(redemptionOf(state, hash(1), key(0), NOW)).not.toBeNull()
    extra(MIN_REDEMPTIONS_REMEMBERED + 1, 2 * MIN_REDEMPTIONS_REMEMBERED + 1)
    expect(redemptionOf(state, hash(1), key(0), NOW)).toBeNull()
    expect(redemptionOf(state, hash(1), key(MIN_REDEMPTIONS_REMEMBERED + 1), NOW)).not.toBeNull()
    expect(state.redemptions.young.size + state.redemptions.old.size).toBeLessThanOrEqual(
      2 * MIN_REDEMPTIONS_REMEMBERED,
    )
    expect(listTokens(state, NOW)).toMatchObject([{ uses: 2 * MIN_REDEMPTIONS_REMEMBERED + 1 }])
  })
})

describe('the journal', () => {
  it('is plain data that JSON keeps', () => {
    const commands: TokenCommand[] = [
      mint(1, { maxUses: 1, ttlMs: DAY }),
      redeem(1, 7),
      rotate(2, MINUTE),
      revoke(2),
      prune(NOW + DAY),
    ]
    let state = initial
    const journal: TokenEvent[] = []
    for (const command of commands) {
      const events = decide(state, command)
      journal.push(...events)
      state = applyAll(state, events)
    }
    expect(journal.map((event) => event.type)).toEqual([
      'token-minted',
      'token-redeemed',
      'tokens-retired',
      'token-minted',
      'token-revoked',
      'tokens-pruned',
    ])
    expect(applyAll(initial, JSON.parse(JSON.stringify(journal)) as TokenEvent[])).toEqual(state)
  })

  it('of another registry is refused instead of half believed', () => {
    const elsewhere = decide(after(mint(1)), revoke(1))
    expect(() => applyAll(initial, elsewhere)).toThrow(TypeError)
    expect(() => evolve(initial, { type: 'token-frobbed' } as never)).toThrow(TypeError)
    expect(() => decide(initial, { type: 'frob', now: NOW } as never)).toThrow(TypeError)
  })
})
