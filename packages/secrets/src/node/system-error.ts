import { SecretsError } from '../errors.ts'

/** The system's own code of an error, such as `ENOENT`; `null` for an error of another kind. */
export function systemCode(error: unknown): string | null {
  const code = error instanceof Error && 'syscall' in error && 'code' in error ? error.code : null
  return typeof code === 'string' ? code : null
}

const FULL: readonly (string | null)[] = ['ENOSPC', 'EDQUOT', 'ENOMEM']

/** What a fault while files are placed means to a caller; an error that is no system error is handed back as it is. */
export function placingFault(error: unknown): unknown {
  const code = systemCode(error)
  if (code === null) return error
  if (FULL.includes(code)) {
    return new SecretsError(
      'MOUNT_FULL',
      'the mount has no room for the files of the task; end other tasks or enlarge it',
      { cause: error },
    )
  }
  return new SecretsError(
    'MOUNT_FAILED',
    `the files of the task cannot be placed (${code}); look at the state of the mount`,
    { cause: error },
  )
}

/** What a fault while files are wiped means to a caller; an error that is no system error is handed back as it is. */
export function wipingFault(error: unknown): unknown {
  const code = systemCode(error)
  if (code === null) return error
  return new SecretsError('MOUNT_FAILED', `not all files can be wiped (${code}); look at the delivery root`, {
    cause: error,
  })
}
