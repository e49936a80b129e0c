import type { Id } from '../id.ts'
import type { Role } from '../role.ts'
import type { TokenHash } from '../token-hash.ts'

/** What a new token is to be. */
export interface TokenTerms {
  /** A fresh id, from {@link createId}. */
  readonly id: string
  /** The role that the token grants; nothing that the joiner says can change it. */
  readonly role: Role
  /** {@link hashTokenSecret} of its secret, which itself never comes here. */
  readonly secretHash: TokenHash
  /** Epoch ms. */
  readonly now: number
  /** Lifetime in ms, 1 to {@link MAX_TOKEN_TTL_MS}; `null` for a token that lives until it is rotated or revoked. */
  readonly ttlMs: number | null
  /** How many different keys may redeem it, 1 to {@link MAX_TOKEN_USES}; `null` for any number. */
  readonly maxUses: number | null
}

/** A new token beside those that there are. */
export interface MintToken extends TokenTerms {
  readonly type: 'mint'
}

/**
 * A new token in place of all earlier ones of its role: those are revoked at once (`overlapMs` 0), or live on until their own end or the
 * end of the overlap, whichever comes first. Nodes that have joined are not concerned.
 */
export interface RotateTokens extends TokenTerms {
  readonly type: 'rotate'
  /** In ms, 0 to {@link MAX_TOKEN_TTL_MS}. */
  readonly overlapMs: number
}

/** The end of one token, at once. Doing it again changes nothing. */
export interface RevokeToken {
  readonly type: 'revoke'
  readonly id: string
  /** Epoch ms. */
  readonly now: number
}

/** Someone proved to know a token's secret and to own a key, and is to become a node. */
export interface RedeemToken {
  readonly type: 'redeem'
  readonly secretHash: TokenHash
  /** {@link hashPublicKey} of the key in the joiner's CSR, whose signature the host has checked. 64 hex digits. */
  readonly publicKeyHash: string
  /** A fresh id for the node to be; unused if the same key redeemed the same token before. */
  readonly nodeId: string
  /** Epoch ms. */
  readonly now: number
}

/** Takes away tokens that can do nothing any more: at most {@link MAX_PRUNED_AT_ONCE}, the oldest first. */
export interface PruneTokens {
  readonly type: 'prune'
  /** Epoch ms. */
  readonly now: number
}

/** What the token registry can be asked to do. */
export type TokenCommand = MintToken | RotateTokens | RevokeToken | RedeemToken | PruneTokens

/** A token came to be. */
export interface TokenMinted {
  readonly type: 'token-minted'
  readonly id: Id
  readonly role: Role
  readonly secretHash: TokenHash
  readonly at: number
  /** The first instant at which it is no longer valid. */
  readonly expiresAt: number | null
  readonly maxUses: number | null
}

/** All tokens of a role that still answered end at `endsAt` at the latest; with `null` they are revoked. */
export interface TokensRetired {
  readonly type: 'tokens-retired'
  readonly role: Role
  readonly at: number
  readonly endsAt: number | null
}

/** A token was ended by its id. */
export interface TokenRevoked {
  readonly type: 'token-revoked'
  readonly id: Id
  readonly at: number
}

/** A key became a node and used a token once. */
export interface TokenRedeemed {
  readonly type: 'token-redeemed'
  readonly id: Id
  readonly publicKeyHash: string
  readonly nodeId: Id
  readonly at: number
}

/** Dead tokens were forgotten. */
export interface TokensPruned {
  readonly type: 'tokens-pruned'
  readonly ids: readonly Id[]
  readonly at: number
}

/** What happened to the token registry: plain data for the host's journal. No event holds a secret. */
export type TokenEvent = TokenMinted | TokensRetired | TokenRevoked | TokenRedeemed | TokensPruned
