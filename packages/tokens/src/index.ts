export type { TokenErrorCode, TokenErrorOptions } from './errors.ts'
export { TOKEN_ERROR_CODES, TokenError } from './errors.ts'
export type { Id } from './id.ts'
export { createId, parseId } from './id.ts'
export type { JoinToken, JoinTokenParts, ParsedJoinToken } from './join-token.ts'
export { createJoinToken, formatJoinToken, MAX_JOIN_TOKEN_CHARS, parseJoinToken } from './join-token.ts'
export { redact } from './leaks/leak-redaction.ts'
export type { Leak, LeakScanner } from './leaks/leak-scanner.ts'
export { createLeakScanner, findLeaks } from './leaks/leak-scanner.ts'
export type { LeakKind } from './leaks/leak-shape.ts'
export {
  EXHAUSTED_KEPT_MS,
  MAX_PRUNED_AT_ONCE,
  MAX_TOKEN_TTL_MS,
  MAX_TOKEN_USES,
  MAX_TOKENS,
  MIN_REDEMPTIONS_REMEMBERED,
} from './limits.ts'
export type { Decider, Digest, RandomSource } from './ports.ts'
export { tokenRegistry } from './registry/registry.ts'
export type {
  MintToken,
  PruneTokens,
  RedeemToken,
  RevokeToken,
  RotateTokens,
  TokenCommand,
  TokenEvent,
  TokenMinted,
  TokenRedeemed,
  TokenRevoked,
  TokensPruned,
  TokensRetired,
  TokenTerms,
} from './registry/registry-messages.ts'
export type { Redemption, TokenRecord, TokenRegistry, TokenState } from './registry/registry-state.ts'
export { findToken, listTokens, redemptionOf } from './registry/registry-state.ts'
export type { Role } from './role.ts'
export type { TokenHash } from './token-hash.ts'
export { hashPublicKey, hashTokenSecret } from './token-hash.ts'
export { createTokenSecret, TOKEN_SECRET_BYTES, TokenSecret } from './token-secret.ts'
export { TRUST_DIGEST_BYTES, trustDigestOf, verifyTrustBundle } from './trust-digest.ts'
export { createUnlockKey, formatUnlockKey, parseUnlockKey, UNLOCK_KEY_BYTES, UnlockKey } from './unlock-key.ts'
