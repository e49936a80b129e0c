import { checkFiles } from './delivery.ts'
import { SecretsError } from './errors.ts'
import type { SecretMount } from './ports.ts'
import type { Secret } from './secret.ts'
import type { FileOwner } from './secret-file.ts'

/** A file as a {@link MemoryMount} keeps it. */
export interface MemoryFile extends FileOwner {
  readonly value: Secret
}

/** A mount without a file system, which lets a test look inside. */
export interface MemoryMount extends SecretMount {
  /** The files of a task by name; `null` if it has none. */
  readonly files: (taskId: string) => ReadonlyMap<string, MemoryFile> | null
}

/**
 * The reference implementation of {@link SecretMount}, for tests and for hosts that hand secrets over in memory.
 *
 * @param options - `capacityBytes` bounds the sum of all values; without it there is no bound.
 */
export function memoryMount(options?: { readonly capacityBytes?: number }): MemoryMount {
  const capacityBytes = options?.capacityBytes ?? Number.POSITIVE_INFINITY
  const directories = new Map<string, ReadonlyMap<string, MemoryFile>>()
  let usedBytes = 0
  return {
    place: async (taskId, _directory, files, { signal }) => {
      checkFiles(taskId, files)
      await Promise.resolve()
      signal.throwIfAborted()
      if (directories.has(taskId))
        throw new SecretsError('TASK_DELIVERED', 'the task has its files already; withdraw them first')
      const sizeBytes = files.reduce((sum, file) => sum + file.value.sizeBytes, 0)
      if (usedBytes + sizeBytes > capacityBytes)
        throw new SecretsError(
          'MOUNT_FULL',
          'the mount has no room for the files of the task; end other tasks or enlarge it',
        )
      usedBytes += sizeBytes
      directories.set(
        taskId,
        new Map(files.map(({ name, value, uid, gid, mode }) => [name, { uid, gid, mode, value: value.clone() }])),
      )
      return `/memory/${taskId}`
    },
    withdraw: async (taskId) => {
      await Promise.resolve()
      const files = directories.get(taskId)
      if (files === undefined) return false
      directories.delete(taskId)
      for (const { value } of files.values()) {
        usedBytes -= value.sizeBytes
        value[Symbol.dispose]()
      }
      return true
    },
    list: async () => await Promise.resolve([...directories.keys()].sort()),
    files: (taskId) => directories.get(taskId) ?? null,
  }
}
