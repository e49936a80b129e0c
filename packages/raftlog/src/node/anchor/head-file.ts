import { constants } from 'node:fs'
import { type FileHandle, open, rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { HeadFile } from '../../anchor/counter-anchor.ts'
import { RaftLogError } from '../../errors.ts'
import { syncDirectory } from '../safe-directory.ts'
import { guarded, isAbsent } from '../system-error.ts'

const PRIVATE_FILE = 0o600
const OTHERS_WRITE = 0o022
// What counts the value that vouches for a head beside a counter, and the proof.
const MAX_FILE_BYTES = 1024

/**
 * A small file of mode 0600 that is replaced atomically, for the head beside a counter.
 *
 * @param path - Its directory must exist.
 * @param maxBytes - A longer file is refused with `ANCHOR_MALFORMED`; 1024 unless given.
 */
export function headFile(path: string, maxBytes: number = MAX_FILE_BYTES): HeadFile {
  const temporary = `${path}.tmp`
  return {
    load: async () =>
      await guarded(async () => {
        let handle: FileHandle
        try {
          handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
        } catch (error) {
          if (isAbsent(error)) return null
          throw error
        }
        try {
          const found = await handle.stat()
          if (!found.isFile() || found.size > maxBytes) {
            throw new RaftLogError('ANCHOR_MALFORMED', 'anchor is not a file of its size; give the right path')
          }
          if ((found.mode & OTHERS_WRITE) !== 0) {
            throw new RaftLogError('DIRECTORY_UNSAFE', 'anchor can be written by other users; set its mode to 0600')
          }
          return new Uint8Array(await handle.readFile())
        } finally {
          await handle.close()
        }
      }),
    save: async (bytes) => {
      await guarded(async () => {
        await unlink(temporary).catch(() => undefined)
        const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
        const handle = await open(temporary, flags, PRIVATE_FILE)
        try {
          await handle.writeFile(bytes)
          await handle.sync()
        } finally {
          await handle.close()
        }
        await rename(temporary, path)
        await syncDirectory(dirname(path))
      })
    },
  }
}
