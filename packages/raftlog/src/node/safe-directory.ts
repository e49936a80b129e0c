import { closeSync, fsync, openSync } from 'node:fs'
import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { RaftLogError } from '../errors.ts'
import { isAbsent, isPresent, systemError } from './system-error.ts'

const PRIVATE_DIRECTORY = 0o700
const OTHERS_WRITE = 0o022

const flush = promisify(fsync)

/** Makes what was done to the names in a directory durable. */
export async function syncDirectory(directory: string): Promise<void> {
  // To open and close it here takes less than the way to another thread and back, which only the flush is worth.
  const fd = openSync(directory, 'r')
  try {
    await flush(fd)
  } finally {
    closeSync(fd)
  }
}

/**
 * Makes sure that a directory is there, is one, is ours and is written by nobody else; gives false if it is absent
 * and not to be created. A new one gets mode 0700.
 *
 * @throws {@link RaftLogError} `DIRECTORY_UNSAFE`, `DIRECTORY_UNWRITABLE` or `DISK_FULL`.
 */
export async function enterDirectory(directory: string, create: boolean): Promise<boolean> {
  try {
    if (create) await makeDirectory(directory)
    const found = await stat(directory)
    if (!found.isDirectory()) throw unsafe('is not a directory')
    const me = process.geteuid?.()
    if (me !== undefined && found.uid !== me) throw unsafe('belongs to another user')
    if ((found.mode & OTHERS_WRITE) !== 0) throw unsafe('can be written by other users')
    return true
  } catch (error) {
    if (isAbsent(error) && !create) return false
    throw systemError(error)
  }
}

async function makeDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory, { mode: PRIVATE_DIRECTORY })
    await syncDirectory(dirname(directory))
  } catch (error) {
    if (!isPresent(error)) throw error
  }
}

const unsafe = (what: string): RaftLogError =>
  new RaftLogError('DIRECTORY_UNSAFE', `log directory ${what}; give one that this user alone can write (mode 0700)`)
