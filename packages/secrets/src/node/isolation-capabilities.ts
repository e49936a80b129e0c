/**
 * How far tasks are kept apart, strongest first.
 *
 * - `namespace`: mounts and processes of its own, the other tasks' files hidden; as root also a user of its own.
 * - `uid`: a user of its own; the other tasks' files are closed to it.
 * - `directory`: the worker's own user and a private directory; closed to other users, not to the worker's other tasks.
 *   As root it is never chosen, only asked for.
 */
export type IsolationLevel = 'namespace' | 'uid' | 'directory'

/** What the machine allows, as {@link probeIsolation} found by trying. Plain data: a host may log it or write its own. */
export interface IsolationCapabilities {
  /** Whether the worker runs as root and may start tasks as other users. */
  readonly root: boolean
  /** Levels that worked, strongest first. */
  readonly levels: readonly IsolationLevel[]
  /** Whether level `namespace` can show the task its files under `/run/secrets`. */
  readonly runSecrets: boolean
  /** Absolute paths of the programs that level `namespace` uses; `null` for one that is missing. */
  readonly programs: Readonly<Record<IsolationProgram, string | null>>
}

/** Programs of util-linux, and the shell. */
export type IsolationProgram = 'unshare' | 'setpriv' | 'mount' | 'sh'
