import type { GrantReference } from './catalogue/catalogue-events.ts'
import { SecretsError } from './errors.ts'
import { checkId, checkValueSize } from './limits.ts'
import type { SecretMount, SecretReader } from './ports.ts'
import { checkOwnership, checkTarget, MAX_REFERENCES } from './reference.ts'
import type { Secret } from './secret.ts'
import type { FileOwner, SecretFile } from './secret-file.ts'

/** A file of a plan: where its value comes from, and whose it will be. */
export interface PlannedFile extends FileOwner {
  readonly name: string
  readonly secretId: string
}

/** What one task will find, decided before anything is touched. */
export interface DeliveryPlan {
  readonly taskId: string
  readonly directory: FileOwner
  readonly files: readonly PlannedFile[]
}

/** The user that a task runs as. `null` is the user of the worker itself, for a worker that cannot change users. */
export type Consumer = { readonly uid: number; readonly gid: number } | null

/**
 * Proves that files can lie in the directory of a task.
 *
 * @throws {@link SecretsError} `ID_INVALID`, `REFERENCE_INVALID`, `TARGET_DUPLICATE` or `SECRET_VALUE_SIZE` otherwise.
 */
export function checkFiles(
  taskId: string,
  files: readonly (FileOwner & { readonly name: string; readonly value?: Secret })[],
): void {
  checkId(taskId, 'task')
  if (files.length > MAX_REFERENCES)
    throw new SecretsError('REFERENCE_INVALID', `a task has at most ${MAX_REFERENCES} files; merge some secrets`)
  const names = new Set<string>()
  for (const file of files) {
    checkTarget(file.name)
    checkOwnership(file)
    if (file.value !== undefined) checkValueSize(file.value.sizeBytes)
    if (names.has(file.name))
      throw new SecretsError(
        'TARGET_DUPLICATE',
        'two files of the task have the same name; give each a name of its own',
      )
    names.add(file.name)
  }
}

/**
 * Turns the references of a task into files: owners filled in from the consumer, sorted by name.
 *
 * The directory stays with the worker and is at most readable: a consumer that owned it could fill it with links for the
 * worker to follow when it wipes. Its group is the consumer's, unless a reference names other owners; then it may be read by all who reach it,
 * and each file is still its owner's alone.
 *
 * @throws {@link SecretsError} `ID_INVALID`, `REFERENCE_INVALID` or `TARGET_DUPLICATE` when the references do not fit.
 */
export function planDelivery(taskId: string, references: readonly GrantReference[], consumer: Consumer): DeliveryPlan {
  const files = references
    .map(({ secretId, target, uid, gid, mode }) => ({
      name: target,
      secretId,
      uid: uid ?? consumer?.uid ?? null,
      gid: gid ?? consumer?.gid ?? null,
      mode,
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
  checkFiles(taskId, files)
  for (const { secretId } of files) checkId(secretId, 'secret')
  const own = files.every((file) => file.uid === (consumer?.uid ?? null))
  if (!own) return { taskId, directory: { uid: null, gid: null, mode: 0o555 }, files }
  if (consumer === null) return { taskId, directory: { uid: null, gid: null, mode: 0o500 }, files }
  return { taskId, directory: { uid: null, gid: consumer.gid, mode: 0o550 }, files }
}

/**
 * Carries out a plan: reads every value, then lets all files of the task appear at once.
 *
 * The copies that were read are wiped on every path out.
 *
 * @returns The directory of the task.
 * @throws {@link SecretsError} what the reader and {@link SecretMount} throw; nothing is left behind then.
 */
export async function deliver(
  mount: SecretMount,
  plan: DeliveryPlan,
  reader: SecretReader,
  options: { readonly signal: AbortSignal },
): Promise<string> {
  const values: Secret[] = []
  try {
    const files: SecretFile[] = []
    for (const { name, secretId, uid, gid, mode } of plan.files) {
      const value = await reader.read(secretId, options)
      values.push(value)
      files.push({ name, uid, gid, mode, value })
    }
    return await mount.place(plan.taskId, plan.directory, files, options)
  } finally {
    for (const value of values) value[Symbol.dispose]()
  }
}

/**
 * Takes the files of a task away and wipes them.
 *
 * @returns `false` if there were none.
 */
export async function withdraw(mount: SecretMount, taskId: string): Promise<boolean> {
  return await mount.withdraw(taskId)
}

/**
 * Takes away every task that is not wanted any more: after a removal, a restart, or a node's leave.
 *
 * @param wanted - Ids of the tasks that keep their files.
 * @returns The ids of the tasks whose files went, sorted.
 */
export async function withdrawExcept(mount: SecretMount, wanted: Iterable<string>): Promise<readonly string[]> {
  const keep = new Set(wanted)
  const gone: string[] = []
  for (const taskId of await mount.list()) {
    if (!keep.has(taskId) && (await mount.withdraw(taskId))) gone.push(taskId)
  }
  return gone
}
