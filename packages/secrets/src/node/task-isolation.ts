import { isAbsolute, join } from 'node:path'
import { SecretsError } from '../errors.ts'
import type { IsolationCapabilities, IsolationLevel, IsolationProgram } from './isolation-capabilities.ts'
import { CARRIER, launchScript, SETUP_SCRIPT } from './isolation-script.ts'

/** The variable that names, at every level, the directory in which a task finds its secrets. */
export const SECRETS_DIR_VARIABLE = 'LEASTWISE_SECRETS_DIR'

/** Where Docker Swarm shows a task its secrets, and level `namespace` does too where it can. */
const RUN_SECRETS = '/run/secrets'
// A shell exports these and no others.
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/

/** A task that is to be started. */
export interface IsolationRequest {
  /** The delivery root, `root` of the mount. Hidden from the task at level `namespace`. */
  readonly deliveryRoot: string
  /** The id under which the task's files were placed. */
  readonly taskId: string
  readonly command: string
  readonly args: readonly string[]
  /** The task's whole environment; nothing is inherited from the worker. */
  readonly env: Readonly<Record<string, string>>
  /** Where the task starts, `/` by default. */
  readonly cwd?: string
  /** User and group of the task. Root must name them ({@link allocateTaskUser}) except at level `directory`; anyone else cannot. */
  readonly user?: { readonly uid: number; readonly gid: number }
  /** More directories that the task must not see at level `namespace`, such as the worker's own state. */
  readonly hide?: readonly string[]
  /** This level and no other; by default the strongest that the machine allows. */
  readonly level?: IsolationLevel
}

/** How the task's process is started, as data. */
export interface IsolationPlan {
  readonly level: IsolationLevel
  readonly command: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  /** User and group that the process is started with; absent when the plan changes them later, or never. */
  readonly uid?: number
  readonly gid?: number
  /** Where the task sees its files. */
  readonly secretsDirectory: string
}

/** Refuses what cannot be meant, and picks the level. */
function chooseLevel({ root, levels }: IsolationCapabilities, request: IsolationRequest): IsolationLevel {
  for (const path of [request.deliveryRoot, request.cwd ?? '/', ...(request.hide ?? [])]) {
    if (!isAbsolute(path)) throw new TypeError('expected absolute paths in the request of a task')
  }
  for (const [name, value] of Object.entries(request.env)) {
    if (!VARIABLE.test(name) || name.startsWith(CARRIER) || value.includes('\0'))
      throw new RangeError(
        `expected names of variables from letters, digits and underscore, not starting with ${CARRIER}, and values without a zero byte`,
      )
  }
  if (request.level !== undefined && !levels.includes(request.level)) {
    throw new SecretsError(
      'ISOLATION_UNAVAILABLE',
      `this machine does not allow the level ${request.level}; take a weaker one or change the machine`,
    )
  }
  const level = request.level ?? levels[0] ?? 'directory'
  if (!root) {
    if (request.user === undefined) return level
    throw new SecretsError(
      'ISOLATION_UNAVAILABLE',
      'only root can start a task as another user; leave the user out or run the worker as root',
    )
  }
  if (level === 'directory' && request.level === undefined) {
    throw new SecretsError(
      'ISOLATION_UNAVAILABLE',
      "no level keeps tasks apart here; open the mount with reach 'tasks', or ask for the level directory and run tasks as the worker's own user",
    )
  }
  if ((level === 'directory') !== (request.user === undefined)) {
    throw new RangeError('expected a user for a task that root starts, and none at the level directory')
  }
  return level
}

/** Under names that the privileged steps never interpret. */
function carried(env: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(env).map(([name, value], at) => [`${CARRIER}${at}`, `${name}=${value}`]))
}

function planNamespace(capabilities: IsolationCapabilities, request: IsolationRequest): IsolationPlan {
  const program = (name: IsolationProgram): string => {
    const path = capabilities.programs[name]
    if (path === null)
      throw new SecretsError(
        'ISOLATION_UNAVAILABLE',
        `the program ${name} is missing; install util-linux or take a weaker level`,
      )
    return path
  }
  const { deliveryRoot, taskId, user } = request
  const source = join(deliveryRoot, taskId)
  const place = capabilities.runSecrets ? RUN_SECRETS : source
  const hidden = [deliveryRoot, ...(request.hide ?? [])]
  const env = carried({ ...request.env, [SECRETS_DIR_VARIABLE]: place })
  const enter = ['--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child', '--mount-proc']
  // Without root the same rights come from a user namespace, in which the task's user keeps its number.
  const asUser = user === undefined ? ['--user', '--map-current-user', '--keep-caps'] : []
  const drop =
    user === undefined ? ['--ambient-caps=-all'] : [`--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups']
  return {
    level: 'namespace',
    // The first process dies with the worker, and everything in the namespace with it: a worker that was killed leaves no task
    // behind which nobody watches.
    command: program('setpriv'),
    args: [
      ...['--pdeathsig', 'KILL', program('unshare')],
      ...[...asUser, ...enter, program('sh'), '-c', SETUP_SCRIPT, 'sh'],
      ...[program('mount'), source, place, request.cwd ?? '/', String(hidden.length), ...hidden],
      // No capability is left to undo a mount with, and none can be regained, not even by a task that is uid 0.
      ...[program('setpriv'), ...drop, '--inh-caps=-all', '--bounding-set=-all', '--no-new-privs'],
      ...[program('sh'), '-c', launchScript(Object.keys(env).length), 'sh', request.command, ...request.args],
    ],
    env,
    cwd: '/',
    secretsDirectory: place,
  }
}

/**
 * Decides how a task is started so that it finds its own secrets and no other task's.
 *
 * Start it as the leader of a process group of its own and signal the group, so that its children end with it; {@link startTask}
 * does. At level `namespace` the end of the task ends all its processes, whatever they did; at the other levels one that left the group
 * lives on.
 *
 * @throws {@link SecretsError} `ISOLATION_UNAVAILABLE` when the machine does not allow what was asked for.
 * @throws RangeError if root names no user, or a variable has a bad name.
 * @throws TypeError if a path is not absolute.
 */
export function planIsolation(capabilities: IsolationCapabilities, request: IsolationRequest): IsolationPlan {
  const level = chooseLevel(capabilities, request)
  if (level === 'namespace') return planNamespace(capabilities, request)
  const secretsDirectory = join(request.deliveryRoot, request.taskId)
  return {
    level,
    command: request.command,
    args: request.args,
    env: { ...request.env, [SECRETS_DIR_VARIABLE]: secretsDirectory },
    cwd: request.cwd ?? '/',
    ...(request.user ?? {}),
    secretsDirectory,
  }
}
