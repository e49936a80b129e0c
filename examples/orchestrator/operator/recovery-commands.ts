import { formatDuration, parseDuration } from '../duration.ts'
import type { ApprovedAnswer, ClusterSettingsAnswer, WaitingNodeAnswer } from './answers.ts'
import { command, type OperatorCommand, textOf } from './command.ts'
import { instant, table } from './table.ts'

const NO_GRACE = 'none'

const show = ({ nodeCertificateLifetimeMs, recoveryGraceMs, overlong }: ClusterSettingsAnswer): string =>
  [
    `certificates    ${formatDuration(nodeCertificateLifetimeMs)}${overlong === 0 ? '' : `, ${overlong} node(s) have a longer one and renew`}`,
    `recovery grace  ${recoveryGraceMs === 0 ? 'none' : formatDuration(recoveryGraceMs)}`,
  ].join('\n')

const string = { type: 'string' } as const

export const recoveryCommands: readonly OperatorCommand[] = [
  command<ClusterSettingsAnswer>({
    name: 'cluster update',
    usage: 'cluster update [--cert-lifetime 30d] [--recovery-grace 7d|none]',
    summary:
      'change how long certificates live, at once for all nodes, and how late an expired node comes back by itself',
    options: { 'cert-lifetime': string, 'recovery-grace': string },
    positionals: 0,
    ask: (given) => {
      const lifetime = textOf(given, 'cert-lifetime')
      const grace = textOf(given, 'recovery-grace')
      return {
        path: 'cluster/update',
        body: {
          certLifetimeMs: lifetime === undefined ? null : parseDuration(lifetime),
          recoveryGraceMs: grace === undefined ? null : grace === NO_GRACE ? 0 : parseDuration(grace),
        },
      }
    },
    show,
  }),
  command<ClusterSettingsAnswer>({
    name: 'cluster settings',
    usage: 'cluster settings',
    summary: 'show both',
    positionals: 0,
    ask: () => ({ path: 'cluster/settings' }),
    show,
  }),
  command<readonly WaitingNodeAnswer[]>({
    name: 'node waiting',
    usage: 'node waiting',
    summary: 'list the nodes that came back too late and wait for approval',
    positionals: 0,
    ask: () => ({ path: 'node/waiting' }),
    show: (nodes) =>
      table(
        ['ID', 'ROLE', 'EXPIRED', 'ASKED', 'APPROVED UNTIL'],
        nodes.map(({ id, role, notAfter, askedAt, approvedUntil }) => [
          id,
          role,
          instant(notAfter),
          instant(askedAt),
          instant(approvedUntil),
        ]),
      ),
  }),
  command<ApprovedAnswer>({
    name: 'node approve',
    usage: 'node approve NODE',
    summary: 'let a node that waits have its identity again, by the key that it had; it has a day to come',
    positionals: 1,
    ask: (given) => ({ path: 'node/approve', body: { node: given.positionals[0] } }),
    show: ({ id, until }) => `${id}  approved until ${instant(until)}`,
  }),
]
