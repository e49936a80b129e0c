import type { Secret } from './secret.ts'
import type { FileOwner, SecretFile } from './secret-file.ts'

/** Time as the host sees it. Instants are epoch milliseconds. */
export interface Clock {
  readonly now: () => number
  readonly sleep: (ms: number, options: { readonly signal: AbortSignal }) => Promise<void>
}

/**
 * Three values that make a durable state machine: no I/O, no clock, no randomness.
 *
 * `decide` throws the package's coded error and changes nothing; replaying all events through `evolve` gives the state back.
 */
export interface Decider<State, Command, Event> {
  readonly initial: State
  readonly decide: (state: State, command: Command) => readonly Event[]
  readonly evolve: (state: State, event: Event) => State
}

/** Where secret values come from: a worker's hold, or a provider outside the cluster. */
export interface SecretReader {
  /**
   * Reads one secret by id.
   *
   * The handle is a copy of its own: the caller disposes it, and the source may wipe its bytes at any time.
   * Throws `SECRET_NOT_GRANTED` for an id outside of what this reader may see, `SECRET_UNKNOWN` for one
   * that it may see and does not have; rejects with the signal's reason once that is aborted.
   */
  readonly read: (id: string, options: { readonly signal: AbortSignal }) => Promise<Secret>
}

/** A place that lives in memory only, in which each task has one directory of secret files. */
export interface SecretMount {
  /**
   * Makes all files of a task appear at once, or none of them.
   *
   * Throws `TASK_DELIVERED` if the task already has a directory, `MOUNT_FULL` if there is no room, `OWNER_REFUSED` if a
   * file cannot be given to its owner, `MOUNT_FAILED` for any other fault; each of them leaves nothing behind, and so
   * does an aborted signal. The bytes of `files` are only read, and stay the caller's.
   *
   * @returns The absolute path of the directory, as far as the mount has one.
   */
  readonly place: (
    taskId: string,
    directory: FileOwner,
    files: readonly SecretFile[],
    options: { readonly signal: AbortSignal },
  ) => Promise<string>
  /**
   * Takes the directory of a task away at once, then overwrites and removes its files.
   *
   * @returns `false` if the task had none.
   */
  readonly withdraw: (taskId: string) => Promise<boolean>
  /** The ids of the tasks that have a directory now, sorted. */
  readonly list: () => Promise<readonly string[]>
}
