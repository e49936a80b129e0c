import {
  type EvictionBook,
  type EvictionEvent,
  evictionBook,
  evictionFromOperator,
  type OperatorCommand,
  type OperatorEvent,
  type Operators,
  operators,
} from '@leastwise/identity'

export type OperatorsChange =
  | { readonly part: 'operators'; readonly event: OperatorEvent }
  | { readonly part: 'evictions'; readonly event: EvictionEvent }

interface Parts {
  readonly operators: Operators
  readonly evictions: EvictionBook
}

/** Decides about operators, and enters in the book of evictions what follows from it: in the same entry of the log. */
export function decideOperators(parts: Parts, command: OperatorCommand): readonly OperatorsChange[] {
  const events = operators.decide(parts.operators, command)
  const evictions = events.map(evictionFromOperator).filter((eviction) => eviction !== null)
  return [
    ...events.map((event) => ({ part: 'operators', event }) as const),
    ...evictionBook
      .decide(parts.evictions, { type: 'add', evictions })
      .map((event) => ({ part: 'evictions', event }) as const),
  ]
}
