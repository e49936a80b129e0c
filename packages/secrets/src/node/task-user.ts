import { SecretsError } from '../errors.ts'

/** Numbers that tasks get as users and groups of their own, from `first` on. */
export interface UserRange {
  readonly first: number
  readonly count: number
}

/** Above the ranges that distributions and container engines give away, below 2^31. */
export const TASK_USER_RANGE: UserRange = { first: 1_900_000_000, count: 65_536 }

/**
 * A number that no running task has, to be used as its uid and its gid: users of their own are what keeps tasks out of each other's files and
 * processes.
 *
 * @param taken - The numbers of the tasks that run now.
 * @throws {@link SecretsError} `ISOLATION_UNAVAILABLE` when the range is used up.
 */
export function allocateTaskUser(taken: ReadonlySet<number>, range: UserRange = TASK_USER_RANGE): number {
  for (let id = range.first; id < range.first + range.count; id += 1) if (!taken.has(id)) return id
  throw new SecretsError(
    'ISOLATION_UNAVAILABLE',
    'every user number for tasks is in use; end some tasks or widen the range',
  )
}
