import { isDeepStrictEqual } from 'node:util'
import {
  type AuthorityCommand,
  type AuthorityEvent,
  type AuthorityState,
  authorityEvents,
  authorityLife,
  type EvictionBook,
  type EvictionCommand,
  type EvictionEvent,
  evictionBook,
  evictionBookEvents,
  evictionsFrom,
  type FoundedAuthority,
  type Membership,
  type MembershipCommand,
  type MembershipEvent,
  membership,
  membershipEvents,
} from '@leastwise/identity'
import { type TokenCommand, type TokenEvent, type TokenRegistry, tokenRegistry } from '@leastwise/tokens'

/** Everything durable of the cluster. */
export interface ClusterState {
  readonly authority: AuthorityState
  readonly membership: Membership
  readonly book: EvictionBook
  readonly tokens: TokenRegistry
}

export type Order =
  | { readonly part: 'authority'; readonly command: AuthorityCommand }
  | { readonly part: 'membership'; readonly command: MembershipCommand }
  | { readonly part: 'book'; readonly command: EvictionCommand }
  | { readonly part: 'tokens'; readonly command: TokenCommand }

export type Change =
  | { readonly part: 'authority'; readonly event: AuthorityEvent }
  | { readonly part: 'membership'; readonly event: MembershipEvent }
  | { readonly part: 'book'; readonly event: EvictionEvent }
  | { readonly part: 'tokens'; readonly event: TokenEvent }
  /** In snapshots: the registry is plain data by its contract. */
  | { readonly part: 'tokens-kept'; readonly state: TokenRegistry }

const initial: ClusterState = {
  authority: authorityLife.initial,
  membership: membership.initial,
  book: evictionBook.initial,
  tokens: tokenRegistry.initial,
}

function decide(state: ClusterState, order: Order, now: number): readonly Change[] {
  switch (order.part) {
    case 'authority':
      return authorityLife.decide(state.authority, order.command).map((event) => ({ part: 'authority', event }))
    case 'book':
      return evictionBook.decide(state.book, order.command).map((event) => ({ part: 'book', event }))
    case 'tokens':
      return tokenRegistry.decide(state.tokens, order.command).map((event) => ({ part: 'tokens', event }))
    case 'membership': {
      const events = membership.decide(state.membership, order.command)
      const evictions = events.flatMap((event) => evictionsFrom(state.membership, event, now))
      const members = events.map((event) => ({ part: 'membership', event }) as const)
      return evictions.length === 0
        ? members
        : [...members, ...decide(state, { part: 'book', command: { type: 'add', evictions } }, now)]
    }
  }
}

function evolve(state: ClusterState, change: Change): ClusterState {
  switch (change.part) {
    case 'authority':
      return { ...state, authority: authorityLife.evolve(state.authority, change.event) }
    case 'membership':
      return { ...state, membership: membership.evolve(state.membership, change.event) }
    case 'book':
      return { ...state, book: evictionBook.evolve(state.book, change.event) }
    case 'tokens':
      return { ...state, tokens: tokenRegistry.evolve(state.tokens, change.event) }
    case 'tokens-kept':
      return { ...state, tokens: change.state }
  }
}

/** The fewest changes that lead to `state`. */
const historyOf = (state: ClusterState): readonly Change[] => [
  ...[...authorityEvents(state.authority)].map((event) => ({ part: 'authority', event }) as const),
  ...[...membershipEvents(state.membership)].map((event) => ({ part: 'membership', event }) as const),
  ...[...evictionBookEvents(state.book)].map((event) => ({ part: 'book', event }) as const),
  { part: 'tokens-kept', state: state.tokens },
]

/** The replicated state, and the journal that alone survives a crash. */
export interface Replica {
  readonly state: () => ClusterState
  readonly authority: () => FoundedAuthority
  /** Decides all orders one after the other, or throws and has changed nothing. */
  readonly commit: (orders: readonly Order[], now: number) => readonly Change[]
  /** Forgets the state and rebuilds it from the last snapshot and what came after; true when it is the same. */
  readonly crash: () => boolean
  /** Puts a snapshot in the place of the journal; true when it leads to the same state. */
  readonly compact: () => boolean
  /** Changes in the journal since the last snapshot, and ever. */
  readonly length: () => { readonly sinceSnapshot: number; readonly ever: number }
}

export function createReplica(): Replica {
  let state = initial
  let snapshot: readonly Change[] = []
  let journal: Change[] = []
  let ever = 0
  return {
    state: () => state,
    authority: () => {
      if (state.authority.phase === 'unfounded') throw new Error('there is no cluster')
      return state.authority
    },
    commit: (orders, now) => {
      const changes: Change[] = []
      let current = state
      for (const order of orders) {
        const made = decide(current, order, now)
        current = made.reduce(evolve, current)
        changes.push(...made)
      }
      state = current
      for (const change of changes) journal.push(change)
      ever += changes.length
      return changes
    },
    crash: () => {
      const before = state
      state = journal.reduce(evolve, snapshot.reduce(evolve, initial))
      return isDeepStrictEqual(state, before)
    },
    compact: () => {
      snapshot = historyOf(state)
      journal = []
      return isDeepStrictEqual(snapshot.reduce(evolve, initial), state)
    },
    length: () => ({ sinceSnapshot: journal.length, ever }),
  }
}
