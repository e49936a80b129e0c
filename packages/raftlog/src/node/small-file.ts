import { constants, type Stats } from 'node:fs'
import { open, rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { syncDirectory } from './safe-directory.ts'
import { guarded, isAbsent } from './system-error.ts'

const PRIVATE_FILE = 0o600

/**
 * Reads a file whole once `check` has found nothing to throw; null if there is none.
 *
 * @throws {@link RaftLogError} `LOG_FAILED` also for a link in its place.
 */
export async function readSmallFile(
  path: string,
  check: (found: Stats) => void,
): Promise<Uint8Array<ArrayBuffer> | null> {
  return await guarded(async () => {
    // Without waiting, where somebody has put a pipe in its place.
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
    const handle = await open(path, flags).catch((error: unknown) => {
      if (isAbsent(error)) return null
      throw error
    })
    if (handle === null) return null
    try {
      check(await handle.stat())
      return new Uint8Array(await handle.readFile())
    } finally {
      await handle.close()
    }
  })
}

/**
 * Gives a file of mode 0600 new content in one step, durable before it resolves.
 *
 * @throws {@link RaftLogError} `DISK_FULL`, `DIRECTORY_UNWRITABLE` or `LOG_FAILED`.
 */
export async function replaceFile(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.tmp`
  await guarded(async () => {
    await unlink(temporary).catch(() => undefined)
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
    const handle = await open(temporary, flags, PRIVATE_FILE)
    try {
      try {
        await handle.writeFile(bytes)
        await handle.sync()
      } finally {
        await handle.close()
      }
      await rename(temporary, path)
    } catch (error) {
      // A key ring without a lock holds its keys in the clear, so none is left lying about.
      await unlink(temporary).catch(() => undefined)
      throw error
    }
    await syncDirectory(dirname(path))
  })
}
