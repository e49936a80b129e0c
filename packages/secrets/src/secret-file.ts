import type { Secret } from './secret.ts'

/** Owner and permission bits. `null` leaves what the mount's own process has. */
export interface FileOwner {
  readonly uid: number | null
  readonly gid: number | null
  readonly mode: number
}

/** A file to be placed. */
export interface SecretFile extends FileOwner {
  /** One path component. */
  readonly name: string
  readonly value: Secret
}
