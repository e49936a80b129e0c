import { RaftLogError } from '../errors.ts'
import { equalBytes } from '../keepers/equal-bytes.ts'
import type { CipherSuite, KeyWrapper } from '../ports.ts'
import type { BackupHeader } from './backup-header.ts'
import { walkBackup } from './walk-backup.ts'

/** What a verified backup is known to be. */
export interface VerifiedBackup {
  /**
   * `all`: opened and authenticated to the last byte, by somebody who could wrap its key (with age recipients: anybody).
   * `structure`: whole and in order, as its own digest says.
   */
  readonly proven: 'all' | 'structure'
  readonly header: BackupHeader
  readonly digest: Uint8Array<ArrayBuffer>
  readonly parts: number
  /** Names of the companions; null without the key. */
  readonly companions: readonly string[] | null
}

/** How to verify a backup. */
export interface VerifyBackupOptions {
  readonly suite: CipherSuite
  /** What the backup's key is wrapped with; without it only the structure is proven. */
  readonly wrapper?: KeyWrapper
  /** The digest that was noted when it was made. With it, nothing can have been changed, also without the key. */
  readonly digest?: Uint8Array
  readonly signal?: AbortSignal
}

/**
 * Reads a backup to its end without restoring anything, in constant memory.
 *
 * Without the key it finds what was cut, swapped or damaged by accident; somebody who changes parts and makes the digest
 * anew is found with the key, or with the digest that was noted.
 *
 * @throws {@link RaftLogError} `BACKUP_MALFORMED`, `BACKUP_TRUNCATED`, `BACKUP_NOT_AUTHENTIC`, `KEYS_WRONG`, or
 * `RECORD_UNSUPPORTED_VERSION`.
 */
export async function verifyBackup(
  source: AsyncIterable<Uint8Array>,
  { suite, wrapper, digest: noted, signal }: VerifyBackupOptions,
): Promise<VerifiedBackup> {
  let header: BackupHeader | null = null
  let digest: Uint8Array<ArrayBuffer> | null = null
  const names: string[] = []
  // The last part has no step of its own with the key.
  let parts = wrapper === undefined ? 0 : 1
  for await (const step of walkBackup(source, { suite, wrapper: wrapper ?? null, signal })) {
    if (step.kind === 'header') header = step.header
    else if (step.kind === 'end') digest = step.digest
    else parts += 1
    if (step.kind === 'companion') names.push(step.companion.name)
  }
  if (header === null || digest === null)
    throw new RaftLogError('BACKUP_TRUNCATED', 'backup is empty; use a whole copy')
  if (noted !== undefined && !equalBytes(noted, digest)) {
    throw new RaftLogError('BACKUP_NOT_AUTHENTIC', 'backup is not the one whose digest was noted; use that one')
  }
  return wrapper === undefined
    ? { proven: 'structure', header, digest, parts, companions: null }
    : { proven: 'all', header, digest, parts, companions: names }
}
