import { RaftLogError } from '../errors.ts'

const FULL = new Set(['ENOSPC', 'EDQUOT'])
const REFUSED = new Set(['EACCES', 'EPERM', 'EROFS'])
const MISSING = new Set(['ENOENT', 'ENOTDIR'])

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown'

/** Whether the system said that there is no such file. */
export const isAbsent = (error: unknown): boolean => codeOf(error) === 'ENOENT'

/** Whether the system said that the file is there already. */
export const isPresent = (error: unknown): boolean => codeOf(error) === 'EEXIST'

/** What a failed call to the system means for a log. */
export function systemError(error: unknown): RaftLogError {
  if (error instanceof RaftLogError) return error
  const code = codeOf(error)
  const cause = { cause: error }
  if (FULL.has(code)) return new RaftLogError('DISK_FULL', 'disk is full; make room and open the log again', cause)
  if (REFUSED.has(code)) {
    return new RaftLogError(
      'DIRECTORY_UNWRITABLE',
      `directory cannot be used (${code}); give this process access`,
      cause,
    )
  }
  if (MISSING.has(code)) {
    return new RaftLogError(
      'DIRECTORY_UNWRITABLE',
      `file or directory is not there (${code}); see that the path is right and the directory above it exists`,
      cause,
    )
  }
  if (code === 'EISDIR')
    return new RaftLogError('DIRECTORY_UNSAFE', 'a directory stands in the place of a file; name the file', cause)
  if (code === 'ELOOP') {
    return new RaftLogError(
      'DIRECTORY_UNSAFE',
      'a link stands in the place of a file; put the file itself there',
      cause,
    )
  }
  return new RaftLogError('LOG_FAILED', `disk failed (${code}); check it and open the log again`, cause)
}

/** Runs a system call and turns its failure into a coded error. */
export async function guarded<T>(call: () => Promise<T> | T): Promise<T> {
  try {
    return await call()
  } catch (error) {
    throw systemError(error)
  }
}
