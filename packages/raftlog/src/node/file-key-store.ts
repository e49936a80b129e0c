import type { Stats } from 'node:fs'
import { RaftLogError } from '../errors.ts'
import type { KeyStore } from '../ports.ts'
import { readSmallFile, replaceFile } from './small-file.ts'

const OTHERS = 0o077
// Two wrapped keys of the largest size, and their ids; anything longer is no key ring.
const MAX_KEY_FILE_BYTES = 16 * 1024

function check(found: Stats): void {
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
}

/**
 * A key store that keeps the key ring alone, in one file of mode 0600, replaced atomically.
 *
 * @param path - Its directory must exist, and must not be the log's own one if the log is to be copied without its keys.
 * @returns The store; `load` refuses with `KEYS_MALFORMED` or `DIRECTORY_UNSAFE`, `save` with `DISK_FULL`,
 * `DIRECTORY_UNWRITABLE` or `LOG_FAILED`.
 */
export function fileKeyStore(path: string): KeyStore {
  return {
    load: async () => await readSmallFile(path, check),
    save: async (keys) => {
      await replaceFile(path, keys)
    },
  }
}
