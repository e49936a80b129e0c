const HOUR_MS = 60 * 60 * 1000

/** 90 days, as Docker Swarm. */
export const DEFAULT_LIFETIME_MS: number = 90 * 24 * HOUR_MS

/** One hour, as Docker Swarm: a stock engine renews in whole minutes and runs hot below it. */
export const MIN_LIFETIME_MS: number = HOUR_MS

/** The furthest that a certificate's start may lie back against clocks that run late. */
export const MAX_BACKDATE_MS: number = HOUR_MS

/**
 * One hour as Docker Swarm has it, less for lifetimes under four hours: renewal is drawn between 50 % and 80 % of the
 * whole period, so a start far in the past would put it before the present.
 */
export const backdateFor = (lifetimeMs: number): number => Math.min(MAX_BACKDATE_MS, Math.floor(lifetimeMs / 4))
