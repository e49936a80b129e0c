import { TokenError } from '../errors.ts'
import { type Id, parseId } from '../id.ts'
import { EXHAUSTED_KEPT_MS, MAX_PRUNED_AT_ONCE, MAX_TOKEN_TTL_MS, MAX_TOKEN_USES, MAX_TOKENS } from '../limits.ts'
import { get, values } from '../persistent-map.ts'
import { recall } from './redemptions.ts'
import { evolve } from './registry-evolve.ts'
import type {
  PruneTokens,
  RedeemToken,
  RevokeToken,
  RotateTokens,
  TokenCommand,
  TokenEvent,
  TokenMinted,
  TokenTerms,
} from './registry-messages.ts'
import { answers, inOrder, type StoredToken, stateOf, type TokenRegistry, tokenByHash } from './registry-state.ts'

const HASH_SHAPE = /^[0-9a-f]{64}$/

export function decide(registry: TokenRegistry, command: TokenCommand): readonly TokenEvent[] {
  if (!Number.isSafeInteger(command.now) || command.now < 0)
    throw new RangeError('now is not an instant in whole epoch ms')
  switch (command.type) {
    case 'mint':
      return [...makeRoom(registry, command.now), mint(registry, command)]
    case 'rotate':
      return rotate(registry, command)
    case 'revoke':
      return revoke(registry, command)
    case 'redeem':
      return redeem(registry, command)
    case 'prune':
      return prune(registry, command)
    default:
      throw new TypeError('the token registry knows no such command')
  }
}

function mint(registry: TokenRegistry, { id, role, secretHash, now, ttlMs, maxUses }: TokenTerms): TokenMinted {
  checkHash(secretHash)
  const tokenId = parseId(id)
  if (get(registry.tokens, tokenId) !== null || tokenByHash(registry, secretHash) !== null) {
    throw new TokenError('TOKEN_EXISTS', 'a token with this id or this secret exists already; create a fresh one', {
      tokenId,
    })
  }
  if (ttlMs !== null && !isWholeBetween(ttlMs, 1, MAX_TOKEN_TTL_MS)) throw lifetimeRefusal('lifetime', 1)
  if (maxUses !== null && !isWholeBetween(maxUses, 1, MAX_TOKEN_USES)) {
    throw new TokenError(
      'USES_OUT_OF_RANGE',
      `use count is not a whole number from 1 to ${MAX_TOKEN_USES}; leave it out for any number`,
    )
  }
  const expiresAt = ttlMs === null ? null : now + ttlMs
  return { type: 'token-minted', id: tokenId, role, secretHash, at: now, expiresAt, maxUses }
}

function rotate(registry: TokenRegistry, command: RotateTokens): readonly TokenEvent[] {
  const { role, now, overlapMs } = command
  if (!isWholeBetween(overlapMs, 0, MAX_TOKEN_TTL_MS)) throw lifetimeRefusal('overlap', 0)
  const minted = mint(registry, command)
  const endsAt = overlapMs === 0 ? null : now + overlapMs
  const retired: readonly TokenEvent[] = someAnswer(registry, role, now)
    ? [{ type: 'tokens-retired', role, at: now, endsAt }]
    : []
  // Room is looked for after the old ones have gone: a full registry must not stand in the way of a rotation that revokes.
  const room = makeRoom(retired.reduce(evolve, registry), now)
  return [...retired, ...room, minted]
}

function revoke(registry: TokenRegistry, { id, now }: RevokeToken): readonly TokenEvent[] {
  const token = get(registry.tokens, parseId(id))
  if (token === null)
    throw new TokenError('TOKEN_UNKNOWN', 'there is no token with this id; list the tokens to see their ids')
  return token.revokedAt === null ? [{ type: 'token-revoked', id: token.id, at: now }] : []
}

function redeem(registry: TokenRegistry, command: RedeemToken): readonly TokenEvent[] {
  const { secretHash, publicKeyHash, now } = command
  checkHash(secretHash)
  checkHash(publicKeyHash)
  const nodeId = parseId(command.nodeId)
  const token = tokenByHash(registry, secretHash)
  if (token === null)
    throw new TokenError('TOKEN_UNKNOWN', 'no token has this secret; get a current token from a manager')
  const state = stateOf(token, now)
  if (state === 'revoked' || state === 'expired') throw refusal(state, token.id)
  if (recall(registry.redemptions, token.serial, publicKeyHash) !== null) return []
  if (state === 'exhausted') throw refusal(state, token.id)
  return [{ type: 'token-redeemed', id: token.id, publicKeyHash, nodeId, at: now }]
}

function prune(registry: TokenRegistry, { now }: PruneTokens): readonly TokenEvent[] {
  const ids = inOrder(registry)
    .filter((token) => isPrunable(token, now))
    .slice(0, MAX_PRUNED_AT_ONCE)
    .map((token): Id => token.id)
  return ids.length === 0 ? [] : [{ type: 'tokens-pruned', ids, at: now }]
}

/** Nothing while there is room; at the limit dead tokens go, and only if there are none is the new one refused. */
function makeRoom(registry: TokenRegistry, now: number): readonly TokenEvent[] {
  if (registry.tokens.size < MAX_TOKENS) return []
  const events = prune(registry, { type: 'prune', now })
  if (events.length > 0) return events
  throw new TokenError(
    'TOKEN_LIMIT',
    `there are ${MAX_TOKENS} tokens that can still be used; revoke some of them first`,
  )
}

function someAnswer(registry: TokenRegistry, role: StoredToken['role'], now: number): boolean {
  for (const token of values(registry.tokens)) if (token.role === role && answers(token, now)) return true
  return false
}

function isPrunable(token: StoredToken, now: number): boolean {
  switch (stateOf(token, now)) {
    case 'live':
      return false
    case 'exhausted':
      return (token.lastUsedAt ?? token.createdAt) + EXHAUSTED_KEPT_MS <= now
    case 'expired':
    case 'revoked':
      return true
  }
}

function refusal(state: 'revoked' | 'expired' | 'exhausted', tokenId: Id): TokenError {
  const again = 'get a current token from a manager'
  switch (state) {
    case 'revoked':
      return new TokenError('TOKEN_REVOKED', `token was revoked; ${again}`, { tokenId })
    case 'expired':
      return new TokenError('TOKEN_EXPIRED', `token has expired; ${again}`, { tokenId })
    case 'exhausted':
      return new TokenError('TOKEN_EXHAUSTED', `token was used as often as it may be; ${again}`, { tokenId })
  }
}

const isWholeBetween = (value: number, least: number, most: number): boolean =>
  Number.isSafeInteger(value) && value >= least && value <= most

function lifetimeRefusal(what: string, leastMs: number): TokenError {
  return new TokenError(
    'LIFETIME_OUT_OF_RANGE',
    `${what} is not a whole number of ms from ${leastMs} to ${MAX_TOKEN_TTL_MS}; choose one in that range`,
  )
}

function checkHash(hash: string): void {
  if (!HASH_SHAPE.test(hash)) throw new TypeError('a hash is not 64 lower-case hex digits')
}
