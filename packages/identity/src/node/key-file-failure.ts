import { IdentityError } from '../errors.ts'
import { isSystemError } from './files.ts'

const REASONS: readonly (readonly [code: string, reason: string])[] = [
  ['ENOSPC', 'no space is left on its disk; free some, then try again'],
  ['EDQUOT', 'the disk quota of this user is used up; free some space, then try again'],
  ['EACCES', 'this user has no right to it; give the directory and the file to the user who runs this process'],
  ['EPERM', 'this user has no right to it; give the directory and the file to the user who runs this process'],
  ['EROFS', 'its file system is read-only; choose a directory that can be written'],
  ['ENOENT', 'its directory does not exist; create it first'],
  ['ENOTDIR', 'its directory is no directory; choose another path'],
  ['ELOOP', 'it is a symbolic link, which is not followed; name the file itself'],
]

const reasonOf = (cause: unknown): string =>
  REASONS.find(([code]) => isSystemError(cause, code))?.[1] ??
  'the system reported an error, which is the cause of this one'

/** The key file could not be written; what was there before is still there, or all of the new content is. */
export const writeFailed = (cause: unknown): IdentityError =>
  new IdentityError('KEY_FILE_WRITE_FAILED', `cannot write the key file: ${reasonOf(cause)}`, { cause })

/** The key file is there and could not be read. */
export const readFailed = (cause: unknown): IdentityError =>
  new IdentityError('KEY_FILE_READ_FAILED', `cannot read the key file: ${reasonOf(cause)}`, { cause })
