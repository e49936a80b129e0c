/**
 * Most tokens that a registry holds, dead ones included until they are pruned: a token of its own for each of 10,000 machines, and half
 * again. It bounds the state that every manager keeps and every snapshot carries.
 */
export const MAX_TOKENS = 16_384

/** Longest lifetime and overlap, 366 days in ms. A token without an end is asked for by `null`, never by a typing error in a number. */
export const MAX_TOKEN_TTL_MS: number = 366 * 24 * 60 * 60 * 1000

/** Largest use count. Far more nodes than a cluster has; beyond it `null`, "without a limit", is the honest wish. */
export const MAX_TOKEN_USES = 1_000_000

/**
 * How many redemptions are remembered at the least (at the most, twice as many): three times those of a cluster of 10,000 nodes
 * that all join at once. What is forgotten costs a use if its answer got lost; without a bound, whoever holds a token could fill
 * the managers' memory.
 */
export const MIN_REDEMPTIONS_REMEMBERED = 32_768

/** How long after its last use an exhausted token can still repeat a lost answer before `prune` takes it away: 24 hours in ms. */
export const EXHAUSTED_KEPT_MS: number = 24 * 60 * 60 * 1000

/** Most tokens that one `prune` takes away, so that its event stays below 32 KiB; prune again until nothing comes. */
export const MAX_PRUNED_AT_ONCE = 1000
