import type { Id } from '../id.ts'
import { emptyMap, get, type PersistentMap, values } from '../persistent-map.ts'
import type { Role } from '../role.ts'
import type { TokenHash } from '../token-hash.ts'
import { noRedemptions, type Redemptions, recall } from './redemptions.ts'

/** A token as the registry keeps it. */
export interface StoredToken {
  readonly id: Id
  readonly role: Role
  readonly secretHash: TokenHash
  /** How many tokens were minted before it: the order of tokens, free of clocks. */
  readonly serial: number
  readonly createdAt: number
  readonly expiresAt: number | null
  readonly maxUses: number | null
  readonly uses: number
  readonly lastUsedAt: number | null
  readonly revokedAt: number | null
}

/**
 * The state of the token registry. Read it with {@link listTokens}, {@link findToken} and {@link redemptionOf}; its inside may change.
 *
 * Plain data throughout (objects, strings, numbers, `null`), so a host may put it into a snapshot as JSON. Never changed in place:
 * each event gives a new state that shares nearly everything with the one before.
 */
export interface TokenRegistry {
  readonly tokens: PersistentMap<StoredToken>
  readonly idsByHash: PersistentMap<Id>
  readonly redemptions: Redemptions
  readonly minted: number
}

export const emptyRegistry: TokenRegistry = {
  tokens: emptyMap(),
  idsByHash: emptyMap(),
  redemptions: noRedemptions,
  minted: 0,
}

/**
 * `live`: may be redeemed. `exhausted`: used up, yet it still repeats its answers to those who redeemed it. `expired` and `revoked`: dead.
 */
export type TokenState = 'live' | 'exhausted' | 'expired' | 'revoked'

/** What may be shown of a token: all but its hash. */
export interface TokenRecord {
  readonly id: Id
  readonly role: Role
  /** Epoch ms. */
  readonly createdAt: number
  /** The first instant (epoch ms) at which it is no longer valid; `null` if it has no end. */
  readonly expiresAt: number | null
  readonly uses: number
  /** `null` if it may be used any number of times. */
  readonly maxUses: number | null
  /** Epoch ms; `null` if it was never used. */
  readonly lastUsedAt: number | null
  readonly state: TokenState
}

/** The answer which a joiner got, or should have got. */
export interface Redemption {
  readonly tokenId: Id
  readonly nodeId: Id
  readonly role: Role
}

// Revoked comes first and asks no clock: a manager whose clock is behind must not revive what was revoked.
export function stateOf(token: StoredToken, now: number): TokenState {
  if (token.revokedAt !== null) return 'revoked'
  if (token.expiresAt !== null && token.expiresAt <= now) return 'expired'
  if (token.maxUses !== null && token.uses >= token.maxUses) return 'exhausted'
  return 'live'
}

export function tokenByHash(registry: TokenRegistry, secretHash: TokenHash): StoredToken | null {
  const id = get(registry.idsByHash, secretHash)
  return id === null ? null : get(registry.tokens, id)
}

/** Still gives an answer: to anyone while live, to those who redeemed it while exhausted. */
export const answers = (token: StoredToken, now: number): boolean => {
  const state = stateOf(token, now)
  return state === 'live' || state === 'exhausted'
}

/**
 * The token that has this hash and may be redeemed now.
 *
 * @param now - Epoch ms.
 * @returns `null` if there is none, whether it never was, expired, was used up or was revoked: a caller on the wire need not know more.
 */
export function findToken(registry: TokenRegistry, secretHash: TokenHash, now: number): TokenRecord | null {
  const token = tokenByHash(registry, secretHash)
  return token !== null && stateOf(token, now) === 'live' ? recordOf(token, now) : null
}

/**
 * All tokens of the registry, dead ones included until they are pruned, in the order in which they were minted.
 *
 * @param now - Epoch ms; the states are those at this instant.
 */
export function listTokens(registry: TokenRegistry, now: number): readonly TokenRecord[] {
  return inOrder(registry).map((token) => recordOf(token, now))
}

/**
 * What the joiner with this key was told when it redeemed this token, so that an answer which got lost can be given again.
 *
 * @param now - Epoch ms.
 * @returns The first answer, also when the token was used up since; `null` if the key never redeemed it, it was too many redemptions ago
 * ({@link MIN_REDEMPTIONS_REMEMBERED}), or the token expired, was revoked or is unknown.
 */
export function redemptionOf(
  registry: TokenRegistry,
  secretHash: TokenHash,
  publicKeyHash: string,
  now: number,
): Redemption | null {
  const token = tokenByHash(registry, secretHash)
  if (token === null || !answers(token, now)) return null
  const nodeId = recall(registry.redemptions, token.serial, publicKeyHash)
  return nodeId === null ? null : { tokenId: token.id, nodeId, role: token.role }
}

export const inOrder = (registry: TokenRegistry): StoredToken[] =>
  [...values(registry.tokens)].sort((a, b) => a.serial - b.serial)

function recordOf(token: StoredToken, now: number): TokenRecord {
  const { id, role, createdAt, expiresAt, uses, maxUses, lastUsedAt } = token
  return { id, role, createdAt, expiresAt, uses, maxUses, lastUsedAt, state: stateOf(token, now) }
}
