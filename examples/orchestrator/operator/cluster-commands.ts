import { formatDuration, parseDuration } from '../duration.ts'
import { OrchestratorError } from '../errors.ts'
import type { AutolockAnswer, BundleAnswer, CaAnswer, CrlAnswer, IssuerAnswer, StatusAnswer } from './answers.ts'
import { command, type OperatorCommand, textOf } from './command.ts'
import { instant, table } from './table.ts'

const MAX_UNLOCK_INPUT_BYTES = 256

const KEY_PLACES = {
  elsewhere: 'with another manager',
  'external-ca': 'with an external ca',
  file: 'in a file of this manager',
  hsm: 'in an hsm',
  log: 'held by the managers',
} as const

function keyPlaceOf({ externalCa, rootKey }: CaAnswer): string {
  if (externalCa === null) return KEY_PLACES[rootKey]
  const { addresses, putOff } = externalCa
  const waiting = putOff.requests === 0 ? '' : `; ${putOff.requests} request(s) wait: ${putOff.code ?? 'not tried yet'}`
  return `outside, with ${addresses.join(', ')}${waiting}`
}

/** With these a manager has said that it left its keys as they are, or was never asked. */
const NOT_LOCKED_ANEW: ReadonlySet<string> = new Set([
  'ALREADY_LOCKED',
  'DATA_DIRECTORY_FOREIGN',
  'LOCKED',
  'MANAGER_NOT_RUNNING',
  'NOT_LOCKED',
  'STARTING',
  'UNLOCK_KEY_MALFORMED',
  'USAGE',
])

export const clusterCommands: readonly OperatorCommand[] = [
  command<StatusAnswer>({
    name: 'status',
    usage: 'status',
    summary: 'say whether the manager is ready, locked, or read-only after a write that failed',
    positionals: 0,
    ask: () => ({ path: 'status' }),
    // Before it is unlocked a manager does not know the rest.
    show: ({ state, clusterId, nodeId, address }) =>
      clusterId === '' ? state : `${state}  cluster ${clusterId}  node ${nodeId}  at ${address}`,
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
        `key           ${keyPlaceOf(ca)}`,
        `workers       signed for with ${ca.issueFrom === 'root' ? 'the root' : 'an intermediate of this manager'}`,
        '',
        ca.certificate.trimEnd(),
      ].join('\n'),
  }),
  command<readonly IssuerAnswer[]>({
    name: 'ca issuers',
    usage: 'ca issuers',
    summary: 'list the managers that issue from an intermediate of their own',
    positionals: 0,
    ask: () => ({ path: 'ca/issuers' }),
    show: (issuers) =>
      table(
        ['MANAGER', 'INTERMEDIATE', 'ENDS', 'WAITS SINCE'],
        issuers.map(({ manager, serial, notAfter, askedAt }) => [
          manager,
          serial ?? '-',
          notAfter === null ? '-' : instant(notAfter),
          askedAt === null ? '-' : instant(askedAt),
        ]),
      ),
  }),
  command<BundleAnswer>({
    name: 'ca bundle',
    usage: 'ca bundle',
    summary: 'print the trust bundle of the cluster in the form of SPIFFE, to be published',
    positionals: 0,
    ask: () => ({ path: 'ca/bundle' }),
    show: ({ bundle }) => bundle.trimEnd(),
  }),
  command<CrlAnswer>({
    name: 'cluster crl',
    usage: 'cluster crl [--valid 1d]',
    summary: 'print the list of certificates that are refused, for software that reads CRLs',
    options: { valid: { type: 'string' } },
    positionals: 0,
    ask: (given) => {
      const valid = textOf(given, 'valid')
      return { path: 'cluster/crl', body: { lifeMs: valid === undefined ? null : parseDuration(valid) } }
    },
    show: ({ pem }) => pem.trimEnd(),
  }),
  command<AutolockAnswer>({
    name: 'autolock',
    usage: 'autolock on|rotate|off',
    summary:
      'wrap the keys of the manager under an unlock key that it does not keep; on and rotate show the key this once',
    positionals: 1,
    ask: async (given) => {
      const mode = given.positionals[0]
      if (mode !== 'on' && mode !== 'off' && mode !== 'rotate')
        throw new OrchestratorError('USAGE', 'say autolock on, rotate or off')
      if (mode === 'off') return { path: 'autolock/off' }
      // Made here and not by the manager: if that dies before it answers, nobody would have the key that its disk is under.
      const [{ createUnlockKey, formatUnlockKey }, { systemRandom }] = await Promise.all([
        import('@leastwise/tokens'),
        import('@leastwise/tokens/node'),
      ])
      using key = createUnlockKey(systemRandom)
      return { path: `autolock/${mode}`, body: { unlockKey: formatUnlockKey(key) } }
    },
    showUnsure: ({ body }, code) => {
      const made =
        body instanceof Uint8Array ? null : ((body as { readonly unlockKey?: string } | undefined)?.unlockKey ?? null)
      return made === null || (code !== null && NOT_LOCKED_ANEW.has(code))
        ? null
        : `${made}\n\nThe manager may have taken this unlock key before that: keep it until ca info and a restart show whether it did.`
    },
    show: (lock) =>
      lock.unlockKey === undefined
        ? 'autolock is off'
        : `${lock.unlockKey}\n\nAfter a restart the manager stays locked until it gets this key (leastwise-orchestrator unlock).\nIt is not stored anywhere: keep it safe. This is the only time that it is shown.${
            lock.oldKeyStays === undefined
              ? ''
              : `\n\nThe key of before could not be taken away yet (${lock.oldKeyStays}); the manager goes on trying, and says so in what it announces.`
          }`,
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
