import type { HeadFile } from '../../anchor/counter-anchor.ts'
import { RaftLogError } from '../../errors.ts'
import { readSmallFile, replaceFile } from '../small-file.ts'

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
  return {
    load: async () =>
      await readSmallFile(path, (found) => {
        if (!found.isFile() || found.size > maxBytes) {
          throw new RaftLogError('ANCHOR_MALFORMED', 'anchor is not a file of its size; give the right path')
        }
        if ((found.mode & OTHERS_WRITE) !== 0) {
          throw new RaftLogError('DIRECTORY_UNSAFE', 'anchor can be written by other users; set its mode to 0600')
        }
      }),
    save: async (bytes) => {
      await replaceFile(path, bytes)
    },
  }
}
