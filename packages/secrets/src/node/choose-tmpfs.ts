import { SecretsError } from '../errors.ts'
import { checkId } from '../limits.ts'
import { openTmpfsMount, type TmpfsMount, type TmpfsMountOptions } from './tmpfs-mount.ts'

/** Options of {@link chooseTmpfs}. */
export interface ChooseTmpfsOptions extends TmpfsMountOptions {
  /** Tells the workers of one machine apart; the id of the node does. One path component. */
  readonly name: string
  /** A directory that the operator chose: then no other one is tried. */
  readonly directory?: string
}

/**
 * Where a delivery root may lie, best first: the operator's directory alone, else the machine's shared memory, else
 * the user's run-time directory.
 *
 * @throws {@link SecretsError} `ID_INVALID` if the name is no safe path component.
 */
export function tmpfsCandidates({ name, directory }: ChooseTmpfsOptions, uid: number): readonly string[] {
  checkId(name, 'node')
  if (directory !== undefined) return [directory]
  return [`/dev/shm/leastwise-${uid}-${name}`, `/run/user/${uid}/leastwise-${name}`]
}

/**
 * Opens the first candidate that proves to be tmpfs or ramfs and safe.
 *
 * @throws {@link SecretsError} the code of the last candidate, with the others' errors in `cause`, when none does.
 * @see {@link openTmpfsMount}
 */
export function chooseTmpfs(options: ChooseTmpfsOptions): TmpfsMount {
  const failures: SecretsError[] = []
  for (const candidate of tmpfsCandidates(options, process.geteuid?.() ?? 0)) {
    try {
      return openTmpfsMount(candidate, options)
    } catch (error) {
      if (!(error instanceof SecretsError)) throw error
      failures.push(error)
    }
  }
  const last = failures.at(-1)
  if (last === undefined || failures.length === 1) throw last ?? new TypeError('expected a candidate')
  throw new SecretsError(
    last.code,
    `no memory-only directory was found: ${failures.map((failure) => failure.message).join('; ')}`,
    { cause: new AggregateError(failures) },
  )
}
