import { OrchestratorError } from '../errors.ts'
import type { SecretAnswer } from './answers.ts'
import { command, listOf, type OperatorCommand } from './command.ts'
import { instant, table } from './table.ts'

/** One byte over the largest secret, so that the manager is the one to refuse it. */
const MAX_INPUT_BYTES = 512_000

function parseLabels(labels: readonly string[]): Record<string, string> {
  const pairs = labels.map((label) => {
    const at = label.indexOf('=')
    if (at < 1) throw new OrchestratorError('USAGE', 'a label is written KEY=VALUE')
    return [label.slice(0, at), label.slice(at + 1)] as const
  })
  if (new Set(pairs.map(([key]) => key)).size < pairs.length)
    throw new OrchestratorError('USAGE', 'two labels have the same key; give each key once')
  return Object.fromEntries(pairs)
}

export const secretCommands: readonly OperatorCommand[] = [
  command<SecretAnswer>({
    name: 'secret create',
    usage: 'secret create NAME [--label KEY=VALUE ...] < VALUE',
    summary: 'keep a secret; its value is standard input, byte for byte',
    options: { label: { type: 'string', multiple: true } },
    positionals: 1,
    ask: async (given, readInput) => ({
      path: 'secret/create',
      query: { name: given.positionals[0] ?? '', labels: JSON.stringify(parseLabels(listOf(given, 'label'))) },
      body: await readInput(MAX_INPUT_BYTES),
    }),
    show: (secret) => `${secret.id}  ${secret.name}  ${secret.sizeBytes} bytes`,
  }),
  command<readonly SecretAnswer[]>({
    name: 'secret ls',
    usage: 'secret ls',
    summary: 'list secrets, never their values',
    positionals: 0,
    ask: () => ({ path: 'secret/ls' }),
    show: (secrets) =>
      table(
        ['ID', 'NAME', 'BYTES', 'CREATED', 'USED BY'],
        secrets.map((secret) => [
          secret.id,
          secret.name,
          String(secret.sizeBytes),
          instant(secret.createdAt),
          String(secret.users.length),
        ]),
      ),
  }),
  command<SecretAnswer>({
    name: 'secret inspect',
    usage: 'secret inspect NAME|ID',
    summary: 'show what is known of a secret, never its value',
    positionals: 1,
    ask: (given) => ({ path: 'secret/inspect', body: { secret: given.positionals[0] } }),
    show: (secret) => JSON.stringify(secret, null, 2),
  }),
  command<{ readonly id: string }>({
    name: 'secret rm',
    usage: 'secret rm NAME|ID',
    summary: 'forget a secret that no task uses',
    positionals: 1,
    ask: (given) => ({ path: 'secret/rm', body: { secret: given.positionals[0] } }),
    show: (removed) => removed.id,
  }),
]
