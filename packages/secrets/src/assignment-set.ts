import type { AssignedSecret, AssignedTask, Assignments } from './assignments.ts'
import { SecretsError } from './errors.ts'
import { checkId, checkValueSize } from './limits.ts'

/** One step towards what a node is to have. */
export type AssignmentChange<Task extends AssignedTask> =
  | { readonly action: 'update'; readonly item: { readonly kind: 'secret'; readonly secret: AssignedSecret } }
  | { readonly action: 'update'; readonly item: { readonly kind: 'task'; readonly task: Task } }
  | { readonly action: 'remove'; readonly item: { readonly kind: 'secret' | 'task'; readonly id: string } }

/**
 * One message of the assignment stream (Docker Swarm's numbering): a complete set opens it with `appliesTo` empty and
 * `resultsIn` "1"; each incremental set applies to what the one before resulted in.
 */
export interface AssignmentSet<Task extends AssignedTask> {
  readonly type: 'complete' | 'incremental'
  readonly appliesTo: string
  readonly resultsIn: string
  /** In order: secrets before the tasks that need them, removed tasks before removed secrets. */
  readonly changes: readonly AssignmentChange<Task>[]
}

/** What a receiver has, and where it stands in the stream. */
export interface AssignmentView<Task extends AssignedTask> {
  /** `resultsIn` of the last set, {@link FRESH_CURSOR} before the first. */
  readonly cursor: string
  readonly assignments: Assignments<Task>
}

/** The cursor of a stream that was just opened. */
export const FRESH_CURSOR = ''
/** A counter of 64 bits has 20 digits; a cursor of another maker gets some room. */
export const MAX_CURSOR_LENGTH = 64
/** Bounds the work that one message can cause; a node with more is sent several. */
export const MAX_CHANGES = 100_000
/** Bounds the secrets of one task on the receiving side. */
export const MAX_TASK_SECRETS = 4096

const COUNTER = /^[1-9][0-9]{0,14}$/

const putSecret = (secret: AssignedSecret): AssignmentChange<never> => ({
  action: 'update',
  item: { kind: 'secret', secret },
})
const putTask = <Task extends AssignedTask>(task: Task): AssignmentChange<Task> => ({
  action: 'update',
  item: { kind: 'task', task },
})
const drop = (kind: 'secret' | 'task', id: string): AssignmentChange<never> => ({
  action: 'remove',
  item: { kind, id },
})
const byId = <Item extends { readonly id: string }>(items: readonly Item[]): Map<string, Item> =>
  new Map(items.map((item) => [item.id, item]))

/** The first message of a stream: everything that the node is to have; the receiver lets go of all else. */
export function completeSet<Task extends AssignedTask>(assignments: Assignments<Task>): AssignmentSet<Task> {
  const changes = [...assignments.secrets.map(putSecret), ...assignments.tasks.map(putTask)]
  return { type: 'complete', appliesTo: FRESH_CURSOR, resultsIn: '1', changes }
}

/**
 * What changed between two assignments of one node, as the next message of its stream.
 *
 * @param cursor - `resultsIn` of the message before.
 * @param options - `sameTask` tells whether a task needs to be sent again; by default whether it is the same object, which is so
 * for the tasks of a catalogue.
 * @returns `null` when nothing changed: there is nothing to send, and the cursor stays.
 * @throws RangeError if the cursor is none that {@link completeSet} or this function gave.
 */
export function incrementalSet<Task extends AssignedTask>(
  previous: Assignments<Task>,
  next: Assignments<Task>,
  cursor: string,
  options?: { readonly sameTask?: (before: Task, after: Task) => boolean },
): AssignmentSet<Task> | null {
  if (!COUNTER.test(cursor)) throw new RangeError('expected the cursor of the previous set, a counter from 1')
  const sameTask = options?.sameTask ?? Object.is
  const before = { secrets: byId(previous.secrets), tasks: byId(previous.tasks) }
  const after = { secrets: byId(next.secrets), tasks: byId(next.tasks) }
  const changes: AssignmentChange<Task>[] = []
  for (const secret of next.secrets) {
    const old = before.secrets.get(secret.id)
    if (old?.name !== secret.name || !old.value.equals(secret.value)) changes.push(putSecret(secret))
  }
  for (const task of next.tasks) {
    const old = before.tasks.get(task.id)
    if (old === undefined || !sameTask(old, task)) changes.push(putTask(task))
  }
  for (const { id } of previous.tasks) if (!after.tasks.has(id)) changes.push(drop('task', id))
  for (const { id } of previous.secrets) if (!after.secrets.has(id)) changes.push(drop('secret', id))
  if (changes.length === 0) return null
  return { type: 'incremental', appliesTo: cursor, resultsIn: String(Number(cursor) + 1), changes }
}

function checkChange(change: AssignmentChange<AssignedTask>): void {
  if (change.action === 'remove') {
    checkId(change.item.id, change.item.kind)
  } else if (change.item.kind === 'secret') {
    checkId(change.item.secret.id, 'secret')
    checkValueSize(change.item.secret.value.sizeBytes)
  } else {
    const { id, secretIds } = change.item.task
    checkId(id, 'task')
    if (secretIds.length > MAX_TASK_SECRETS)
      throw new SecretsError(
        'ASSIGNMENT_INVALID',
        `a task needs at most ${MAX_TASK_SECRETS} secrets; refuse the manager that sent it`,
      )
    for (const secretId of secretIds) checkId(secretId, 'secret')
  }
}

/**
 * Proves that a set may follow on `cursor`: a complete one always, since it opens a new stream, an incremental one only where it applies.
 *
 * @throws {@link SecretsError} `ASSIGNMENT_GAP` when a message is missing: reopen the stream with a fresh cursor.
 * @throws {@link SecretsError} `ASSIGNMENT_INVALID`, `ID_INVALID` or `SECRET_VALUE_SIZE` when the set itself is broken.
 */
export function checkSet(cursor: string, set: AssignmentSet<AssignedTask>): void {
  const { type, appliesTo, resultsIn, changes } = set
  const opens = type === 'complete'
  if (
    resultsIn === '' ||
    resultsIn.length > MAX_CURSOR_LENGTH ||
    resultsIn === appliesTo ||
    (opens && appliesTo !== FRESH_CURSOR)
  ) {
    throw new SecretsError('ASSIGNMENT_INVALID', 'the assignment set is not numbered as one; reopen the stream')
  }
  if (!opens && (cursor === FRESH_CURSOR || appliesTo !== cursor)) {
    throw new SecretsError(
      'ASSIGNMENT_GAP',
      'the assignment set does not follow on the last one; reopen the stream with a fresh cursor',
    )
  }
  if (changes.length > MAX_CHANGES)
    throw new SecretsError(
      'ASSIGNMENT_INVALID',
      `an assignment set has at most ${MAX_CHANGES} changes; refuse the manager that sent it`,
    )
  changes.forEach(checkChange)
}

/**
 * Folds a set into a view: the receiving side as a pure function. Removing what is not there is no fault.
 *
 * The secrets' handles go over as they are; see {@link createHold} for a receiver that owns, counts and wipes them.
 *
 * @throws {@link SecretsError} as {@link checkSet} does; the view then stays as it was.
 */
export function applySet<Task extends AssignedTask>(
  view: AssignmentView<Task>,
  set: AssignmentSet<Task>,
): AssignmentView<Task> {
  checkSet(view.cursor, set)
  const fresh = set.type === 'complete'
  const secrets = byId<AssignedSecret>(fresh ? [] : view.assignments.secrets)
  const tasks = byId<Task>(fresh ? [] : view.assignments.tasks)
  for (const change of set.changes) {
    if (change.action === 'remove') (change.item.kind === 'secret' ? secrets : tasks).delete(change.item.id)
    else if (change.item.kind === 'secret') secrets.set(change.item.secret.id, change.item.secret)
    else tasks.set(change.item.task.id, change.item.task)
  }
  return { cursor: set.resultsIn, assignments: { secrets: [...secrets.values()], tasks: [...tasks.values()] } }
}
