import { constants, type Stats } from 'node:fs'
import { type FileHandle, open, readdir, rename, rm, stat } from 'node:fs/promises'

/** Who may do what with a file or directory, as `stat` says. */
export interface FileFacts {
  /** Permission bits, the lowest twelve. */
  readonly mode: number
  /** Owner's number. */
  readonly owner: number
  readonly kind: 'file' | 'directory' | 'other'
}

/** A file as it was when it was opened. */
export interface ReadFile extends FileFacts {
  /** `null` when the file has more bytes than were asked for, or is no ordinary file. */
  readonly bytes: Uint8Array<ArrayBuffer> | null
}

/** A file that is being written. Each method is one step at which power may fail. */
export interface OpenFile {
  readonly write: (bytes: Uint8Array) => Promise<void>
  /** Durable before the promise resolves. */
  readonly sync: () => Promise<void>
  readonly close: () => Promise<void>
}

/** The few things that a {@link KeyFile} does to a file system. Failures are the system's errors with their `code`. */
export interface Files {
  /** Number of the user who runs this process, or `null` where the system has no such notion. */
  readonly user: () => number | null
  /** `null` when there is nothing of that name. */
  readonly facts: (path: string) => Promise<FileFacts | null>
  /** Facts and bytes of one and the same open file; a symbolic link is not followed. `null` when there is nothing of that name. */
  readonly read: (path: string, maxBytes: number) => Promise<ReadFile | null>
  /** A new file for the owner alone; fails with `EEXIST` when the name is taken. */
  readonly create: (path: string) => Promise<OpenFile>
  /** Replaces `to` at one instant. */
  readonly rename: (from: string, to: string) => Promise<void>
  /** Makes names in the directory durable. */
  readonly syncDirectory: (path: string) => Promise<void>
  readonly list: (directory: string) => Promise<readonly string[]>
  /** Not an error when there is nothing of that name. */
  readonly remove: (path: string) => Promise<void>
}

const OWNER_ONLY = 0o600

/** True when `error` is the system's error of that code. */
export const isSystemError = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code

async function orNull<Value>(work: Promise<Value>): Promise<Value | null> {
  try {
    return await work
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return null
    throw error
  }
}

function factsOf(found: Stats): FileFacts & { readonly size: number } {
  const kind = found.isFile() ? 'file' : found.isDirectory() ? 'directory' : 'other'
  return { mode: found.mode & 0o7777, owner: found.uid, kind, size: found.size }
}

async function readAll(handle: FileHandle, size: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(size)
  let at = 0
  while (at < size) {
    const { bytesRead } = await handle.read(bytes, at, size - at, at)
    if (bytesRead === 0) break
    at += bytesRead
  }
  return bytes.subarray(0, at)
}

/** The real file system. */
export const systemFiles: Files = {
  user: () => process.geteuid?.() ?? null,
  facts: async (path) => {
    const found = await orNull(stat(path))
    return found === null ? null : factsOf(found)
  },
  read: async (path, maxBytes) => {
    // Not blocking, so that a pipe in the file's place cannot hang the reader.
    const handle = await orNull(open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK))
    if (handle === null) return null
    try {
      const { size, ...facts } = factsOf(await handle.stat())
      const bytes = facts.kind === 'file' && size <= maxBytes ? await readAll(handle, size) : null
      return { ...facts, bytes }
    } finally {
      await handle.close()
    }
  },
  create: async (path) => {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
    const handle = await open(path, flags, OWNER_ONLY)
    return {
      write: async (bytes) => {
        await handle.writeFile(bytes)
      },
      sync: async () => {
        await handle.sync()
      },
      close: async () => {
        await handle.close()
      },
    }
  },
  rename: async (from, to) => {
    await rename(from, to)
  },
  syncDirectory: async (path) => {
    const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY)
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  },
  list: async (directory) => await readdir(directory),
  remove: async (path) => {
    await rm(path, { force: true })
  },
}
