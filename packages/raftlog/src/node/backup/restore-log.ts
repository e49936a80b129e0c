import { type RestoredBackup, restoreBackup } from '../../backup/restore-backup.ts'
import type { KeyWrapper } from '../../ports.ts'
import { type LogOptions, logParts } from '../open-log.ts'

/** Where to restore to, and what opens the backup. */
export interface RestoreLogOptions extends Omit<LogOptions, 'anchoring'> {
  /** Opens the backup's key; `wrapper` is what the data keys of the restored log are wrapped with. */
  readonly backupWrapper: KeyWrapper
  /** The digest that was noted when it was made; another backup is refused. */
  readonly digest?: Uint8Array
  readonly signal?: AbortSignal
}

/**
 * Makes a log out of a backup, in a directory that is absent or empty; see `restoreBackup` for what holds meanwhile.
 *
 * @param source - Say `readBackupFile`.
 * @throws RaftLogError `LOG_EXISTS`, `LOG_FOREIGN`, `KEYS_WRONG`, `BACKUP_MALFORMED`, `BACKUP_TRUNCATED`,
 * `BACKUP_NOT_AUTHENTIC`, `RECORD_UNSUPPORTED_VERSION`, and what creating a log throws.
 */
export async function restoreLog(
  source: AsyncIterable<Uint8Array>,
  { backupWrapper, digest, signal, ...options }: RestoreLogOptions,
): Promise<RestoredBackup> {
  return await restoreBackup(source, {
    wrapper: backupWrapper,
    log: logParts(options),
    ...(digest === undefined ? {} : { digest }),
    ...(signal === undefined ? {} : { signal }),
  })
}
