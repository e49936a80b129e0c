import { constants } from 'node:fs'
import { open, rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { BackupReceipt } from '../../backup/create-backup.ts'
import { RaftLogError } from '../../errors.ts'
import { syncDirectory } from '../safe-directory.ts'
import { guarded, isAbsent, isPresent } from '../system-error.ts'

const PRIVATE_FILE = 0o600
const READ_BYTES = 256 * 1024

/**
 * Writes the pieces of a backup into a new file of mode 0600, which has its name only once it is whole and durable.
 *
 * @param path - Must not exist; its directory must.
 * @param pieces - What `createBackup` gives.
 * @returns What `createBackup` returned.
 * @throws {@link RaftLogError} `LOG_EXISTS` if a file is being written, or was written, under this name; `DISK_FULL`,
 * `DIRECTORY_UNWRITABLE`, `LOG_FAILED`, and what making the backup throws.
 */
export async function writeBackupFile(
  path: string,
  pieces: AsyncGenerator<Uint8Array, BackupReceipt, void>,
): Promise<BackupReceipt> {
  const temporary = `${path}.part`
  try {
    const handle = await guarded(async () => {
      // Taken for good before anything is written: two backups must not fill one file.
      const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
      await refuseIfThere(path)
      return await open(temporary, flags, PRIVATE_FILE).catch((error: unknown) => {
        throw isPresent(error) ? exists() : error
      })
    })
    try {
      for (;;) {
        const { done, value } = await pieces.next()
        if (done === true) {
          await guarded(async () => {
            await handle.sync()
            await rename(temporary, path)
            await syncDirectory(dirname(path))
          })
          return value
        }
        await guarded(async () => {
          await handle.writeFile(value)
        })
      }
    } catch (error) {
      await unlink(temporary).catch(() => undefined)
      throw error
    } finally {
      await handle.close()
    }
  } finally {
    await pieces.return(undefined as never)
  }
}

const exists = (): RaftLogError =>
  new RaftLogError(
    'LOG_EXISTS',
    'something is there under this name, or with .part behind it from a backup that was cut short; give another name',
  )

async function refuseIfThere(path: string): Promise<void> {
  try {
    await (await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)).close()
  } catch (error) {
    if (isAbsent(error)) return
    throw error
  }
  throw exists()
}

/**
 * Reads a backup file piece by piece.
 *
 * @throws {@link RaftLogError} `LOG_MISSING` if there is none; `DIRECTORY_UNWRITABLE` or `LOG_FAILED`.
 */
export async function* readBackupFile(path: string): AsyncGenerator<Uint8Array<ArrayBuffer>, void, void> {
  const handle = await guarded(async () => {
    try {
      return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
    } catch (error) {
      if (isAbsent(error))
        throw new RaftLogError('LOG_MISSING', 'there is no backup under this name; give the right path')
      throw error
    }
  })
  try {
    for (;;) {
      const piece = new Uint8Array(READ_BYTES)
      const { bytesRead } = await guarded(async () => await handle.read(piece, 0, READ_BYTES, null))
      if (bytesRead === 0) return
      yield piece.subarray(0, bytesRead)
    }
  } finally {
    await handle.close()
  }
}
