import { redact } from '../leaks/leak-redaction.ts'
import { findLeaks, type Leak } from '../leaks/leak-scanner.ts'

/**
 * A token or key in a file.
 *
 * `path` is as it was given or found, but redacted: a path may hold a secret itself, and this one may be printed.
 */
export interface FileLeak {
  readonly type: 'leak'
  readonly path: string
  /** In a name, line, column and offset are those in the path. */
  readonly place: 'content' | 'name'
  readonly leak: Leak
}

/**
 * Why a file was not (or not wholly) read: it is not there; the system denied it; it is larger than the limit; it was named and is a symbolic
 * link, or a pipe, a socket or a device; reading it failed in another way.
 */
export type UnreadReason = 'absent' | 'denied' | 'too-large' | 'symbolic-link' | 'special-file' | 'failed'

/** A file or directory in which there may be leaks that were not seen. */
export interface FileUnread {
  readonly type: 'unread'
  /** Redacted. */
  readonly path: string
  readonly reason: UnreadReason
}

/** A file that was read to its end, after its leaks. */
export interface FileScanned {
  readonly type: 'scanned'
  /** Redacted. */
  readonly path: string
  readonly bytes: number
}

/** What a scan of files tells, one at a time. */
export type FileFinding = FileLeak | FileUnread | FileScanned

/** The leaks in a path that reach into its last `nameLength` characters: those before belong to a directory and were told with it. */
export function leaksInName(path: string, nameLength: number = path.length): readonly FileLeak[] {
  const start = path.length - nameLength
  return findLeaks(path)
    .filter((leak) => leak.offset + leak.length > start)
    .map((leak) => ({ type: 'leak', path: redact(path), place: 'name', leak }))
}
