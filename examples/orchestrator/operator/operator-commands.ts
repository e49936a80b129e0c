import { parseDuration } from '../duration.ts'
import { OrchestratorError } from '../errors.ts'
import { namedFile } from '../named-file.ts'
import type { OperatorAnswer, OperatorIdentityAnswer } from './answers.ts'
import { command, type Given, type OperatorCommand, textOf } from './command.ts'
import { instant, table } from './table.ts'

function csrOf(given: Given): string {
  const csr = namedFile(given, 'csr')
  if (csr === null) throw new OrchestratorError('USAGE', 'name the request of the operator with --csr FILE')
  return csr
}

export const identityCommands: readonly OperatorCommand[] = [
  command<OperatorIdentityAnswer>({
    name: 'operator issue',
    usage: 'operator issue NAME --csr FILE [--valid 8h]',
    summary: 'give a person or a tool an identity for this cluster; append what is printed to their identity file',
    options: { csr: { type: 'string' }, valid: { type: 'string' } },
    positionals: 1,
    ask: (given) => {
      const valid = textOf(given, 'valid')
      const lifetimeMs = valid === undefined ? null : parseDuration(valid)
      return { path: 'operator/issue', body: { name: given.positionals[0], csr: csrOf(given), lifetimeMs } }
    },
    show: ({ certificate, trustBundle }) => (certificate + trustBundle).trimEnd(),
  }),
  command<readonly OperatorAnswer[]>({
    name: 'operator ls',
    usage: 'operator ls',
    summary: 'list those who have an identity of an operator',
    positionals: 0,
    ask: () => ({ path: 'operator/ls' }),
    show: (operators) =>
      table(
        ['ID', 'NAME', 'STATE', 'VALID UNTIL'],
        operators.map(({ id, name, state, notAfter }) => [id, name, state, instant(notAfter)]),
      ),
  }),
  command<{ readonly id: string }>({
    name: 'operator rm',
    usage: 'operator rm OPERATOR',
    summary: 'take the rights of an operator away, at once and at every manager',
    positionals: 1,
    ask: (given) => ({ path: 'operator/rm', body: { operator: given.positionals[0] } }),
    show: ({ id }) => id,
  }),
]
