import { accessSync, constants, lstatSync, mkdirSync, rmdirSync } from 'node:fs'
import { codeOf, OrchestratorError } from './errors.ts'

/** Whether a full disk is what is behind an error of a package. */
export function isFull(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    const code = codeOf(at)
    if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'DISK_FULL') return true
  }
  return false
}

/** Words for what the operating system said of a path; the cause is kept. */
export function describeSystemError(error: unknown, path: string): unknown {
  switch (isFull(error) ? 'ENOSPC' : codeOf(error)) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new OrchestratorError('DISK_FULL', `the disk that holds ${path} is full; make room and start again`, {
        cause: error,
      })
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new OrchestratorError(
        'DATA_DIRECTORY_UNWRITABLE',
        `${path} cannot be written by this user; choose another directory or change its owner`,
        { cause: error },
      )
    case 'ENOENT':
      return new OrchestratorError(
        'DATA_DIRECTORY_MISSING',
        `the directory that should hold ${path} does not exist; create it first`,
        { cause: error },
      )
    case 'ENOTDIR':
    case 'EEXIST':
      return new OrchestratorError('DATA_DIRECTORY_UNWRITABLE', `${path} is not a directory; choose another place`, {
        cause: error,
      })
    case null:
    default:
      return error
  }
}

/**
 * Makes sure that `path` is a directory which is ours alone, creating its last part when missing.
 *
 * @returns what takes a directory that was made here away again, as long as nothing is in it: for a start that is refused.
 */
export function prepareDataDirectory(path: string): () => void {
  try {
    mkdirSync(path, { mode: 0o700 })
    return () => {
      try {
        rmdirSync(path)
      } catch {
        // Something is in it by now, so it stays.
      }
    }
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw describeSystemError(error, path)
  }
  const stat = lstatSync(path)
  if (!stat.isDirectory())
    throw new OrchestratorError('DATA_DIRECTORY_UNWRITABLE', `${path} is not a directory; choose another place`)
  if (process.getuid !== undefined && stat.uid !== process.getuid()) {
    throw new OrchestratorError(
      'DATA_DIRECTORY_FOREIGN',
      `${path} belongs to user ${stat.uid}; run as that user, or choose another directory`,
    )
  }
  if ((stat.mode & 0o077) !== 0) {
    throw new OrchestratorError('DATA_DIRECTORY_OPEN', `${path} can be entered by other users; run: chmod 700 on it`)
  }
  try {
    // Before a token is spent or a cluster is made whose keys cannot be kept.
    accessSync(path, constants.W_OK | constants.X_OK)
  } catch (error) {
    throw describeSystemError(error, path)
  }
  return () => undefined
}
