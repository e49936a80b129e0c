import { constants } from 'node:fs'
import { type FileHandle, open, rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { RaftLogError } from '../errors.ts'
import type { KeyStore } from '../ports.ts'
import { syncDirectory } from './safe-directory.ts'
import { guarded, isAbsent } from './system-error.ts'

const PRIVATE_FILE = 0o600
const OTHERS = 0o077
// Two wrapped keys of the largest size, and their ids; anything longer is no key ring.
const MAX_KEY_FILE_BYTES = 16 * 1024

async function readAll(handle: FileHandle): Promise<Uint8Array> {
  const found = await handle.stat()
  if (!found.isFile()) throw new RaftLogError('KEYS_MALFORMED', 'key file is not a file; give the right path')
  if ((found.mode & OTHERS) !== 0) {
    throw new RaftLogError(
      'DIRECTORY_UNSAFE',
      'key file is open to other users; set its mode to 0600 and rotate its keys',
    )
  }
  if (found.size > MAX_KEY_FILE_BYTES) {
    throw new RaftLogError('KEYS_MALFORMED', `key file has ${found.size} bytes; restore it from a backup`)
  }
  return new Uint8Array(await handle.readFile())
}

/**
 * A key store that keeps the key ring alone, in one file of mode 0600, replaced atomically.
 *
 * @param path - Its directory must exist, and must not be the log's own one if the log is to be copied without its keys.
 * @returns The store; `load` refuses with `KEYS_MALFORMED` or `DIRECTORY_UNSAFE`, `save` with `DISK_FULL`,
 * `DIRECTORY_UNWRITABLE` or `LOG_FAILED`.
 */
export function fileKeyStore(path: string): KeyStore {
  const temporary = `${path}.tmp`
  return {
    load: async () =>
      await guarded(async () => {
        let handle: FileHandle
        try {
          // Without waiting, where somebody has put a pipe in its place.
          handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
        } catch (error) {
          if (isAbsent(error)) return null
          throw error
        }
        try {
          return await readAll(handle)
        } finally {
          await handle.close()
        }
      }),
    save: async (keys) => {
      await guarded(async () => {
        await unlink(temporary).catch(() => undefined)
        const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
        const handle = await open(temporary, flags, PRIVATE_FILE)
        try {
          try {
            await handle.writeFile(keys)
            await handle.sync()
          } finally {
            await handle.close()
          }
          await rename(temporary, path)
        } catch (error) {
          // A ring without a lock holds its keys in the clear, so none is left lying about.
          await unlink(temporary).catch(() => undefined)
          throw error
        }
        await syncDirectory(dirname(path))
      })
    },
  }
}
