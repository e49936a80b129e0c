import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { programPath } from './needs.ts'
import { isAlive, type Namespace } from './netns.ts'
import { until } from './until.ts'

const COMMAND = fileURLToPath(new URL('../../../examples/orchestrator/bin.js', import.meta.url))
const WAIT_MS = 15_000
const STOP_MS = 5_000

/** One line that a process announced. */
export interface Announced {
  readonly event: string
  readonly [fact: string]: unknown
}

/** A manager or a worker as a process of its own. */
export interface OrchestratorProcess extends AsyncDisposable {
  readonly pid: number
  readonly announced: readonly Announced[]
  /** The first announcement of `event` that matches, seen already or still to come. */
  readonly wait: (event: string, matches?: (announced: Announced) => boolean, timeoutMs?: number) => Promise<Announced>
  /** Resolves with the exit code once it ends by itself. */
  readonly ended: (timeoutMs?: number) => Promise<number>
  readonly kill: () => Promise<void>
  /** Asks it to stop; resolves with its exit code. */
  readonly stop: () => Promise<number | null>
}

/** Runs the built command. Where the machine has the means, it ends together with the test run, however that ends. */
export function startProcess(args: readonly string[], namespace?: Namespace): OrchestratorProcess {
  const setpriv = programPath('setpriv')
  const plain = [
    ...(setpriv === null ? [] : [setpriv, '--pdeathsig=KILL']),
    process.execPath,
    COMMAND,
    ...args,
    '--json',
  ]
  const [command = '', ...rest] = namespace?.enter(plain) ?? plain
  const child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'pipe'] })
  const announced: Announced[] = []
  let errors = ''
  let partial = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = (partial + text).split('\n')
    partial = lines.pop() ?? ''
    for (const line of lines) announced.push(JSON.parse(line) as Announced)
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    if (!hasEnded()) {
      const ended = once(child, 'exit')
      child.kill(signal)
      const insist = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
      await ended
      clearTimeout(insist)
    }
    return child.exitCode
  }
  return {
    pid: child.pid!,
    announced,
    wait: async (event, matches = () => true, timeoutMs = WAIT_MS) =>
      await until(`${args[0]} says ${event}`, timeoutMs, () => {
        const found = announced.find((line) => line.event === event && matches(line))
        if (found === undefined && hasEnded()) throw new Error(`${args[0]} ended before it said ${event}: ${errors}`)
        return found ?? null
      }),
    ended: async (timeoutMs = WAIT_MS) => await until(`${args[0]} ends`, timeoutMs, () => child.exitCode),
    kill: async () => {
      await end('SIGKILL')
    },
    stop: async () => await end('SIGTERM'),
    [Symbol.asyncDispose]: async () => {
      await end('SIGTERM')
    },
  }
}

const PREFIX = 'leastwise-peers-'

/** What a killed run left: its directories carry its pid. */
function sweep(): void {
  for (const name of readdirSync(tmpdir())) {
    const pid = new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1]
    if (pid !== undefined && !isAlive(Number(pid))) rmSync(join(tmpdir(), name), { recursive: true, force: true })
  }
}

/** A directory for the state of processes; it goes with its scope. */
export function stateDirectory(): Disposable & { readonly path: string } {
  sweep()
  const path = mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`))
  return {
    path,
    [Symbol.dispose]: () => {
      rmSync(path, { recursive: true, force: true })
    },
  }
}

/** What `node ls` says of one node. */
export interface NodeRow {
  readonly id: string
  readonly role: string
  readonly state: string
  readonly certificate: string
  readonly serial: string
  readonly thisManager: boolean
}

/** A manager process with its operator. */
export interface ManagerProcess extends AsyncDisposable {
  readonly data: string
  readonly address: string
  readonly port: number
  readonly workerToken: string
  readonly managerToken: string
  readonly pid: () => number
  /** Runs an operator's command; rejects when the manager refuses. */
  readonly operator: <Answer>(...args: readonly string[]) => Promise<Answer>
  readonly node: (id: string) => Promise<NodeRow | null>
  /** Waits until `node ls` shows the node and it matches. */
  readonly nodeThat: (id: string, matches: (node: NodeRow) => boolean, timeoutMs?: number) => Promise<NodeRow>
  /** SIGKILL, `whileDown`, and a new process on the same address and data. */
  readonly crash: (whileDown?: () => Promise<void>) => Promise<void>
}

async function operate(data: string, args: readonly string[]): Promise<unknown> {
  const child = spawn(process.execPath, [COMMAND, ...args, '--data', data, '--json'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  await once(child, 'close')
  const answer: unknown = JSON.parse(text)
  if (typeof answer === 'object' && answer !== null && 'error' in answer)
    throw new Error(`${args.join(' ')}: ${JSON.stringify(answer.error)}`)
  return answer
}

/** Starts a manager on `listen`, in a namespace or on this machine's own loopback, and waits until it serves. */
export async function startManagerProcess(listen: string, namespace?: Namespace): Promise<ManagerProcess> {
  const directory = stateDirectory()
  const data = join(directory.path, 'manager')
  const start = (at: string): OrchestratorProcess =>
    startProcess(['manager', '--data', data, '--listen', at], namespace)
  let running = start(listen)
  const close = async (): Promise<void> => {
    await running.stop()
    directory[Symbol.dispose]()
  }
  try {
    const ready = await running.wait('ready')
    const token = async (role: string): Promise<string> =>
      String((await running.wait('join-token', (line) => line['role'] === role))['token'])
    const address = String(ready['address'])
    const operator: ManagerProcess['operator'] = async <Answer>(...args: readonly string[]) =>
      (await operate(data, args)) as Answer
    const node = async (id: string): Promise<NodeRow | null> =>
      (await operator<readonly NodeRow[]>('node', 'ls')).find((row) => row.id === id) ?? null
    return {
      data,
      address,
      port: Number(address.slice(address.lastIndexOf(':') + 1)),
      workerToken: await token('worker'),
      managerToken: await token('manager'),
      pid: () => running.pid,
      operator,
      node,
      nodeThat: async (id, matches, timeoutMs = WAIT_MS) =>
        await until(`node ${id} is as expected`, timeoutMs, async () => {
          const row = await node(id)
          return row !== null && matches(row) ? row : null
        }),
      crash: async (whileDown = () => Promise.resolve()) => {
        await running.kill()
        await whileDown()
        running = start(address)
        await running.wait('ready')
      },
      [Symbol.asyncDispose]: close,
    }
  } catch (error) {
    await close()
    throw error
  }
}
