import { parseArgs } from 'node:util'
import { RaftLogError } from '../../errors.ts'
import { isLogId } from '../../format/file-header.ts'
import { anyOf } from '../../keepers/any-of.ts'
import { isAnyOf, isClear } from '../../keys/key-wrapper.ts'
import { decodeKeyring } from '../../keys/keyring.ts'
import type { KeyStore, KeyWrapper } from '../../ports.ts'
import { inspectLog } from '../../tools/inspect-log.ts'
import type { RepairReport } from '../../tools/repair-log.ts'
import type { ToolKeys } from '../../tools/tool-parts.ts'
import { verifyLog } from '../../tools/verify-log.ts'
import { nodeCipherSuite } from '../cipher-suite.ts'
import { dataKeyCache } from '../data-key-cache.ts'
import { fileKeyStore } from '../file-key-store.ts'
import { nodeFiles } from '../node-files.ts'
import { systemClock, systemRandom } from '../system.ts'
import { formatInspected, formatJson, formatRepair, formatVerification } from './log-report.ts'
import { openSecret, type SecretSource } from './log-secret.ts'
import { repairDirectory } from './repair-directory.ts'

const NAME = 'leastwise-log'
const USAGE = [
  `usage: ${NAME} inspect DIR [--keys FILE] [SECRET] [--show-content] [--json]`,
  `       ${NAME} verify DIR --keys FILE [SECRET] [--cluster ID] [--log ID] [--no-lock] [--json]`,
  `       ${NAME} repair DIR --keys FILE [SECRET] --out NEW --salvage NEW [--cluster ID] [--log ID] [--no-lock] [--json]`,
  '',
  'Looks into the directory of a sealed log, proves it, or makes a whole one out of a damaged one.',
  '',
  '  --keys FILE             the key ring of the log',
  '  SECRET, if it is locked:',
  '    --unlock-key-file F   holds SWMKEY-1-..., or enough shares of it, one a line',
  '    --passphrase-file F   holds the passphrase; F is "-" for what is piped in',
  '  --show-content          print the content of entries',
  '  --cluster ID, --log ID  whose log it must be',
  '  --no-lock               for media that cannot be written, when nothing else uses the log',
  '  --out NEW               where the repaired log goes',
  '  --salvage NEW           where intact entries go that are not known to go on from it',
  '  --json                  print one JSON object a line',
  '  --help                  print this',
  '',
  'Exit code: 0 nothing is damaged, 1 something is, 2 wrong usage, or it could not be done.',
].join('\n')

/** Where the command reads and writes: whole texts with their line ends. */
export interface LogCommandWorld {
  readonly out: (text: string) => void
  readonly err: (text: string) => void
  /** Everything that is piped in. */
  readonly input: () => Promise<Uint8Array>
}

/** The exit code: 0 nothing is damaged, 1 something is, 2 wrong usage or not done. */
export type LogExitCode = 0 | 1 | 2

interface Asked {
  readonly directory: string
  readonly keys: string | undefined
  readonly secret: SecretSource
  readonly out: string | undefined
  readonly salvage: string | undefined
  readonly content: 'shown' | 'redacted'
  readonly lock: 'taken' | 'none'
  readonly clusterId: string | undefined
  readonly logId: string | undefined
  readonly json: boolean
  readonly world: LogCommandWorld
  readonly signal: AbortSignal
}

const JOBS = { inspect, verify, repair } as const
const isJob = (name: string | undefined): name is keyof typeof JOBS => name !== undefined && Object.hasOwn(JOBS, name)

/** The command `leastwise-log`. */
export async function runLogCommand(
  args: readonly string[],
  world: LogCommandWorld,
  { signal }: { readonly signal: AbortSignal },
): Promise<LogExitCode> {
  const complain = (text: string): LogExitCode => {
    world.err(`${NAME}: ${text}\n`)
    return 2
  }
  const read = readArguments(args)
  if (read?.help === true) {
    world.out(`${USAGE}\n`)
    return 0
  }
  // Nothing of the arguments is repeated: one of them may be a key that was pasted into the wrong place.
  if (read === null) return complain('an option is unknown or given twice; see --help')
  const [job, directory, ...more] = read.positionals
  if (!isJob(job) || directory === undefined || more.length > 0) {
    return complain('say inspect, verify or repair, and one directory; see --help')
  }
  if (job !== 'inspect' && read.asked.keys === undefined) return complain('this needs --keys; see --help')
  if (job === 'repair' && (read.asked.out === undefined || read.asked.salvage === undefined)) {
    return complain('a repair needs --out and --salvage; see --help')
  }
  if ([read.asked.clusterId, read.asked.logId].some((id) => id !== undefined && !isLogId(id))) {
    return complain('an id has 1 to 64 visible ASCII characters; see --cluster and --log')
  }
  try {
    return await JOBS[job]({ ...read.asked, directory, world, signal })
  } catch (error) {
    if (error instanceof RaftLogError) return complain(`${error.code}: ${error.message}`)
    if (error instanceof RangeError) return complain(error.message)
    throw error
  }
}

function readArguments(args: readonly string[]) {
  const flag = { type: 'boolean', default: false } as const
  const text = { type: 'string' } as const
  try {
    const { values, positionals, tokens } = parseArgs({
      args: [...args],
      options: {
        keys: text,
        'unlock-key-file': text,
        'passphrase-file': text,
        out: text,
        salvage: text,
        cluster: text,
        log: text,
        'show-content': flag,
        'no-lock': flag,
        json: flag,
        help: flag,
      },
      allowPositionals: true,
      tokens: true,
    })
    const given = tokens.flatMap((token) => (token.kind === 'option' ? [token.name] : []))
    if (new Set(given).size < given.length) return null
    const { 'unlock-key-file': key, 'passphrase-file': passphrase, keys, out, salvage, json, help } = values
    if (key !== undefined && passphrase !== undefined) return null
    const secret: SecretSource =
      key !== undefined
        ? { kind: 'unlock-key', path: key }
        : passphrase !== undefined
          ? { kind: 'passphrase', path: passphrase }
          : { kind: 'none' }
    const asked = {
      ...{ keys, secret, out, salvage, json },
      content: values['show-content'] ? ('shown' as const) : ('redacted' as const),
      lock: values['no-lock'] ? ('none' as const) : ('taken' as const),
      clusterId: values.cluster,
      logId: values.log,
    }
    return { asked, positionals, help }
  } catch {
    return null
  }
}

const MAX_KEYS = 2
const KEY_MAX_AGE_MS = 60 * 60 * 1000

/** The secret that was given, as one of several keepers if the ring has several. */
async function wrapperFor(store: Pick<KeyStore, 'load'>, { secret, world }: Asked): Promise<KeyWrapper> {
  const wrapper = await openSecret(secret, world.input)
  const bytes = isClear(wrapper.id) ? null : await store.load()
  return bytes !== null && isAnyOf(decodeKeyring(bytes).wrapperId) ? anyOf([wrapper]) : wrapper
}

async function toolKeys(asked: Asked): Promise<ToolKeys> {
  const store = fileKeyStore(asked.keys ?? '')
  return {
    store,
    wrapper: await wrapperFor(store, asked),
    cache: dataKeyCache({ maxKeys: MAX_KEYS, maxAgeMs: KEY_MAX_AGE_MS, clock: systemClock }),
    random: systemRandom,
  }
}

/** Whether the ring opens without a secret; one that does not read opens with none. */
async function isLocked({ load }: Pick<KeyStore, 'load'>): Promise<boolean> {
  try {
    const bytes = await load()
    return bytes === null || !isClear(decodeKeyring(bytes).wrapperId)
  } catch (error) {
    if (error instanceof RaftLogError) return true
    throw error
  }
}

async function inspect(asked: Asked): Promise<LogExitCode> {
  const { directory, world, content, clusterId, logId, signal } = asked
  const ring = asked.keys === undefined ? null : fileKeyStore(asked.keys)
  // Without the secret of a locked ring there is still something to see.
  const isBlind = ring === null || (asked.secret.kind === 'none' && (await isLocked(ring)))
  const keys = isBlind ? {} : { keys: await toolKeys(asked) }
  const parts = { files: nodeFiles(directory), suite: nodeCipherSuite, content, clusterId, logId, signal }
  let code: LogExitCode = 0
  for await (const seen of inspectLog({ ...parts, ...keys, ...(ring === null ? {} : { ring }) })) {
    if (seen.type === 'damage') code = 1
    world.out(`${asked.json ? formatJson(seen) : formatInspected(seen)}\n`)
  }
  return code
}

async function verify(asked: Asked): Promise<LogExitCode> {
  const { directory, world, clusterId, logId, lock, signal } = asked
  const keys = await toolKeys(asked)
  const parts = { files: nodeFiles(directory), suite: nodeCipherSuite, keys, lock, clusterId, logId, signal }
  const report = await verifyLog(parts)
  const lines = asked.json ? [formatJson(report)] : formatVerification(report)
  world.out(lines.map((line) => `${line}\n`).join(''))
  return report.verdict === 'damaged' ? 1 : 0
}

const isComplete = ({ log, salvaged, lost, possiblyReplacedFrom }: RepairReport): boolean =>
  log !== null && salvaged.length + lost.length === 0 && possiblyReplacedFrom === null

async function repair(asked: Asked): Promise<LogExitCode> {
  const { directory, out = '', salvage = '', world, clusterId, logId, lock, signal } = asked
  const keys = await toolKeys(asked)
  const report = await repairDirectory({ directory, out, salvage, keys, lock, clusterId, logId, signal })
  const lines = asked.json ? [formatJson(report)] : formatRepair(report)
  world.out(lines.map((line) => `${line}\n`).join(''))
  return isComplete(report) ? 0 : 1
}
