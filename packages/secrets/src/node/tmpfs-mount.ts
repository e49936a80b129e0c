import { randomUUID } from 'node:crypto'
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmdirSync,
  unlinkSync,
} from 'node:fs'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { checkFiles } from '../delivery.ts'
import { SecretsError } from '../errors.ts'
import { checkId } from '../limits.ts'
import type { SecretMount } from '../ports.ts'
import type { FileOwner, SecretFile } from '../secret-file.ts'
import { type ProvenDirectory, proveTmpfs } from './prove-tmpfs.ts'
import { placingFault, wipingFault } from './system-error.ts'
import { wipeDirectory } from './wipe-directory.ts'
import { giveTo, writeSecretFile } from './write-secret-file.ts'

/** Options of {@link openTmpfsMount}. */
export interface TmpfsMountOptions {
  /**
   * Who may pass through the root: its `owner` alone (0700, the default), or every user who knows the name of something in it (0711), which
   * tasks with users of their own need when no private mount shows them their directory.
   */
  readonly reach?: 'owner' | 'tasks'
}

/** Secrets as files in a directory that is proven to be memory. */
export interface TmpfsMount extends SecretMount, Disposable {
  /** The delivery root. */
  readonly root: string
  readonly kind: 'tmpfs' | 'ramfs'
  /** Whether the files may reach a swap area as things are; see {@link swapActive}. */
  readonly swappable: boolean
  /** How many leftovers of an earlier process were wiped when the mount was opened. */
  readonly swept: number
  /** Wipes everything, removes the root itself, and disposes the mount: the worker leaves. Throws `MOUNT_FAILED` when it cannot. */
  readonly remove: () => Promise<void>
}

/** Hidden names cannot be ids of tasks, which start with a letter or digit. */
const HIDDEN = '.leaving-'
/** Writing is synchronous because that is six times faster on tmpfs; a pause after so many files keeps the loop alive. */
const FILES_PER_TURN = 128

const isThere = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined

/** Moves a directory out of sight, so that it is gone at once, and then wipes it. */
function discard(anchor: string, name: string): void {
  const hidden = join(anchor, HIDDEN + randomUUID())
  renameSync(join(anchor, name), hidden)
  wipeDirectory(hidden)
}

function sweep(anchor: string): number {
  const leftovers = readdirSync(anchor, { withFileTypes: true })
  for (const entry of leftovers) {
    if (entry.isDirectory()) discard(anchor, entry.name)
    else unlinkSync(join(anchor, entry.name))
  }
  return leftovers.length
}

function finish(directory: string, owner: FileOwner): void {
  const descriptor = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  try {
    giveTo(descriptor, owner)
    fchmodSync(descriptor, owner.mode)
  } finally {
    closeSync(descriptor)
  }
}

async function writeAll(directory: string, files: readonly SecretFile[], mayGoOn: () => void): Promise<void> {
  for (const [at, file] of files.entries()) {
    if (at > 0 && at % FILES_PER_TURN === 0) {
      await nextTurn()
      mayGoOn()
    }
    writeSecretFile(directory, file)
  }
}

function mountAt(root: string, { descriptor, kind, swappable }: ProvenDirectory): TmpfsMount {
  // Every path starts at the descriptor: a root that is renamed or replaced later is still the one that was proven.
  const anchor = `/proc/self/fd/${descriptor}`
  const placing = new Set<string>()
  let open = true
  const checkOpen = (): void => {
    if (!open) throw new TypeError('the mount was disposed before')
  }
  const close = (): void => {
    if (!open) return
    open = false
    closeSync(descriptor)
  }
  const place = async (
    taskId: string,
    owner: FileOwner,
    files: readonly SecretFile[],
    signal: AbortSignal,
  ): Promise<string> => {
    const name = `.arriving-${randomUUID()}`
    const hidden = join(anchor, name)
    try {
      mkdirSync(hidden, 0o700)
      await writeAll(hidden, files, () => {
        // A closed descriptor's number may mean another directory by now.
        checkOpen()
        signal.throwIfAborted()
      })
      finish(hidden, owner)
      renameSync(hidden, join(anchor, taskId))
      return join(root, taskId)
    } catch (error) {
      if (open && isThere(hidden)) discard(anchor, name)
      throw placingFault(error)
    }
  }
  return {
    root,
    kind,
    swappable,
    swept: sweep(anchor),
    place: async (taskId, directory, files, { signal }) => {
      checkOpen()
      checkFiles(taskId, files)
      signal.throwIfAborted()
      if (placing.has(taskId) || isThere(join(anchor, taskId))) {
        throw new SecretsError('TASK_DELIVERED', 'the task has its files already; withdraw them first')
      }
      placing.add(taskId)
      try {
        return await place(taskId, directory, files, signal)
      } finally {
        placing.delete(taskId)
      }
    },
    withdraw: async (taskId) => {
      await Promise.resolve()
      checkOpen()
      checkId(taskId, 'task')
      if (!isThere(join(anchor, taskId))) return false
      try {
        discard(anchor, taskId)
      } catch (error) {
        throw wipingFault(error)
      }
      return true
    },
    list: async () => {
      await Promise.resolve()
      checkOpen()
      return readdirSync(anchor)
        .filter((name) => !name.startsWith('.'))
        .sort()
    },
    remove: async () => {
      await Promise.resolve()
      checkOpen()
      try {
        sweep(anchor)
        const [proven, named] = [fstatSync(descriptor), lstatSync(root, { throwIfNoEntry: false })]
        // Whatever has the name now is none of ours, unless it is the directory that was proven.
        if (named?.ino === proven.ino && named.dev === proven.dev) rmdirSync(root)
      } catch (error) {
        throw wipingFault(error)
      }
      close()
    },
    [Symbol.dispose]: close,
  }
}

/**
 * Opens a delivery root for one worker process, proves it, and sweeps what a crashed process left there, complete or not.
 *
 * The directory is made when it is missing. Two processes must not share a root: each would sweep the other's files away.
 * Disposing closes the root and leaves the files; withdraw them before.
 *
 * @param root - Absolute path without symbolic links.
 * @throws {@link SecretsError} `NOT_TMPFS` when the directory is on anything but tmpfs or ramfs.
 * @throws {@link SecretsError} `MOUNT_UNSAFE` when it is a link, another user's, open to others, or can be exchanged by others.
 * @throws {@link SecretsError} `MOUNT_FAILED` when it cannot be made or opened.
 * @throws TypeError if the path is not absolute and normal.
 */
export function openTmpfsMount(root: string, options?: TmpfsMountOptions): TmpfsMount {
  const proven = proveTmpfs(root, options?.reach === 'tasks' ? 0o711 : 0o700)
  try {
    return mountAt(root, proven)
  } catch (error) {
    closeSync(proven.descriptor)
    throw wipingFault(error)
  }
}
