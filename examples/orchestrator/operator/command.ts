import type { ParseArgsConfig } from 'node:util'
import type { OperatorCall } from './client.ts'

/** What a command line said, after parsing. */
export interface Given {
  readonly options: Readonly<Record<string, string | readonly string[] | boolean | undefined>>
  readonly positionals: readonly string[]
  /** Everything after `--`. */
  readonly rest: readonly string[]
}

/** One operator command: how to read it, what to ask the manager, how to show the answer. */
export interface OperatorCommand {
  readonly name: string
  readonly usage: string
  readonly summary: string
  readonly options?: NonNullable<ParseArgsConfig['options']>
  /** How many words may follow the name, exactly. */
  readonly positionals: number
  readonly takesRest?: boolean
  readonly ask: (
    given: Given,
    readInput: (maxBytes: number) => Promise<Uint8Array>,
  ) => OperatorCall | Promise<OperatorCall>
  readonly show: (answer: never) => string
  /** What has to be known although the call failed with `code`, since it may have been done; null if there is nothing. */
  readonly showUnsure?: (call: OperatorCall, code: string | null) => string | null
}

/** A command whose answer has this type. */
export interface CommandOf<Answer> extends Omit<OperatorCommand, 'show'> {
  readonly show: (answer: Answer) => string
}

/** An {@link OperatorCommand} that was written against the type of its answer. */
export const command = <Answer>(spec: CommandOf<Answer>): OperatorCommand => spec

export const textOf = (given: Given, option: string): string | undefined => {
  const value = given.options[option]
  return typeof value === 'string' ? value : undefined
}

export const listOf = (given: Given, option: string): readonly string[] => {
  const value = given.options[option]
  return value === undefined || typeof value === 'boolean' ? [] : typeof value === 'string' ? [value] : value
}
