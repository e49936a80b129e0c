import { type AssignmentSet, checkSet, FRESH_CURSOR } from './assignment-set.ts'
import type { AssignedSecret, AssignedTask } from './assignments.ts'
import { SecretsError } from './errors.ts'
import type { SecretReader } from './ports.ts'
import { Secret } from './secret.ts'

/** What a set changed for the tasks of the worker. */
export interface HoldChange<Task extends AssignedTask> {
  /** Tasks that the set brought, new or changed, in its order. */
  readonly updated: readonly Task[]
  /** Ids of tasks that are assigned no more, whether or not they were released here before. */
  readonly removed: readonly string[]
}

/** Options of {@link createHold}. */
export interface HoldOptions {
  /**
   * Gives memory for a value, for hosts that have some which is never swapped. Must be zero-filled and not be shared.
   * By default an ordinary array.
   */
  readonly allocate?: (sizeBytes: number) => Uint8Array
}

/**
 * The secrets that a worker holds, in memory and nowhere else, each for as long as one of its tasks needs it.
 */
export interface Hold<Task extends AssignedTask> extends Disposable {
  /** Where this hold stands in the assignment stream. */
  readonly cursor: () => string
  /**
   * Takes a set in, all of it or, when it throws, nothing. Values are copied; the handles in the set stay the caller's.
   *
   * A secret leaves, wiped, when it is removed or replaced and when its last task leaves. One that no task has needed yet stays: its
   * task may come with the next set.
   *
   * Throws `ASSIGNMENT_GAP` when the set does not follow on the cursor, or needs a value that was wiped here: the caller reopens
   * the stream, and its complete set is taken at any cursor. Throws `ASSIGNMENT_INVALID`, `ID_INVALID` or
   * `SECRET_VALUE_SIZE` when the set is broken.
   */
  readonly apply: (set: AssignmentSet<Task>) => HoldChange<Task>
  /**
   * A reader for one task. It sees the secrets that the task was assigned and no others, and nothing once the task left.
   *
   * Its `read` rejects with `SECRET_NOT_GRANTED`, or `SECRET_UNKNOWN` for a value that never came.
   */
  readonly reader: (taskId: string) => SecretReader
  /** The task ended here: it needs its secrets no more. A later set that still lists it does not bring them back. */
  readonly release: (taskId: string) => void
  /** Wipes everything and forgets the cursor: the node left, or was removed. Disposing does the same. */
  readonly clear: () => void
  /** Number of secrets held. */
  readonly size: () => number
  /** Ids of the secrets held, sorted. */
  readonly ids: () => readonly string[]
  /** The tasks that may read, in no particular order. */
  readonly tasks: () => readonly Task[]
}

/** Makes an empty hold. */
export function createHold<Task extends AssignedTask>(options?: HoldOptions): Hold<Task> {
  const allocate = options?.allocate ?? ((sizeBytes: number) => new Uint8Array(sizeBytes))
  const values = new Map<string, Secret>()
  const tasks = new Map<string, Task>()
  const counts = new Map<string, number>()
  /** Tasks that ended here while the manager still lists them. */
  const ended = new Set<string>()
  /** Secrets wiped here while the manager believes that they are held. */
  const wiped = new Set<string>()
  let cursor = FRESH_CURSOR

  const discard = (id: string): void => {
    values.get(id)?.[Symbol.dispose]()
    values.delete(id)
  }
  const store = ({ id, value }: AssignedSecret): void => {
    discard(id)
    wiped.delete(id)
    const memory = allocate(value.sizeBytes)
    value.expose((bytes) => {
      memory.set(bytes)
    })
    values.set(id, new Secret(memory))
  }
  const count = (task: Task | undefined, step: 1 | -1): readonly string[] => {
    const ids = [...new Set(task?.secretIds ?? [])]
    for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + step)
    return ids
  }
  const leave = (taskId: string): readonly string[] => {
    const left = count(tasks.get(taskId), -1)
    tasks.delete(taskId)
    return left
  }
  /** Wipes those of `ids` that no task needs any more. */
  const settle = (ids: Iterable<string>): void => {
    for (const id of ids) {
      if ((counts.get(id) ?? 0) > 0) continue
      counts.delete(id)
      if (!values.has(id)) continue
      discard(id)
      wiped.add(id)
    }
  }
  const clear = (): void => {
    for (const id of [...values.keys()]) discard(id)
    for (const known of [tasks, counts, ended, wiped]) known.clear()
    cursor = FRESH_CURSOR
  }

  const checkWiped = (set: AssignmentSet<Task>): void => {
    const brought = new Set<string>()
    for (const { action, item } of set.changes) {
      if (action === 'update' && item.kind === 'secret') brought.add(item.secret.id)
      if (action !== 'update' || item.kind !== 'task' || ended.has(item.task.id)) continue
      if (item.task.secretIds.some((id) => wiped.has(id) && !brought.has(id))) {
        throw new SecretsError(
          'ASSIGNMENT_GAP',
          'a task needs a secret that was wiped here already; reopen the stream with a fresh cursor',
        )
      }
    }
  }

  const apply = (set: AssignmentSet<Task>): HoldChange<Task> => {
    checkSet(cursor, set)
    const before = new Set([...tasks.keys(), ...ended])
    const loose = new Set<string>()
    if (set.type === 'complete') {
      for (const id of [...tasks.keys()]) leave(id)
      for (const id of [...values.keys()]) discard(id)
      counts.clear()
      wiped.clear()
    } else {
      checkWiped(set)
    }
    const updated: Task[] = []
    const removed = new Set(set.type === 'complete' ? before : [])
    for (const change of set.changes) {
      if (change.action === 'remove') {
        const { kind, id } = change.item
        if (kind === 'secret') {
          discard(id)
          wiped.delete(id)
        } else {
          for (const secretId of leave(id)) loose.add(secretId)
          ended.delete(id)
          if (before.has(id)) removed.add(id)
        }
      } else if (change.item.kind === 'secret') {
        store(change.item.secret)
      } else {
        const { task } = change.item
        removed.delete(task.id)
        for (const secretId of leave(task.id)) loose.add(secretId)
        if (ended.has(task.id)) {
          for (const secretId of task.secretIds) loose.add(secretId)
        } else {
          tasks.set(task.id, task)
          count(task, 1)
          updated.push(task)
        }
      }
    }
    for (const id of removed) ended.delete(id)
    settle(loose)
    cursor = set.resultsIn
    return { updated, removed: [...removed] }
  }

  return {
    cursor: () => cursor,
    apply,
    reader: (taskId) => ({
      read: async (id, { signal }) => {
        await Promise.resolve()
        signal.throwIfAborted()
        if (tasks.get(taskId)?.secretIds.includes(id) !== true) {
          throw new SecretsError('SECRET_NOT_GRANTED', 'the secret is not granted to this task; add a reference to it')
        }
        const value = values.get(id)
        if (value === undefined)
          throw new SecretsError(
            'SECRET_UNKNOWN',
            'the secret has not reached this node; look at the manager for the reason',
          )
        return value.clone()
      },
    }),
    release: (taskId) => {
      if (!tasks.has(taskId)) return
      ended.add(taskId)
      settle(leave(taskId))
    },
    clear,
    size: () => values.size,
    ids: () => [...values.keys()].sort(),
    tasks: () => [...tasks.values()],
    [Symbol.dispose]: clear,
  }
}
