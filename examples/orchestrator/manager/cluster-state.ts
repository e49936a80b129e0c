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
  type Membership,
  type MembershipCommand,
  type MembershipEvent,
  membership,
  membershipEvents,
  type OperatorCommand,
  type OperatorEvent,
  type Operators,
  operatorEvents,
  operators,
  type Recoveries,
  type RecoveryCommand,
  type RecoveryEvent,
  recoveries,
  recoveryEvents,
} from '@leastwise/identity'
import {
  catalogueHistory,
  type SecretCatalogueCommand,
  type SecretCatalogueEvent,
  type SecretCatalogueState,
  secretCatalogue,
} from '@leastwise/secrets'
import { type TokenCommand, type TokenEvent, type TokenRegistry, tokenRegistry } from '@leastwise/tokens'
import {
  type IssuerCommand,
  type IssuerEvent,
  type IssuerList,
  issuerEvents,
  issuerList,
} from './intermediate/issuer-list.ts'
import { type ManagerAddresses, type ManagerListCommand, type ManagerListEvent, managerList } from './manager-list.ts'
import { decideMembership } from './membership/decide-membership.ts'
import { decideOperators } from './remote/decide-operators.ts'
import {
  type ClusterTrustDomain,
  clusterTrustDomain,
  type TrustDomainCommand,
  type TrustDomainEvent,
} from './spiffe/trust-domain.ts'
import { listTasks, type TaskCommand, type TaskEvent, type TaskList, taskList } from './task-list.ts'

/** Everything durable in this cluster: state machines side by side, one journal. */
export interface ClusterState {
  readonly authority: AuthorityState
  readonly tokens: TokenRegistry
  readonly membership: Membership
  readonly operators: Operators
  /** What peers without a membership go by; it follows from membership and operators. */
  readonly evictions: EvictionBook
  readonly secrets: SecretCatalogueState
  readonly tasks: TaskList
  readonly managers: ManagerAddresses
  /** The managers that issue from an intermediate of their own. */
  readonly issuers: IssuerList
  readonly spiffe: ClusterTrustDomain
  readonly recoveries: Recoveries
}

export type ClusterCommand =
  | { readonly part: 'authority'; readonly command: AuthorityCommand }
  | { readonly part: 'tokens'; readonly command: TokenCommand }
  /** `now` where the command itself has no instant. */
  | { readonly part: 'membership'; readonly command: MembershipCommand; readonly now?: number }
  | { readonly part: 'operators'; readonly command: OperatorCommand }
  | { readonly part: 'evictions'; readonly command: EvictionCommand }
  | { readonly part: 'secrets'; readonly command: SecretCatalogueCommand }
  | { readonly part: 'tasks'; readonly command: TaskCommand }
  | { readonly part: 'managers'; readonly command: ManagerListCommand }
  | { readonly part: 'issuers'; readonly command: IssuerCommand }
  | { readonly part: 'spiffe'; readonly command: TrustDomainCommand }
  | { readonly part: 'recoveries'; readonly command: RecoveryCommand }

export type ClusterEvent =
  | { readonly part: 'authority'; readonly event: AuthorityEvent }
  | { readonly part: 'tokens'; readonly event: TokenEvent }
  /** In snapshots only: the registry's state is plain data by its contract. */
  | { readonly part: 'tokens-kept'; readonly state: TokenRegistry }
  | { readonly part: 'membership'; readonly event: MembershipEvent }
  | { readonly part: 'operators'; readonly event: OperatorEvent }
  | { readonly part: 'evictions'; readonly event: EvictionEvent }
  | { readonly part: 'secrets'; readonly event: SecretCatalogueEvent }
  | { readonly part: 'tasks'; readonly event: TaskEvent }
  | { readonly part: 'managers'; readonly event: ManagerListEvent }
  | { readonly part: 'issuers'; readonly event: IssuerEvent }
  | { readonly part: 'spiffe'; readonly event: TrustDomainEvent }
  | { readonly part: 'recoveries'; readonly event: RecoveryEvent }

export const emptyCluster: ClusterState = {
  authority: authorityLife.initial,
  tokens: tokenRegistry.initial,
  membership: membership.initial,
  operators: operators.initial,
  evictions: evictionBook.initial,
  secrets: secretCatalogue.initial,
  tasks: taskList.initial,
  managers: managerList.initial,
  issuers: issuerList.initial,
  spiffe: clusterTrustDomain.initial,
  recoveries: recoveries.initial,
}

function decideOne(state: ClusterState, order: ClusterCommand): readonly ClusterEvent[] {
  switch (order.part) {
    case 'authority':
      return authorityLife.decide(state.authority, order.command).map((event) => ({ part: 'authority', event }))
    case 'tokens':
      return tokenRegistry.decide(state.tokens, order.command).map((event) => ({ part: 'tokens', event }))
    case 'membership':
      return decideMembership(state, order.command, order.now ?? 0)
    case 'operators':
      return decideOperators(state, order.command)
    case 'evictions':
      return evictionBook.decide(state.evictions, order.command).map((event) => ({ part: 'evictions', event }))
    case 'secrets':
      return secretCatalogue.decide(state.secrets, order.command).map((event) => ({ part: 'secrets', event }))
    case 'tasks':
      return taskList.decide(state.tasks, order.command).map((event) => ({ part: 'tasks', event }))
    case 'managers':
      return managerList.decide(state.managers, order.command).map((event) => ({ part: 'managers', event }))
    case 'issuers':
      return issuerList.decide(state.issuers, order.command).map((event) => ({ part: 'issuers', event }))
    case 'spiffe':
      return clusterTrustDomain.decide(state.spiffe, order.command).map((event) => ({ part: 'spiffe', event }))
    case 'recoveries':
      return recoveries.decide(state.recoveries, order.command).map((event) => ({ part: 'recoveries', event }))
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
    case 'operators':
      return { ...state, operators: operators.evolve(state.operators, change.event) }
    case 'evictions':
      return { ...state, evictions: evictionBook.evolve(state.evictions, change.event) }
    case 'secrets':
      return { ...state, secrets: secretCatalogue.evolve(state.secrets, change.event) }
    case 'tasks':
      return { ...state, tasks: taskList.evolve(state.tasks, change.event) }
    case 'managers':
      return { ...state, managers: managerList.evolve(state.managers, change.event) }
    case 'issuers':
      return { ...state, issuers: issuerList.evolve(state.issuers, change.event) }
    case 'spiffe':
      return { ...state, spiffe: clusterTrustDomain.evolve(state.spiffe, change.event) }
    case 'recoveries':
      return { ...state, recoveries: recoveries.evolve(state.recoveries, change.event) }
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
    ...[...operatorEvents(state.operators)].map((event) => ({ part: 'operators', event }) as const),
    ...[...evictionBookEvents(state.evictions)].map((event) => ({ part: 'evictions', event }) as const),
    ...[...catalogueHistory(state.secrets)].map((event) => ({ part: 'secrets', event }) as const),
    ...listTasks(state.tasks).map((task) => ({ part: 'tasks', event: { type: 'task-created', task } }) as const),
    ...[...state.managers].map(
      ([nodeId, address]) => ({ part: 'managers', event: { type: 'manager-announced', nodeId, address } }) as const,
    ),
    ...[...issuerEvents(state.issuers)].map((event) => ({ part: 'issuers', event }) as const),
    ...(state.spiffe === null
      ? []
      : [{ part: 'spiffe', event: { type: 'trust-domain-set', trustDomain: state.spiffe } } as const]),
    ...[...recoveryEvents(state.recoveries)].map((event) => ({ part: 'recoveries', event }) as const),
  ]
}
