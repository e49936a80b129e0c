import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const COMMAND = fileURLToPath(new URL('../../orchestrator/bin.js', import.meta.url))

/** One line that a manager or a worker announced. */
export interface Announced {
  readonly event: string
  readonly at: number
  readonly [fact: string]: unknown
}

/** A manager or worker process whose announcements can be waited for. */
export interface Running {
  readonly pid: number
  readonly announced: readonly Announced[]
  /** The first announcement of `event` that `matches`, past or future. */
  readonly wait: (event: string, matches?: (announced: Announced) => boolean, timeoutMs?: number) => Promise<Announced>
  readonly kill: (signal: 'SIGKILL' | 'SIGTERM') => Promise<number | null>
  /** Asks it to stop, and kills it if it does not. */
  readonly end: () => Promise<number | null>
}

/** How long a process may take to stop by itself. */
const STOP_GRACE_MS = 3_000

export class ProcessFailed extends Error {
  override readonly name = 'ProcessFailed'
}

/** Starts `leastwise-orchestrator ARGS --json` as a process of its own. */
export function start(args: readonly string[], env: Readonly<Record<string, string>> = {}): Running {
  const child: ChildProcess = spawn(process.execPath, [COMMAND, ...args, '--json'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
  const announced: Announced[] = []
  const listeners = new Set<() => void>()
  let errors = ''
  let exitCode: number | null | undefined
  let partial = ''
  const tell = (): void => {
    for (const listener of [...listeners]) listener()
  }
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    const lines = (partial + text).split('\n')
    partial = lines.pop() ?? ''
    for (const line of lines) announced.push(JSON.parse(line) as Announced)
    tell()
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-4_000)
  })
  const exited = new Promise<number | null>((resolve) => {
    child.on('exit', (code) => {
      exitCode = code
      resolve(code)
      tell()
    })
  })
  const kill: Running['kill'] = async (signal) => {
    if (exitCode === undefined) child.kill(signal)
    return await exited
  }
  return {
    pid: child.pid ?? 0,
    announced,
    kill,
    end: async () => {
      const insist = setTimeout(() => child.kill('SIGKILL'), STOP_GRACE_MS)
      const code = await kill('SIGTERM')
      clearTimeout(insist)
      return code
    },
    wait: async (event, matches = () => true, timeoutMs = 15_000) =>
      await new Promise<Announced>((resolve, reject) => {
        const done = (finish: () => void): void => {
          clearTimeout(timer)
          listeners.delete(look)
          finish()
        }
        const look = (): void => {
          const found = announced.find((line) => line.event === event && matches(line))
          if (found !== undefined)
            done(() => {
              resolve(found)
            })
          else if (exitCode !== undefined) {
            done(() => {
              reject(
                new ProcessFailed(`${args[0] ?? ''} ended with ${String(exitCode)} before it said ${event}: ${errors}`),
              )
            })
          }
        }
        const timer = setTimeout(() => {
          done(() => {
            reject(new ProcessFailed(`${args[0] ?? ''} did not say ${event} within ${timeoutMs} ms: ${errors}`))
          })
        }, timeoutMs)
        listeners.add(look)
        look()
      }),
  }
}

/** What an operator's command gave. */
export interface Answered {
  readonly exitCode: number | null
  /** The parsed answer, or `{ error: { code, message } }`. */
  readonly answer: unknown
}

/** Runs one operator command as a process of its own, `input` on its standard input. */
export async function operate(args: readonly string[], input: Uint8Array | string = ''): Promise<Answered> {
  const separator = args.indexOf('--')
  const withJson =
    separator < 0 ? [...args, '--json'] : [...args.slice(0, separator), '--json', ...args.slice(separator)]
  const child = spawn(process.execPath, [COMMAND, ...withJson], { stdio: ['pipe', 'pipe', 'ignore'] })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  child.stdin.on('error', () => undefined)
  child.stdin.end(input)
  const exitCode = await new Promise<number | null>((resolve) => {
    child.on('close', resolve)
  })
  return { exitCode, answer: text === '' ? null : (JSON.parse(text) as unknown) }
}
