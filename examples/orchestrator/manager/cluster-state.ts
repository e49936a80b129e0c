import {
  type AuthorityCommand,
  type AuthorityEvent,
  type AuthorityState,
  authorityEvents,
  authorityLife,
  type Membership,
  type MembershipCommand,
  type MembershipEvent,
  membership,
  membershipEvents,
} from '@leastwise/identity'
import {
  catalogueHistory,
  type SecretCatalogueCommand,
  type SecretCatalogueEvent,
  type SecretCatalogueState,
  secretCatalogue,
} from '@leastwise/secrets'
import { type TokenCommand, type TokenEvent, type TokenRegistry, tokenRegistry } from '@leastwise/tokens'
import { type TaskCommand, type TaskEvent, type TaskList, taskList } from './task-list.ts'

/** Everything durable in this cluster: five state machines side by side, one journal. */
export interface ClusterState {
  readonly authority: AuthorityState
  readonly tokens: TokenRegistry
  readonly membership: Membership
  readonly secrets: SecretCatalogueState
  readonly tasks: TaskList
}

export type ClusterCommand =
  | { readonly part: 'authority'; readonly command: AuthorityCommand }
  | { readonly part: 'tokens'; readonly command: TokenCommand }
  | { readonly part: 'membership'; readonly command: MembershipCommand }
  | { readonly part: 'secrets'; readonly command: SecretCatalogueCommand }
  | { readonly part: 'tasks'; readonly command: TaskCommand }

export type ClusterEvent =
  | { readonly part: 'authority'; readonly event: AuthorityEvent }
  | { readonly part: 'tokens'; readonly event: TokenEvent }
  /** In snapshots only: the registry's state is plain data by its contract. */
  | { readonly part: 'tokens-kept'; readonly state: TokenRegistry }
  | { readonly part: 'membership'; readonly event: MembershipEvent }
  | { readonly part: 'secrets'; readonly event: SecretCatalogueEvent }
  | { readonly part: 'tasks'; readonly event: TaskEvent }

export const emptyCluster: ClusterState = {
  authority: authorityLife.initial,
  tokens: tokenRegistry.initial,
  membership: membership.initial,
  secrets: secretCatalogue.initial,
  tasks: taskList.initial,
}

function decideOne(state: ClusterState, order: ClusterCommand): readonly ClusterEvent[] {
  switch (order.part) {
    case 'authority':
      return authorityLife.decide(state.authority, order.command).map((event) => ({ part: 'authority', event }))
    case 'tokens':
      return tokenRegistry.decide(state.tokens, order.command).map((event) => ({ part: 'tokens', event }))
    case 'membership':
      return membership.decide(state.membership, order.command).map((event) => ({ part: 'membership', event }))
    case 'secrets':
      return secretCatalogue.decide(state.secrets, order.command).map((event) => ({ part: 'secrets', event }))
    case 'tasks':
      return taskList.decide(state.tasks, order.command).map((event) => ({ part: 'tasks', event }))
  }
}

export function evolve(state: ClusterState, change: ClusterEvent): ClusterState {
  switch (change.part) {
    case 'authority':
      return { ...state, authority: authorityLife.evolve(state.authority, change.event) }
    case 'tokens':
      return { ...state, tokens: tokenRegistry.evolve(state.tokens, change.event) }
    case 'tokens-kept':
      return { ...state, tokens: change.state }
    case 'membership':
      return { ...state, membership: membership.evolve(state.membership, change.event) }
    case 'secrets':
      return { ...state, secrets: secretCatalogue.evolve(state.secrets, change.event) }
    case 'tasks':
      return { ...state, tasks: taskList.evolve(state.tasks, change.event) }
  }
}

/** Decides the commands one after the other, each on what the ones before it made; all of them, or none. */
export function decide(state: ClusterState, orders: readonly ClusterCommand[]): readonly ClusterEvent[] {
  const events: ClusterEvent[] = []
  let current = state
  for (const order of orders) {
    const made = decideOne(current, order)
    current = made.reduce(evolve, current)
    events.push(...made)
  }
  return events
}

/**
 * The fewest events that lead to `state`: what a snapshot holds. Events are the only durable format of this orchestrator, so a
 * package may change the shape of its state without making old snapshots unreadable.
 */
export function historyOf(state: ClusterState): readonly ClusterEvent[] {
  return [
    ...[...authorityEvents(state.authority)].map((event) => ({ part: 'authority', event }) as const),
    { part: 'tokens-kept', state: state.tokens },
    ...[...membershipEvents(state.membership)].map((event) => ({ part: 'membership', event }) as const),
    ...[...catalogueHistory(state.secrets)].map((event) => ({ part: 'secrets', event }) as const),
    ...[...state.tasks.values()].map((task) => ({ part: 'tasks', event: { type: 'task-created', task } }) as const),
  ]
}
