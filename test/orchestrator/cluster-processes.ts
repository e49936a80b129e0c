import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { callManager, type OperatorCall } from '../../examples/orchestrator/operator/client.ts'

/** The real command, in processes of its own: what these tests look at is what an operator would see. */

const COMMAND = resolve(import.meta.dirname, '../../examples/orchestrator/bin.js')
export const NOBODY = 65_534
export const isRoot = process.geteuid?.() === 0
const AS_NOBODY = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups']
/** Long for a busy machine; every wait ends as soon as what it waits for is there. */
const PATIENCE_MS = 20_000
const NODE_ID_CHARS = 25

export interface Announced {
  readonly event: string
  readonly [fact: string]: unknown
}

export interface Outcome {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface Running {
  readonly pid: number
  readonly events: readonly Announced[]
  readonly stderr: () => string
  /** The first announcement of `event` that matches; rejects when the process ends before. */
  readonly wait: (event: string, matches?: (line: Announced) => boolean) => Promise<Announced>
  readonly ended: Promise<Outcome>
  readonly kill: (signal: NodeJS.Signals) => Promise<Outcome>
}

interface StartOptions {
  /** Run it as an ordinary user; needs root. */
  readonly asNobody?: boolean
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
}

function spawnCommand(args: readonly string[], { asNobody = false, env = {}, cwd }: StartOptions): ChildProcess {
  const words = [process.execPath, COMMAND, ...args]
  const [program = '', ...rest] = asNobody ? ['setpriv', ...AS_NOBODY, ...words] : words
  return spawn(program, rest, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
    ...(cwd === undefined ? {} : { cwd }),
  })
}

function outcomeOf(child: ChildProcess): {
  readonly ended: Promise<Outcome>
  readonly seen: { stdout: string; stderr: string }
} {
  const seen = { stdout: '', stderr: '' }
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    seen.stdout += text
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    seen.stderr += text
  })
  child.stdin?.on('error', () => undefined)
  const ended = new Promise<Outcome>((done) => {
    child.on('close', (code, signal) => {
      done({ code, signal, ...seen })
    })
  })
  return { ended, seen }
}

/** Runs a command to its end. */
export async function run(
  args: readonly string[],
  options: StartOptions & { readonly input?: Uint8Array | string } = {},
): Promise<Outcome> {
  const child = spawnCommand(args, options)
  const { ended } = outcomeOf(child)
  child.stdin?.end(options.input ?? '')
  return await ended
}

/** Why a child cannot run as an ordinary user here, or null. */
export const noOrdinaryUser = (): string | null => {
  if (!isRoot) return 'only root can start a process as another user'
  const tried = spawnSync('setpriv', [...AS_NOBODY, process.execPath, COMMAND, 'help'], { cwd: '/' })
  return tried.status === 0 ? null : 'an ordinary user cannot read this clone, or setpriv is missing'
}

function startRunning(args: readonly string[], options: StartOptions): Running & { readonly child: ChildProcess } {
  const child = spawnCommand([...args, '--json'], options)
  child.stdin?.end()
  const { ended, seen } = outcomeOf(child)
  let finished = false
  void ended.then(() => {
    finished = true
  })
  const events = (): readonly Announced[] =>
    seen.stdout
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Announced)
  return {
    child,
    pid: child.pid ?? 0,
    get events() {
      return events()
    },
    stderr: () => seen.stderr,
    ended,
    kill: async (signal) => {
      if (!finished) child.kill(signal)
      return await ended
    },
    wait: async (event, matches = () => true) => {
      const until = Date.now() + PATIENCE_MS
      for (;;) {
        const last = finished
        const found = events().find((line) => line.event === event && matches(line))
        if (found !== undefined) return found
        if (last) throw new Error(`${args[0] ?? ''} ended before it said ${event}: ${seen.stderr}${seen.stdout}`)
        if (Date.now() > until) throw new Error(`${args[0] ?? ''} never said ${event}: ${seen.stderr}${seen.stdout}`)
        await pause(10)
      }
    },
  }
}

/** Asks again until the answer is neither null nor false. */
export async function until<T>(what: string, ask: () => T | null | false | Promise<T | null | false>): Promise<T> {
  const end = Date.now() + PATIENCE_MS
  for (;;) {
    const answer = await ask()
    if (answer !== null && answer !== false) return answer
    if (Date.now() > end) throw new Error(`${what} did not happen`)
    await pause(15)
  }
}

export interface Manager {
  readonly data: string
  readonly process: Running
  readonly address: string
  readonly nodeId: string
  readonly workerToken: string
  readonly managerToken: string
  /** Asks the manager over its socket, without a process in between. */
  readonly call: <Answer>(path: string, body?: OperatorCall['body'], query?: OperatorCall['query']) => Promise<Answer>
  /** Runs an operator's command against it, with `--json`. */
  readonly operate: (args: readonly string[], input?: Uint8Array | string) => Promise<Outcome>
}

export interface WorkerProcess {
  readonly data: string
  readonly process: Running
  readonly nodeId: string
}

/** Puts options before the `--` of a command line. */
export function withOptions(args: readonly string[], ...options: readonly string[]): readonly string[] {
  const at = args.indexOf('--')
  return at < 0 ? [...args, ...options] : [...args.slice(0, at), ...options, ...args.slice(at)]
}

/** A directory with processes in it, all of which go when it is closed. */
export class Sandbox implements AsyncDisposable {
  readonly directory: string
  readonly #started: Running[] = []
  readonly #atEnd: (() => void)[] = []
  readonly #nodeIds = new Set<string>()

  constructor() {
    this.directory = mkdtempSync(join(tmpdir(), 'leastwise-orchestrator-'))
    chmodSync(this.directory, 0o711)
  }

  path(name: string): string {
    return join(this.directory, name)
  }

  /** Something that must happen after the processes are gone, for instance an unmount. */
  atEnd(act: () => void): void {
    this.#atEnd.unshift(act)
  }

  start(args: readonly string[], options: StartOptions = {}): Running {
    const running = startRunning(args, options)
    this.#started.push(running)
    return running
  }

  /** Starts a manager and waits until it is ready; tokens are '' when it was founded before. */
  async manager(
    name = 'manager',
    listen = '127.0.0.1:0',
    { more = [], ...options }: StartOptions & { readonly more?: readonly string[] } = {},
  ): Promise<Manager> {
    const data = this.path(name)
    const process = this.start(['manager', '--data', data, '--listen', listen, ...more], options)
    const ready = await process.wait('ready')
    const token = (role: string): string => {
      const shown = process.events.find((line) => line.event === 'join-token' && line['role'] === role)?.['token']
      return typeof shown === 'string' ? shown : ''
    }
    return {
      data,
      process,
      address: String(ready['address']),
      nodeId: String(ready['nodeId']),
      workerToken: token('worker'),
      managerToken: token('manager'),
      call: async (path, body, query) =>
        await callManager(data, {
          path,
          ...(body === undefined ? {} : { body }),
          ...(query === undefined ? {} : { query }),
        }),
      operate: async (args, input) => await run(withOptions(args, '--data', data, '--json'), { input: input ?? '' }),
    }
  }

  /** Starts a worker and waits until it has a session. */
  async worker(
    manager: Manager,
    name: string,
    {
      token = manager.workerToken,
      more = [],
      ...options
    }: StartOptions & { readonly token?: string | null; readonly more?: readonly string[] } = {},
  ): Promise<WorkerProcess> {
    const data = this.path(name)
    const words = token === null ? [] : ['--token-file', this.tokenFile(token)]
    const process = this.start(['worker', '--data', data, '--join', manager.address, ...words, ...more], options)
    // A directory of the worker's own on tmpfs ends with the id of its node.
    const { root } = await process.wait('delivery')
    const nodeId = String(root).slice(-NODE_ID_CHARS)
    this.#nodeIds.add(nodeId)
    await process.wait('session')
    return { data, process, nodeId }
  }

  tokenFile(token: string): string {
    const path = this.path(`token-${this.#started.length}`)
    writeFileSync(path, `${token}\n`, { mode: 0o600 })
    return path
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      this.#started.map(async (process) => {
        const insist = setTimeout(() => void process.kill('SIGKILL'), 5_000)
        await process.kill('SIGTERM')
        clearTimeout(insist)
      }),
    )
    for (const act of this.#atEnd) act()
    rmSync(this.directory, { recursive: true, force: true })
    const left = [...this.#nodeIds].flatMap(deliveryRoots)
    for (const path of left) rmSync(path, { recursive: true, force: true })
    if (left.length > 0) throw new Error(`workers left ${left.length} delivery roots on tmpfs`)
  }
}

/** Where a worker's files lie on tmpfs, if they do. */
export const deliveryRoots = (nodeId: string): readonly string[] =>
  readdirSync('/dev/shm')
    .filter((name) => name.startsWith('leastwise-') && name.endsWith(nodeId))
    .map((name) => join('/dev/shm', name))

/** Every file below a directory with its bytes, to see that nothing changed. */
export function contentOf(directory: string): ReadonlyMap<string, string> {
  if (!existsSync(directory)) return new Map()
  return new Map(
    readdirSync(directory, { recursive: true, encoding: 'utf8' })
      .sort()
      .map((name): [string, string] => {
        const path = join(directory, name)
        return [name, lstatSync(path).isFile() ? readFileSync(path, 'base64') : 'no file']
      }),
  )
}

/** The code of a refusal, proven to have come out right: exit code, one line for people, one object for machines. */
export function refusalCode({ code, stdout, stderr }: Outcome): string {
  const lines = stdout.split('\n').filter((line) => line !== '' && !line.includes('"event"'))
  if (lines.length !== 1) throw new Error(`expected one JSON object, saw ${lines.length}: ${stdout}${stderr}`)
  const { error } = JSON.parse(lines[0]!) as { readonly error?: { readonly code: string; readonly message: string } }
  if (error === undefined) throw new Error(`expected a refusal, saw ${stdout}`)
  if (!stderr.includes(`leastwise-orchestrator: ${error.code}: ${error.message}\n`))
    throw new Error(`standard error does not say ${error.code}: ${stderr}`)
  if (error.code === 'INTERNAL') throw new Error(`an internal error came out: ${stderr}`)
  if (/\n\s+at /.test(stderr)) throw new Error(`a stack came out: ${stderr}`)
  if (code !== (error.code === 'USAGE' ? 2 : 1)) throw new Error(`${error.code} ended with exit code ${String(code)}`)
  return error.code
}

/** The answer of a command that must succeed. */
export function answerOf<Answer>(
  { code, stdout, stderr }: Outcome,
  read: (text: string) => Answer = (text) => JSON.parse(text) as Answer,
): Answer {
  if (code !== 0) throw new Error(`the command ended with ${String(code)}: ${stderr}`)
  if (stderr !== '') throw new Error(`the command complained: ${stderr}`)
  return read(stdout)
}
