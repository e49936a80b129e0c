import type { Id } from '../id.ts'
import { get, type PersistentMap, put, remove, values } from '../persistent-map.ts'
import { remember } from './redemptions.ts'
import type { TokenEvent, TokenMinted, TokenRedeemed, TokensPruned, TokensRetired } from './registry-messages.ts'
import type { StoredToken, TokenRegistry } from './registry-state.ts'

// Nothing here depends on a limit or a policy of `decide`: a journal that was written under other limits replays to the same state.
export function evolve(registry: TokenRegistry, event: TokenEvent): TokenRegistry {
  switch (event.type) {
    case 'token-minted':
      return minted(registry, event)
    case 'tokens-retired':
      return { ...registry, tokens: retired(registry.tokens, event) }
    case 'token-revoked':
      return withToken(registry, { ...present(registry, event.id), revokedAt: event.at })
    case 'token-redeemed':
      return redeemed(registry, event)
    case 'tokens-pruned':
      return pruned(registry, event)
    default:
      throw new TypeError('the token registry knows no such event')
  }
}

function minted(registry: TokenRegistry, event: TokenMinted): TokenRegistry {
  const { id, role, secretHash, at, expiresAt, maxUses } = event
  const fresh = { serial: registry.minted, createdAt: at, uses: 0, lastUsedAt: null, revokedAt: null }
  return {
    ...registry,
    tokens: put(registry.tokens, id, { id, role, secretHash, expiresAt, maxUses, ...fresh }),
    idsByHash: put(registry.idsByHash, secretHash, id),
    minted: registry.minted + 1,
  }
}

function retired(tokens: PersistentMap<StoredToken>, { role, at, endsAt }: TokensRetired): PersistentMap<StoredToken> {
  let left = tokens
  for (const token of values(tokens)) {
    const isOver = token.revokedAt !== null || (token.expiresAt !== null && token.expiresAt <= at)
    if (token.role !== role || isOver) continue
    if (endsAt === null) left = put(left, token.id, { ...token, revokedAt: at })
    else if (token.expiresAt === null || token.expiresAt > endsAt)
      left = put(left, token.id, { ...token, expiresAt: endsAt })
  }
  return left
}

function redeemed(registry: TokenRegistry, { id, publicKeyHash, nodeId, at }: TokenRedeemed): TokenRegistry {
  const token = present(registry, id)
  const redemptions = remember(registry.redemptions, token.serial, publicKeyHash, nodeId)
  return { ...withToken(registry, { ...token, uses: token.uses + 1, lastUsedAt: at }), redemptions }
}

function pruned(registry: TokenRegistry, { ids }: TokensPruned): TokenRegistry {
  let { tokens, idsByHash } = registry
  for (const id of ids) {
    idsByHash = remove(idsByHash, present(registry, id).secretHash)
    tokens = remove(tokens, id)
  }
  return { ...registry, tokens, idsByHash }
}

const withToken = (registry: TokenRegistry, token: StoredToken): TokenRegistry => ({
  ...registry,
  tokens: put(registry.tokens, token.id, token),
})

/** An event about a token that is not there comes from another journal; going on would quietly lose a revocation. */
function present(registry: TokenRegistry, id: Id): StoredToken {
  const token = get(registry.tokens, id)
  if (token === null) throw new TypeError('the event is about a token that this registry does not hold')
  return token
}
