import { lstatSync, mkdirSync } from 'node:fs'
import { codeOf, OrchestratorError } from './errors.ts'

/** Words for what the operating system said of a path; the cause is kept. */
export function describeSystemError(error: unknown, path: string): unknown {
  switch (codeOf(error)) {
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

/** Makes sure that `path` is a directory which is ours alone, creating its last part when missing. */
export function prepareDataDirectory(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 })
    return
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
}
