import { constants, writevSync } from 'node:fs'
import { type FileHandle, open, readdir, rename, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { AppendHandle, LogFiles, ReadHandle } from '../ports.ts'
import { lockDirectory } from './directory-lock.ts'
import { flusher } from './flush.ts'
import { enterDirectory, syncDirectory } from './safe-directory.ts'
import { guarded, isAbsent } from './system-error.ts'

const PRIVATE_FILE = 0o600
// Above this the copy into the page cache would hold up the event loop longer than a trip through the thread pool.
const SYNC_WRITE_BYTES = 2 * 1024 * 1024

/** Writes all parts in one call; a system that takes only some of them gets the rest in further ones. */
async function writeAll(handle: FileHandle, parts: readonly Uint8Array[]): Promise<void> {
  const total = parts.reduce((sum, part) => sum + part.length, 0)
  let rest = parts.filter((part) => part.length > 0)
  for (let written = 0; written < total; ) {
    const taken = total <= SYNC_WRITE_BYTES ? writevSync(handle.fd, rest) : (await handle.writev(rest)).bytesWritten
    written += taken
    let left = taken
    rest = rest.flatMap((part) => {
      const gone = Math.min(left, part.length)
      left -= gone
      return gone === part.length ? [] : [part.subarray(gone)]
    })
  }
}

const appendHandle = (handle: FileHandle, flush: ReturnType<typeof flusher>): AppendHandle => ({
  append: async (parts) => {
    await guarded(async () => {
      await writeAll(handle, parts)
    })
  },
  sync: async (options) => {
    await guarded(async () => {
      await flush(handle.fd, options)
    })
  },
  close: async () => {
    await guarded(async () => {
      await handle.close()
    })
  },
})

/** One buffer serves all reads: fresh memory for each would cost more than the reading. */
function readHandle(handle: FileHandle, sizeBytes: number): ReadHandle {
  let buffer = Buffer.alloc(0)
  return {
    sizeBytes,
    read: async (offset, length) =>
      await guarded(async () => {
        if (buffer.length < length) buffer = Buffer.allocUnsafeSlow(length)
        let filled = 0
        while (filled < length) {
          const { bytesRead } = await handle.read(buffer, filled, length - filled, offset + filled)
          if (bytesRead === 0) break
          filled += bytesRead
        }
        return new Uint8Array(buffer.buffer, buffer.byteOffset, filled)
      }),
    close: async () => {
      await handle.close()
    },
  }
}

/** Options of {@link nodeFiles}. */
export interface NodeFilesOptions {
  /**
   * Whether the event loop has nothing else to do. Then a short flush that one append alone waits for may block it;
   * unless given, none ever does.
   */
  readonly isIdle?: () => boolean
}

/** A log's files in a directory of the file system: files 0600, the directory 0700. */
export function nodeFiles(directory: string, { isIdle = () => false }: NodeFilesOptions = {}): LogFiles {
  const flush = flusher({ isIdle })
  const path = (name: string): string => join(directory, name)
  return {
    enter: async ({ create }) => await enterDirectory(directory, create),
    lock: async () => await guarded(async () => await lockDirectory(directory)),
    list: async () => await guarded(async () => await readdir(directory)),
    create: async (name) =>
      await guarded(async () => {
        // Not through a link that somebody may have put there.
        const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW
        return appendHandle(await open(path(name), flags, PRIVATE_FILE), flush)
      }),
    open: async (name) =>
      await guarded(async () => {
        try {
          const handle = await open(path(name), constants.O_RDONLY | constants.O_NOFOLLOW)
          return readHandle(handle, (await handle.stat()).size)
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
