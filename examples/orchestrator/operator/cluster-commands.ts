import { formatDuration } from '../duration.ts'
import { OrchestratorError } from '../errors.ts'
import type { AutolockAnswer, CaAnswer, StatusAnswer } from './answers.ts'
import { command, type OperatorCommand } from './command.ts'
import { instant } from './table.ts'

const MAX_UNLOCK_INPUT_BYTES = 256

export const clusterCommands: readonly OperatorCommand[] = [
  command<StatusAnswer>({
    name: 'status',
    usage: 'status',
    summary: 'say whether the manager is ready or locked',
    positionals: 0,
    ask: () => ({ path: 'status' }),
    show: (status) => `${status.state}  cluster ${status.clusterId}  node ${status.nodeId}  at ${status.address}`,
  }),
  command<CaAnswer>({
    name: 'ca info',
    usage: 'ca info',
    summary: 'show the root certificate and what hangs on it',
    positionals: 0,
    ask: () => ({ path: 'ca/info' }),
    show: (ca) =>
      [
        `cluster       ${ca.clusterId}`,
        `root          ${ca.subject}`,
        `fingerprint   ${ca.fingerprint}`,
        `token digest  ${ca.trustDigest}`,
        `valid         ${instant(ca.notBefore)} to ${instant(ca.notAfter)}`,
        `certificates  ${formatDuration(ca.nodeCertificateLifetimeMs)}`,
        `autolock      ${ca.autolock ? 'on' : 'off'}`,
        '',
        ca.certificate.trimEnd(),
      ].join('\n'),
  }),
  command<AutolockAnswer>({
    name: 'autolock',
    usage: 'autolock on|rotate|off',
    summary:
      'wrap the keys of the manager under an unlock key that it does not keep; on and rotate show the key this once',
    positionals: 1,
    ask: (given) => {
      const mode = given.positionals[0]
      if (mode !== 'on' && mode !== 'off' && mode !== 'rotate')
        throw new OrchestratorError('USAGE', 'say autolock on, rotate or off')
      return { path: `autolock/${mode}` }
    },
    show: (lock) =>
      lock.unlockKey === undefined
        ? 'autolock is off'
        : `${lock.unlockKey}\n\nAfter a restart the manager stays locked until it gets this key (leastwise-orchestrator unlock).\nIt is not stored anywhere: keep it safe. This is the only time that it is shown.`,
  }),
  command<StatusAnswer>({
    name: 'unlock',
    usage: 'unlock < UNLOCK-KEY',
    summary: 'give a locked manager its unlock key, on standard input',
    positionals: 0,
    ask: async (_given, readInput) => ({ path: 'unlock', body: await readInput(MAX_UNLOCK_INPUT_BYTES) }),
    show: (status) => `unlocked, ${status.state}`,
  }),
]
