import { IdentityError } from '../errors.ts'
import type { Eviction } from '../eviction/eviction.ts'
import { EVICTION_MARGIN_MS, MAX_REASON_LENGTH } from '../membership/membership.ts'
import type { NodeId } from '../membership/node-identity.ts'
import { type LiveCertificate, MAX_LIVE_CERTIFICATES } from '../membership/node-record.ts'
import type { Decider } from '../ports.ts'
import { emptyShardedMap, lookUp, type ShardedMap, valuesOf, withEntry, withoutEntry } from '../sharded-map.ts'
import type { OperatorIdentity } from './verify-operator.ts'

/** What the cluster knows about one of its operators. All of it is public; instants are epoch milliseconds. */
export interface OperatorRecord {
  readonly operatorId: NodeId
  /** Who it is, in the words of whoever admitted it. */
  readonly name: string
  readonly admittedAt: number
  /** What was issued last, the newest last: at most {@link MAX_LIVE_CERTIFICATES}. No other is accepted. */
  readonly certificates: readonly LiveCertificate[]
  /** `null` for one in good standing. */
  readonly eviction: { readonly reason: string; readonly at: number; readonly until: number } | null
}

/** The operators of a cluster. Read it with the queries of this module; its shape may change. */
export interface Operators {
  readonly records: ShardedMap<OperatorRecord>
}

/** What may be asked about operators. */
export type OperatorCommand =
  | { readonly type: 'admit'; readonly operatorId: NodeId; readonly name: string; readonly now: number }
  /** Hand a certificate out only after the resulting event is durable. */
  | {
      readonly type: 'record-certificate'
      readonly operatorId: NodeId
      readonly serial: string
      readonly notAfter: number
    }
  | { readonly type: 'evict'; readonly operatorId: NodeId; readonly reason: string; readonly now: number }
  /** Forgets evicted operators when nothing of theirs is valid any more. */
  | { readonly type: 'prune'; readonly now: number }

/** What happened to operators: JSON-safe, and what a host keeps in its log. */
export type OperatorEvent =
  | { readonly type: 'operator-admitted'; readonly operatorId: NodeId; readonly name: string; readonly at: number }
  | {
      readonly type: 'operator-certificate-recorded'
      readonly operatorId: NodeId
      readonly serial: string
      readonly notAfter: number
    }
  | {
      readonly type: 'operator-evicted'
      readonly operatorId: NodeId
      readonly reason: string
      readonly at: number
      readonly until: number
    }
  | { readonly type: 'operators-pruned'; readonly operatorIds: readonly NodeId[] }
  /** A whole record, from a snapshot. */
  | { readonly type: 'operator-restored'; readonly operator: OperatorRecord }

/** People and tools; far more than should have such rights. */
export const MAX_OPERATORS = 1024

/** For a person's name and what they are there for. */
export const MAX_OPERATOR_NAME_LENGTH = 128

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** The operator's record, also while its eviction is remembered, or `null`. */
export const operatorWithId = (state: Operators, operatorId: string): OperatorRecord | null =>
  lookUp(state.records, operatorId)

/** All operators, the oldest first. */
export const listOperators = (state: Operators): readonly OperatorRecord[] =>
  [...valuesOf(state.records)].sort((a, b) => a.admittedAt - b.admittedAt || byText(a.operatorId, b.operatorId))

const evicted = (): IdentityError =>
  new IdentityError('OPERATOR_EVICTED', 'this operator was evicted; admit them again under a fresh id')

function known(state: Operators, operatorId: string): OperatorRecord {
  const record = operatorWithId(state, operatorId)
  if (record === null)
    throw new IdentityError('OPERATOR_UNKNOWN', 'no operator has that id; list the operators and use one of their ids')
  return record
}

function admit(state: Operators, command: OperatorCommand & { type: 'admit' }): readonly OperatorEvent[] {
  const { operatorId, name, now } = command
  if (name.length > MAX_OPERATOR_NAME_LENGTH)
    throw new RangeError(`an operator's name has at most ${MAX_OPERATOR_NAME_LENGTH} characters, got ${name.length}`)
  const present = operatorWithId(state, operatorId)
  if (present !== null && present.eviction !== null) throw evicted()
  if (present?.name === name) return []
  if (present !== null)
    throw new IdentityError('OPERATOR_EXISTS', 'another operator has that id; admit this one under a fresh id')
  if (state.records.size >= MAX_OPERATORS)
    throw new IdentityError('OPERATORS_FULL', `there are ${MAX_OPERATORS} operators already; evict those who left`)
  return [{ type: 'operator-admitted', operatorId, name, at: now }]
}

function record(state: Operators, command: OperatorCommand & { type: 'record-certificate' }): readonly OperatorEvent[] {
  const { operatorId, serial, notAfter } = command
  const { eviction, certificates } = known(state, operatorId)
  if (eviction !== null) throw evicted()
  if (certificates.some((each) => each.serial === serial)) return []
  return [{ type: 'operator-certificate-recorded', operatorId, serial, notAfter }]
}

function evict(state: Operators, command: OperatorCommand & { type: 'evict' }): readonly OperatorEvent[] {
  const { operatorId, reason, now } = command
  if (reason.length > MAX_REASON_LENGTH)
    throw new RangeError(`an eviction's reason has at most ${MAX_REASON_LENGTH} characters, got ${reason.length}`)
  const { eviction, certificates } = known(state, operatorId)
  if (eviction !== null) return []
  const last = Math.max(now, ...certificates.map(({ notAfter }) => notAfter))
  return [{ type: 'operator-evicted', operatorId, reason, at: now, until: last + EVICTION_MARGIN_MS }]
}

function decide(state: Operators, command: OperatorCommand): readonly OperatorEvent[] {
  switch (command.type) {
    case 'admit':
      return admit(state, command)
    case 'record-certificate':
      return record(state, command)
    case 'evict':
      return evict(state, command)
    case 'prune': {
      const due = listOperators(state).filter(({ eviction }) => eviction !== null && eviction.until < command.now)
      return due.length === 0
        ? []
        : [{ type: 'operators-pruned', operatorIds: due.map(({ operatorId }) => operatorId) }]
    }
  }
}

const withRecord = (state: Operators, operator: OperatorRecord): Operators => ({
  records: withEntry(state.records, operator.operatorId, operator),
})

function evolve(state: Operators, event: OperatorEvent): Operators {
  switch (event.type) {
    case 'operator-admitted': {
      const { operatorId, name, at } = event
      return withRecord(state, { operatorId, name, admittedAt: at, certificates: [], eviction: null })
    }
    case 'operator-certificate-recorded': {
      const { operatorId, serial, notAfter } = event
      const operator = known(state, operatorId)
      const certificates = [...operator.certificates, { serial, notAfter }].slice(-MAX_LIVE_CERTIFICATES)
      return withRecord(state, { ...operator, certificates })
    }
    case 'operator-evicted': {
      const { operatorId, reason, at, until } = event
      return withRecord(state, { ...known(state, operatorId), eviction: { reason, at, until } })
    }
    case 'operators-pruned':
      return {
        records: event.operatorIds.reduce((records, id) => withoutEntry(records, id), state.records),
      }
    case 'operator-restored':
      return withRecord(state, event.operator)
  }
}

/**
 * The operators of a cluster, as a decider. The refusals of `decide` are {@link IdentityError}s: `OPERATOR_EXISTS`, `OPERATOR_UNKNOWN`,
 * `OPERATOR_EVICTED` for everything about one who was evicted, and `OPERATORS_FULL`.
 */
export const operators: Decider<Operators, OperatorCommand, OperatorEvent> = {
  initial: { records: emptyShardedMap() },
  decide,
  evolve,
}

/** The fewest events that lead to `state`, for a snapshot. */
export function* operatorEvents(state: Operators): Generator<OperatorEvent, void, void> {
  for (const operator of listOperators(state)) yield { type: 'operator-restored', operator }
}

const SECOND_MS = 1000

/** What an operator's eviction means for the lists that are pushed to every peer; `null` for other events. */
export function evictionFromOperator(event: OperatorEvent): Eviction | null {
  if (event.type !== 'operator-evicted') return null
  return {
    kind: 'node',
    nodeId: event.operatorId,
    reason: 'privilege-withdrawn',
    at: Math.floor(event.at / SECOND_MS) * SECOND_MS,
    until: Math.ceil(event.until / SECOND_MS) * SECOND_MS,
  }
}

/**
 * Passes operators who are admitted now, with a certificate that was recorded for them.
 *
 * @param readState - Gives the current operators; called once for each decision.
 * @returns A check that throws `PEER_EVICTED`, or `PEER_UNKNOWN` for an operator or a certificate that nobody recorded.
 */
export function activeOperator(readState: () => Operators): (operator: OperatorIdentity) => void {
  return ({ operatorId, serial }) => {
    const found = operatorWithId(readState(), operatorId)
    if (found !== null && found.eviction !== null)
      throw new IdentityError('PEER_EVICTED', 'the operator was evicted; they must be admitted again under a fresh id')
    if (found?.certificates.some((each) => each.serial === serial) !== true)
      throw new IdentityError(
        'PEER_UNKNOWN',
        'no operator of this cluster has this certificate; get one from a manager',
      )
  }
}
