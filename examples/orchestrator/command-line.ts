import { type ParseArgsConfig, parseArgs } from 'node:util'
import { codeOf, OrchestratorError, publicFace } from './errors.ts'
import { backupCommands } from './operator/backup-commands.ts'
import { callManager, RefusedError } from './operator/client.ts'
import { clusterCommands } from './operator/cluster-commands.ts'
import type { Given, OperatorCommand } from './operator/command.ts'
import { nodeCommands } from './operator/node-commands.ts'
import { identityCommands } from './operator/operator-commands.ts'
import { recoveryCommands } from './operator/recovery-commands.ts'
import { rootCommands } from './operator/root-commands.ts'
import { secretCommands } from './operator/secret-commands.ts'
import { readStandardInput } from './operator/standard-input.ts'
import { targetOf, targetOptions } from './operator/target.ts'
import { taskCommands } from './operator/task-commands.ts'
import { tokenCommands } from './operator/token-commands.ts'
import { ownCaOptions } from './own-ca.ts'
import { print } from './print.ts'

const operatorCommands: readonly OperatorCommand[] = [
  ...clusterCommands,
  ...backupCommands,
  ...tokenCommands,
  ...nodeCommands,
  ...identityCommands,
  ...rootCommands,
  ...recoveryCommands,
  ...secretCommands,
  ...taskCommands,
]

const USAGE = [
  'leastwise-orchestrator: a small orchestrator made of the Leastwise packages',
  '',
  'processes (run until stopped)',
  '  manager --data DIR --listen HOST:PORT [--advertise HOST:PORT] [--operator-listen HOST:PORT]',
  '      [--anchor FILE [--accept-rolled-back-log EPOCH]]  a file elsewhere that remembers how far the log had come',
  '      [--ca-cert FILE --ca-key FILE]  found it on a root of your own, or an intermediate followed by its root',
  '      with several managers: --engine etcd --etcd https://HOST:PORT,... --etcd-ca FILE --etcd-cert FILE --etcd-key FILE',
  '      [--etcd-name NAME], and for all but the first: --join HOST:PORT,... [--token TOKEN | --token-file FILE]',
  '      with the key of the root elsewhere: --external-ca https://HOST:PORT,... [--external-ca-root FILE, to found the cluster]',
  '      [--external-ca-server-root FILE] [--external-ca-client-cert FILE --external-ca-client-key FILE]',
  '      [--external-ca-auth-key-file FILE] [--external-ca-for-next-root]',
  '      with the key of the root in an HSM: --hsm-library FILE --hsm-token LABEL --hsm-key LABEL --hsm-pin-file FILE',
  '      with the key of the root in a file of this machine alone: --root-key-file FILE',
  '      [--issue-from intermediate]  sign for workers with an intermediate of its own; the key of the root may be elsewhere',
  '      [--spiffe-trust-domain DOMAIN]  nodes are workloads spiffe://DOMAIN/node/ID',
  '      [--dangerously-expose-manager-to-the-internet]',
  '  worker --data DIR --join HOST:PORT [--token TOKEN | --token-file FILE] [--secrets DIR]',
  '      [--serve HOST:PORT]  a service of its own for the other nodes, which says who asks and lets no evicted one in',
  '  restore FILE --data DIR [--engine etcd ...] < UNLOCK-KEY   makes a manager out of a backup, and ends',
  '',
  'operator, to the manager whose data directory is --data DIR (or $LEASTWISE_DATA), or from afar with',
  '--manager HOST:PORT --identity FILE; --json prints for machines',
  '  operator request --identity FILE\n      make a key in a new file, and print the request for operator issue',
  ...operatorCommands.map((command) => `  ${command.usage}\n      ${command.summary}`),
].join('\n')

function readOptions(args: readonly string[], options: NonNullable<ParseArgsConfig['options']>): Given {
  const end = args.indexOf('--')
  const mine = end < 0 ? args : args.slice(0, end)
  const { values, positionals, tokens } = parse(mine, options)
  const seen = new Set<string>()
  for (const token of tokens) {
    if (token.kind !== 'option' || options[token.name]?.multiple === true) continue
    // Which of two values was meant is for nobody here to guess.
    if (seen.has(token.name))
      throw new OrchestratorError('USAGE', `the option --${token.name} is given twice; give it once`)
    seen.add(token.name)
  }
  if (positionals.includes(''))
    throw new OrchestratorError('USAGE', 'a word of the command is empty; is a variable not set?')
  return { options: values as Given['options'], positionals, rest: end < 0 ? [] : args.slice(end + 1) }
}

function parse(args: readonly string[], options: NonNullable<ParseArgsConfig['options']>) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true, tokens: true })
  } catch (error) {
    // Only the option's name is echoed, never a value that was given.
    const name = error instanceof Error ? /'(--?[a-z-]+)/.exec(error.message)?.[1] : undefined
    throw new OrchestratorError(
      'USAGE',
      `the option ${name ?? 'given'} is unknown here or lacks its value; see leastwise-orchestrator help`,
    )
  }
}

const findCommand = (args: readonly string[]): OperatorCommand | undefined =>
  operatorCommands.find((command) => command.name.split(' ').every((word, at) => args[at] === word))

/** What belongs to a task behind `--` is not for us. */
const asksForHelp = (args: readonly string[]): boolean => {
  const end = args.indexOf('--')
  return (end < 0 ? args : args.slice(0, end)).some((word) => word === '--help' || word === '-h')
}

async function runOperator(command: OperatorCommand, args: readonly string[]): Promise<number> {
  const given = readOptions(args, {
    ...command.options,
    ...targetOptions,
    json: { type: 'boolean' },
  })
  const words = given.positionals
  if (words.length !== command.positionals || (given.rest.length > 0 && command.takesRest !== true)) {
    throw new OrchestratorError('USAGE', `usage: leastwise-orchestrator ${command.usage}`)
  }
  const target = await targetOf(given)
  const call = await command.ask(given, readStandardInput)
  try {
    const answer = await callManager(target, call)
    await print(given.options['json'] === true ? JSON.stringify(answer) : command.show(answer as never))
  } catch (error) {
    const unsure = command.showUnsure?.(call, codeOf(error)) ?? null
    if (unsure !== null) process.stderr.write(`${unsure}\n`)
    throw error
  }
  return 0
}

const string = { type: 'string' } as const
const MAX_UNLOCK_INPUT_BYTES = 256

async function dispatch(args: readonly string[]): Promise<number> {
  if (args[0] === 'manager') {
    const { runManager } = await import('./manager/run.ts')
    const { anchorOptions } = await import('./manager/anchor-settings.ts')
    const { etcdOptions } = await import('./manager/etcd/settings.ts')
    const { hsmOptions } = await import('./manager/root/hsm/settings.ts')
    const { externalCaOptions, FOR_NEXT_ROOT } = await import('./manager/root/external-ca/settings.ts')
    const { TRUST_DOMAIN } = await import('./manager/spiffe/trust-domain.ts')
    const { ROOT_KEY_FILE } = await import('./manager/root/key-file/root-key-file.ts')
    const { ISSUE_FROM } = await import('./manager/issuing/issue-from.ts')
    const given = readOptions(args.slice(1), {
      data: string,
      listen: string,
      'operator-listen': string,
      advertise: string,
      'dangerously-expose-manager-to-the-internet': { type: 'boolean' },
      [FOR_NEXT_ROOT]: { type: 'boolean' },
      [ISSUE_FROM]: string,
      [ROOT_KEY_FILE]: string,
      [TRUST_DOMAIN]: string,
      ...Object.fromEntries(
        [...ownCaOptions, ...hsmOptions, ...etcdOptions, ...anchorOptions, ...externalCaOptions].map(
          (option) => [option, string] as const,
        ),
      ),
      join: string,
      token: string,
      'token-file': string,
      json: { type: 'boolean' },
    })
    return await runManager(given)
  }
  if (args[0] === 'worker') {
    const { runWorker } = await import('./worker/run.ts')
    const options = {
      data: string,
      join: string,
      token: string,
      'token-file': string,
      secrets: string,
      serve: string,
      json: { type: 'boolean' },
    } as const
    return await runWorker(readOptions(args.slice(1), options))
  }
  if (args[0] === 'restore') {
    const { restoreManager } = await import('./manager/backup/restore.ts')
    const { etcdOptions, etcdSettings } = await import('./manager/etcd/settings.ts')
    const given = readOptions(args.slice(1), {
      data: string,
      ...Object.fromEntries(etcdOptions.map((option) => [option, string] as const)),
      json: { type: 'boolean' },
    })
    const { options, positionals } = given
    const [file, ...more] = positionals
    const data = options['data']
    if (file === undefined || more.length > 0 || typeof data !== 'string')
      throw new OrchestratorError(
        'USAGE',
        'usage: leastwise-orchestrator restore FILE --data DIR [--engine etcd ...] < UNLOCK-KEY',
      )
    const etcd = etcdSettings(given)
    const unlockKey = await readStandardInput(MAX_UNLOCK_INPUT_BYTES)
    const restored = await restoreManager(data, file, { unlockKey, etcd, signal: new AbortController().signal })
    const words = `cluster ${restored.clusterId}  node ${restored.nodeId}  up to entry ${restored.entries}`
    await print(options['json'] === true ? JSON.stringify(restored) : words)
    return 0
  }
  if (args[0] === 'operator' && args[1] === 'request') {
    const { requestIdentity } = await import('./operator/remote/request.ts')
    return await requestIdentity(readOptions(args.slice(2), { identity: string, json: { type: 'boolean' } }))
  }
  if (args[0] === 'help' || args[0] === '--help' || args[0] === '-h') {
    await print(USAGE)
    return 0
  }
  const command = findCommand(args)
  if (command !== undefined && asksForHelp(args)) {
    await print(`usage: leastwise-orchestrator ${command.usage}\n\n${command.summary}`)
    return 0
  }
  if (command === undefined) throw new OrchestratorError('USAGE', 'no such command; see leastwise-orchestrator help')
  return await runOperator(command, args.slice(command.name.split(' ').length))
}

/** @returns the exit code: 0 done, 1 refused or failed, 2 the command line is wrong. */
export async function run(args: readonly string[]): Promise<number> {
  try {
    return await dispatch(args)
  } catch (error) {
    const face = error instanceof RefusedError ? { code: error.code, message: error.message } : publicFace(error)
    const end = args.indexOf('--')
    if ((end < 0 ? args : args.slice(0, end)).includes('--json'))
      process.stdout.write(`${JSON.stringify({ error: face })}\n`)
    process.stderr.write(`leastwise-orchestrator: ${face.code}: ${face.message}\n`)
    if (face.code === 'INTERNAL')
      process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : 'unknown'}\n`)
    return codeOf(error) === 'USAGE' ? 2 : 1
  }
}
