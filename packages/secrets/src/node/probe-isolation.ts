import { randomUUID } from 'node:crypto'
import { accessSync, constants, existsSync } from 'node:fs'
import { buffer } from 'node:stream/consumers'
import { Secret } from '../secret.ts'
import type { IsolationCapabilities, IsolationLevel, IsolationProgram } from './isolation-capabilities.ts'
import { startTask } from './start-task.ts'
import { type IsolationRequest, planIsolation } from './task-isolation.ts'
import { TASK_USER_RANGE } from './task-user.ts'
import type { TmpfsMount } from './tmpfs-mount.ts'

/** Options of {@link probeIsolation}. */
export interface ProbeIsolationOptions {
  readonly signal: AbortSignal
}

/** Never the environment's search path: these programs run with the worker's rights. */
const PROGRAM_DIRECTORIES = ['/usr/bin', '/bin', '/usr/sbin', '/sbin']
/** The probe of a level succeeds only if the task read its own file and could not read the other's. */
const PROBE = 'test "$(cat "$LEASTWISE_SECRETS_DIR/own")" = own || exit 1; cat "$1" >/dev/null 2>&1 && exit 2; exit 0'

function find(name: string): string | null {
  for (const directory of PROGRAM_DIRECTORIES) {
    try {
      accessSync(`${directory}/${name}`, constants.X_OK)
      return `${directory}/${name}`
    } catch {
      // Not here: the next one.
    }
  }
  return null
}

const probeUser = (offset: number): { readonly uid: number; readonly gid: number } => {
  const id = TASK_USER_RANGE.first + TASK_USER_RANGE.count - 1 - offset
  return { uid: id, gid: id }
}

/** Two tasks with a file each: one is started, the other is what it must not reach. */
async function attempt(
  mount: TmpfsMount,
  capabilities: IsolationCapabilities,
  level: IsolationLevel,
  signal: AbortSignal,
): Promise<boolean> {
  const [own, other] = [`probe-${randomUUID()}`, `probe-${randomUUID()}`]
  const { root } = capabilities
  const sh = capabilities.programs.sh
  if (sh === null) return false
  try {
    for (const [at, taskId] of [own, other].entries()) {
      const user = root ? probeUser(at) : { uid: null, gid: null }
      const directory = { uid: null, gid: user.gid, mode: root ? 0o550 : 0o500 }
      using value = Secret.copyOf(new TextEncoder().encode('own'))
      await mount.place(taskId, directory, [{ name: 'own', ...user, mode: 0o400, value }], { signal })
    }
    const request: IsolationRequest = {
      deliveryRoot: mount.root,
      taskId: own,
      command: sh,
      args: ['-c', PROBE, 'sh', `${mount.root}/${other}/own`],
      env: { PATH: PROGRAM_DIRECTORIES.join(':') },
      level,
      ...(root ? { user: probeUser(0) } : {}),
    }
    const task = await startTask(planIsolation(capabilities, request), { stdio: ['ignore', 'pipe', 'pipe'] })
    const stop = (): void => {
      task.signal('SIGKILL')
    }
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
    const outputs = [task.child.stdout, task.child.stderr].flatMap((stream) =>
      stream === null ? [] : [buffer(stream)],
    )
    const [{ code }] = await Promise.all([task.exited, ...outputs])
    signal.removeEventListener('abort', stop)
    signal.throwIfAborted()
    return code === 0
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof Error && 'syscall' in error) return false
    throw error
  } finally {
    await mount.withdraw(own)
    await mount.withdraw(other)
  }
}

/**
 * Finds out by trying what this machine allows: each level is used for a task that must read its own file and fail to read another's.
 *
 * Nothing is guessed from versions or settings, since a container, a security module or a sysctl may forbid what the kernel can do.
 * As root the directory `/run/secrets` is made if it is missing, as the place to mount on.
 *
 * @param mount - Where the tasks' files will lie; the probe's own are withdrawn again.
 * @returns What worked. `directory` always does, and keeps other users out, not other tasks of the same user.
 * @throws {@link SecretsError} what the mount throws.
 */
export async function probeIsolation(
  mount: TmpfsMount,
  { signal }: ProbeIsolationOptions,
): Promise<IsolationCapabilities> {
  const root = process.geteuid?.() === 0
  const programs: Readonly<Record<IsolationProgram, string | null>> = {
    unshare: find('unshare'),
    setpriv: find('setpriv'),
    mount: find('mount'),
    sh: find('sh'),
  }
  const assume = (levels: readonly IsolationLevel[], runSecrets: boolean): IsolationCapabilities => ({
    root,
    levels,
    runSecrets,
    programs,
  })
  const levels: IsolationLevel[] = []
  let runSecrets = false
  if (Object.values(programs).every((path) => path !== null)) {
    for (const shown of root || existsSync('/run/secrets') ? [true, false] : [false]) {
      if (!(await attempt(mount, assume(['namespace'], shown), 'namespace', signal))) continue
      levels.push('namespace')
      runSecrets = shown
      break
    }
  }
  if (root && (await attempt(mount, assume(['uid'], false), 'uid', signal))) levels.push('uid')
  return assume([...levels, 'directory'], runSecrets)
}
