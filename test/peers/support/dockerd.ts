import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { program } from './needs.ts'
import { isAlive, type Namespace } from './netns.ts'
import { until } from './until.ts'

/** What a command left behind. */
export interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** A stock Docker engine of its own: own state, own socket, own network namespace. */
export interface DockerEngine extends AsyncDisposable {
  readonly pid: number
  readonly namespace: Namespace
  /** Everything of this engine lies below; it goes when the engine stops. */
  readonly directory: string
  /** Runs the package's `docker` against this engine. Resolves also when the command fails; it is killed after `timeoutMs`. */
  readonly docker: (args: readonly string[], options?: { readonly timeoutMs?: number }) => Promise<Outcome>
  /** A field of `docker info`, by Go template. */
  readonly info: (template: string) => Promise<string>
  /** The engine's log so far. */
  readonly log: () => string
  /** Resolves with the first log line that matches; rejects after `timeoutMs`. */
  readonly logLine: (pattern: RegExp, options?: { readonly timeoutMs?: number }) => Promise<string>
  readonly stop: () => Promise<void>
}

// The engine looks its helpers up by name; only Debian's own shall answer.
const ENGINE_PATH = '/usr/sbin:/usr/bin:/sbin:/bin'
const START_MS = 30_000
const STOP_MS = 10_000

async function run(argv: readonly [string, ...string[]], timeoutMs: number): Promise<Outcome> {
  const [command, ...args] = argv
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: ENGINE_PATH },
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, stdout: stdout.trim(), stderr: stderr.trim() }
}

/** Pids whose command line or working directory names the directory: the engine, its containerd, shims. */
export function processesOf(directory: string): readonly number[] {
  const names = (pid: string): boolean => {
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
      return line.includes(directory) || readlinkSync(`/proc/${pid}/cwd`).startsWith(directory)
    } catch {
      return false // gone meanwhile
    }
  }
  return readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid) && Number(pid) !== process.pid && names(pid))
    .map(Number)
}

/** Mount points below the directory, innermost first. */
export const mountsOf = (directory: string): readonly string[] =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((point) => point.startsWith(`${directory}/`))
    .reverse()

const kill = (pid: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(pid, signal)
  } catch {
    // gone already
  }
}

const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null

async function endProcesses(child: ChildProcess, directory: string): Promise<void> {
  if (!hasEnded(child)) {
    child.kill('SIGTERM')
    // An engine that lost its managers may hang on SIGTERM.
    await until('the engine ends', STOP_MS, () => (hasEnded(child) ? true : null)).catch(() => child.kill('SIGKILL'))
  }
  await until('the processes of the engine end', STOP_MS, () => {
    const left = processesOf(directory)
    for (const pid of left) kill(pid, 'SIGKILL')
    return left.length === 0 ? true : null
  })
}

function removeDirectory(directory: string): void {
  for (const point of mountsOf(directory)) spawnSync('umount', ['--lazy', point])
  rmSync(directory, { recursive: true, force: true })
}

const PREFIX = 'leastwise-dockerd-'

/** What a killed run left: its directories carry its pid. Its engine died with it. */
function sweep(): void {
  for (const name of readdirSync(tmpdir())) {
    const pid = new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1]
    if (pid !== undefined && !isAlive(Number(pid))) removeDirectory(join(tmpdir(), name))
  }
}

/** Starts an engine in the namespace and waits until it answers. Needs root, dockerd, docker, nsenter and setpriv. */
export async function startDockerd(namespace: Namespace): Promise<DockerEngine> {
  sweep()
  const directory = mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`))
  const socket = `unix://${directory}/docker.sock`
  const [command, ...args] = namespace.enter([
    program('setpriv'),
    '--pdeathsig=KILL', // a killed test run takes its engine along
    program('dockerd'),
    '--debug',
    '--iptables=false',
    '--ip6tables=false',
    '--bridge=none',
    '--storage-driver=vfs',
    `--data-root=${directory}/data`,
    `--exec-root=${directory}/exec`,
    `--pidfile=${directory}/docker.pid`,
    `--host=${socket}`,
  ])
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: ENGINE_PATH }, cwd: directory })
  let log = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      log += text
    })
  }

  let stopped: Promise<void> | null = null
  const stop = async (): Promise<void> => {
    stopped ??= (async () => {
      await endProcesses(child, directory)
      removeDirectory(directory)
    })()
    await stopped
  }
  const docker: DockerEngine['docker'] = async (rest, { timeoutMs = 60_000 } = {}) =>
    await run([program('docker'), '--host', socket, ...rest], timeoutMs)

  try {
    await until('the engine answers', START_MS, async () => {
      if (hasEnded(child)) throw new Error(`the engine ended at its start:\n${log.slice(-4000)}`)
      return (await docker(['version', '--format', '{{.Server.Version}}'])).code === 0 ? true : null
    })
  } catch (error) {
    await stop()
    throw error
  }
  return {
    pid: child.pid!,
    namespace,
    directory,
    docker,
    info: async (template) => {
      const { code, stdout, stderr } = await docker(['info', '--format', template])
      if (code !== 0) throw new Error(`docker info: ${stderr}`)
      return stdout
    },
    log: () => log,
    logLine: async (pattern, { timeoutMs = 20_000 } = {}) =>
      await until(
        `a log line like ${String(pattern)}`,
        timeoutMs,
        () => log.split('\n').find((line) => pattern.test(line)) ?? null,
      ),
    stop,
    [Symbol.asyncDispose]: stop,
  }
}
