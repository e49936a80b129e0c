import type { NodeAnswer } from './answers.ts'
import { command, type OperatorCommand } from './command.ts'
import { instant, table } from './table.ts'

export const nodeCommands: readonly OperatorCommand[] = [
  command<readonly NodeAnswer[]>({
    name: 'node ls',
    usage: 'node ls',
    summary: 'list the members of the cluster',
    positionals: 0,
    ask: () => ({ path: 'node/ls' }),
    show: (nodes) =>
      table(
        ['ID', 'ROLE', 'STATE', 'CERTIFICATE', 'VALID UNTIL', 'SERIAL'],
        nodes.map((node) => [
          node.thisManager ? `${node.id} *` : node.id,
          node.role,
          node.state,
          node.certificate,
          instant(node.notAfter),
          node.serial,
        ]),
      ),
  }),
  command<{ readonly id: string }>({
    name: 'node renew',
    usage: 'node renew NODE',
    summary: 'ask a node to renew its certificate now, with a new key',
    positionals: 1,
    ask: (given) => ({ path: 'node/renew', body: { node: given.positionals[0] } }),
    show: (asked) => asked.id,
  }),
  command<{ readonly id: string; readonly cutSessions: number }>({
    name: 'node rm',
    usage: 'node rm NODE',
    summary: 'throw a node out: its connections are cut and its certificate is refused from now on',
    positionals: 1,
    ask: (given) => ({ path: 'node/rm', body: { node: given.positionals[0] } }),
    show: (removed) => `${removed.id}  ${removed.cutSessions} connection(s) cut`,
  }),
]
