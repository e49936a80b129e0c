import type { Decider } from '../ports.ts'
import { decide } from './registry-decide.ts'
import { evolve } from './registry-evolve.ts'
import type { TokenCommand, TokenEvent } from './registry-messages.ts'
import { emptyRegistry, type TokenRegistry } from './registry-state.ts'

/**
 * The cluster's join tokens as a decider: which there are, what role each grants, how long and how often. It holds hashes, never a secret.
 *
 * `decide` throws {@link TokenError} and then nothing happened:
 *
 * - `mint`, `rotate`: `TOKEN_EXISTS` for an id or secret that is registered already, `TOKEN_LIMIT` when all {@link MAX_TOKENS} tokens can
 * still be used, `LIFETIME_OUT_OF_RANGE`, `USES_OUT_OF_RANGE`, `ID_MALFORMED`.
 *
 * - `revoke`: `TOKEN_UNKNOWN`, `ID_MALFORMED`; a token that is revoked already gives no event.
 *
 * - `redeem`: `TOKEN_UNKNOWN`, `TOKEN_REVOKED`, `TOKEN_EXPIRED`, `TOKEN_EXHAUSTED`, `ID_MALFORMED`. A key that redeemed the token before
 * gives no event and uses nothing up; {@link redemptionOf} has its first answer. A host tells strangers only that the token is not valid.
 *
 * - `prune`: never refuses; no event means that there is nothing left to prune.
 *
 * The host serializes: it applies the events of one command before it decides the next.
 */
export const tokenRegistry: Decider<TokenRegistry, TokenCommand, TokenEvent> = {
  initial: emptyRegistry,
  decide,
  evolve,
}
