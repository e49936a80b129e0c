import type { EvictionsAnswer, NodeAnswer, RoleAnswer } from './answers.ts'
import { command, type OperatorCommand } from './command.ts'
import { instant, table } from './table.ts'

const showRole = ({ id, role, cutSessions }: RoleAnswer): string => `${id}  ${role}  ${cutSessions} connection(s) cut`

export const nodeCommands: readonly OperatorCommand[] = [
  command<RoleAnswer>({
    name: 'node promote',
    usage: 'node promote NODE',
    summary: 'make a node a manager: its certificates from before are refused at once, and it gets a new one',
    positionals: 1,
    ask: (given) => ({ path: 'node/promote', body: { node: given.positionals[0] } }),
    show: showRole,
  }),
  command<RoleAnswer>({
    name: 'node demote',
    usage: 'node demote NODE',
    summary: 'make a manager a worker, at once: also the log is closed to it',
    positionals: 1,
    ask: (given) => ({ path: 'node/demote', body: { node: given.positionals[0] } }),
    show: showRole,
  }),
  command<EvictionsAnswer>({
    name: 'node evictions',
    usage: 'node evictions',
    summary: 'list the nodes and certificates that are refused, and until when that is remembered',
    positionals: 0,
    ask: () => ({ path: 'node/evictions', body: {} }),
    show: ({ nodes, certificates }) =>
      table(
        ['NODE OR SERIAL', 'REASON', 'SINCE', 'REMEMBERED UNTIL'],
        [
          ...nodes.map(({ id, reason, at, until }) => [id, reason, instant(at), instant(until)]),
          ...certificates.map(({ serial, reason, at, until }) => [serial, reason, instant(at), instant(until)]),
        ],
      ),
  }),
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
