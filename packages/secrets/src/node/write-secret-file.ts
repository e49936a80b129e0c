import { closeSync, constants, fchmodSync, fchownSync, openSync, writeSync } from 'node:fs'
import { SecretsError } from '../errors.ts'
import type { FileOwner, SecretFile } from '../secret-file.ts'
import { systemCode } from './system-error.ts'

/** Leaves an id as it is, to chown(2). */
const UNCHANGED = -1

/**
 * Gives an open file or directory to its owner.
 *
 * @throws {@link SecretsError} `OWNER_REFUSED` when this process may not.
 */
export function giveTo(descriptor: number, { uid, gid }: FileOwner): void {
  if (uid === null && gid === null) return
  try {
    fchownSync(descriptor, uid ?? UNCHANGED, gid ?? UNCHANGED)
  } catch (error) {
    const code = systemCode(error)
    if (code !== 'EPERM' && code !== 'EINVAL') throw error
    throw new SecretsError(
      'OWNER_REFUSED',
      'a file cannot be given to the user or group that its reference names; run the worker as root, or leave uid and gid out',
      { cause: error },
    )
  }
}

/** Writes one new file. Owner and mode are set before the first byte is in it. */
export function writeSecretFile(directory: string, file: SecretFile): void {
  const descriptor = openSync(
    `${directory}/${file.name}`,
    constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
    0o600,
  )
  try {
    giveTo(descriptor, file)
    // Not through the creation mode: that one passes the process's umask.
    fchmodSync(descriptor, file.mode)
    file.value.expose((bytes) => {
      for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at)
    })
  } finally {
    closeSync(descriptor)
  }
}
