import { constants, fdatasync, ftruncateSync, writeSync, writevSync } from 'node:fs'
import { type FileHandle, open, readdir, rename, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { RaftLogError } from '../errors.ts'
import type { AppendHandle, LogFiles, ReadHandle, WriteAhead } from '../ports.ts'
import { lockDirectory } from './directory-lock.ts'
import { flusher } from './flush.ts'
import { readAhead, type SpareBuffer } from './read-ahead.ts'
import { enterDirectory, syncDirectory } from './safe-directory.ts'
import { guarded, isAbsent, systemError } from './system-error.ts'

const PRIVATE_FILE = 0o600
// Above this the copy into the page cache would hold up the event loop longer than a trip through the thread pool.
const SYNC_WRITE_BYTES = 2 * 1024 * 1024

// A flush of 1 KiB that finds its blocks written already takes about three quarters of the time. 256 KiB serve some 240 of
// these, and holding up the event loop for a copy of so much takes less than the flush that follows.
const ZEROS: Uint8Array = new Uint8Array(256 * 1024)

// What file systems commonly write at least.
const BLOCK_BYTES = 4096

const datasync = promisify(fdatasync)

/** Writes all parts in one call; a system that takes only some of them gets the rest in further ones. */
async function writeAll(handle: FileHandle, parts: readonly Uint8Array[], total: number, at: number): Promise<void> {
  let rest = parts.filter((part) => part.length > 0)
  for (let written = 0; written < total; ) {
    const taken =
      total <= SYNC_WRITE_BYTES
        ? writevSync(handle.fd, rest, at + written)
        : (await handle.writev(rest, at + written)).bytesWritten
    written += taken
    if (written === total) return
    let left = taken
    rest = rest.flatMap((part) => {
      const gone = Math.min(left, part.length)
      left -= gone
      return gone === part.length ? [] : [part.subarray(gone)]
    })
  }
}

function appendHandle(
  handle: FileHandle,
  flush: ReturnType<typeof flusher>,
): AppendHandle & { readonly ahead: WriteAhead } {
  let at = 0
  return {
    append: async (parts, zeros = 0) => {
      const total = parts.reduce((sum, part) => sum + part.length, 0)
      const written = zeros === 0 ? parts : [...parts, ZEROS.subarray(0, zeros)]
      try {
        await writeAll(handle, written, total + zeros, at)
      } catch (error) {
        throw systemError(error)
      }
      at += total
    },
    sync: async () => {
      try {
        await flush(handle.fd)
      } catch (error) {
        throw systemError(error)
      }
    },
    close: async () => {
      await guarded(async () => {
        await handle.close()
      })
    },
    ahead: {
      stepBytes: ZEROS.length,
      blockBytes: BLOCK_BYTES,
      fill: async () => {
        await guarded(() => {
          for (let written = 0; written < ZEROS.length; )
            written += writeSync(handle.fd, ZEROS, written, ZEROS.length - written, at + written)
        })
      },
      cut: async () => {
        await guarded(async () => {
          ftruncateSync(handle.fd, at)
          await datasync(handle.fd)
        })
      },
    },
  }
}

function readHandle(handle: FileHandle, sizeBytes: number, left: SpareBuffer): ReadHandle {
  const fill = async (into: Uint8Array, offset: number): Promise<number> => {
    let filled = 0
    while (filled < into.length) {
      const { bytesRead } = await handle.read(into, filled, into.length - filled, offset + filled)
      if (bytesRead === 0) break
      filled += bytesRead
    }
    return filled
  }
  const { read, settled } = readAhead(sizeBytes, fill, left)
  return {
    sizeBytes,
    read: async (offset, length) => await guarded(async () => await read(offset, length)),
    close: async () => {
      await settled()
      await guarded(async () => {
        await handle.close()
      })
    },
  }
}

/** Opens a file to read; without waiting, where somebody has put a pipe in its place. */
async function openRegular(path: string, file: string, left: SpareBuffer): Promise<ReadHandle> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const found = await handle.stat()
    if (found.isFile()) return readHandle(handle, found.size, left)
  } catch (error) {
    await handle.close()
    throw error
  }
  await handle.close()
  throw new RaftLogError('RECORD_MALFORMED', 'name is taken by what is no file; restore the file from a backup', {
    place: { file, offset: 0 },
  })
}

/** A log's files in a directory of the file system: files 0600, the directory 0700. */
export function nodeFiles(directory: string): LogFiles {
  const flush = flusher()
  const left: SpareBuffer = { buffer: null }
  const path = (name: string): string => join(directory, name)
  return {
    enter: async ({ create }) => await enterDirectory(directory, create),
    lock: async () => {
      const unlock = await guarded(async () => await lockDirectory(directory))
      return async () => {
        await guarded(unlock)
      }
    },
    list: async () => await guarded(async () => await readdir(directory)),
    create: async (name) =>
      await guarded(async () => {
        // Not through a link that somebody may have put there.
        const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW
        return appendHandle(await open(path(name), flags, PRIVATE_FILE), flush)
      }),
    reuse: async (name) =>
      await guarded(async () => {
        const handle = await open(path(name), constants.O_WRONLY | constants.O_NOFOLLOW)
        return appendHandle(handle, flush)
      }),
    open: async (name) =>
      await guarded(async () => {
        try {
          return await openRegular(path(name), name, left)
        } catch (error) {
          if (isAbsent(error)) return null
          throw error
        }
      }),
    truncate: async (name, sizeBytes) => {
      await guarded(async () => {
        const handle = await open(path(name), constants.O_RDWR | constants.O_NOFOLLOW)
        try {
          if ((await handle.stat()).size > sizeBytes) await handle.truncate(sizeBytes)
          await handle.sync()
        } finally {
          await handle.close()
        }
      })
    },
    rename: async (from, to) => {
      await guarded(async () => {
        await rename(path(from), path(to))
      })
    },
    remove: async (name) => {
      await guarded(async () => {
        try {
          await unlink(path(name))
        } catch (error) {
          if (!isAbsent(error)) throw error
        }
      })
    },
    syncDirectory: async () => {
      await guarded(async () => {
        await syncDirectory(directory)
      })
    },
  }
}
