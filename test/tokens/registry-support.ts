import { createHash } from 'node:crypto'
import {
  type MintToken,
  type RedeemToken,
  type TokenCommand,
  type TokenEvent,
  type TokenHash,
  type TokenRegistry,
  tokenRegistry,
} from '@leastwise/tokens'

export const NOW: number = Date.UTC(2026, 10, 21, 12)
export const MINUTE = 60_000
export const DAY: number = 24 * 60 * MINUTE

/** The n-th hash, id: made up, but of the right shape and evenly spread. */
export const hash = (n: number): TokenHash => createHash('sha256').update(`secret ${n}`).digest('hex') as TokenHash
export const key = (n: number): string => createHash('sha256').update(`key ${n}`).digest('hex')
export const id = (n: number): string =>
  BigInt(`0x${createHash('sha256').update(`id ${n}`).digest('hex')}`)
    .toString(36)
    .slice(1, 26)
export const nodeId = (n: number): string => id(1_000_000 + n)

export const mint = (n: number, terms: Partial<MintToken> = {}): MintToken => ({
  type: 'mint',
  id: id(n),
  role: 'worker',
  secretHash: hash(n),
  now: NOW,
  ttlMs: null,
  maxUses: null,
  ...terms,
})

export const redeem = (n: number, by: number, rest: Partial<RedeemToken> = {}): RedeemToken => ({
  type: 'redeem',
  secretHash: hash(n),
  publicKeyHash: key(by),
  nodeId: nodeId(by),
  now: NOW,
  ...rest,
})

export const applyAll = (state: TokenRegistry, events: readonly TokenEvent[]): TokenRegistry =>
  events.reduce(tokenRegistry.evolve, state)

/** The state after the commands, from the beginning. */
export const after = (...commands: readonly TokenCommand[]): TokenRegistry => next(tokenRegistry.initial, ...commands)
export const next = (state: TokenRegistry, ...commands: readonly TokenCommand[]): TokenRegistry =>
  commands.reduce((now, command) => applyAll(now, tokenRegistry.decide(now, command)), state)
