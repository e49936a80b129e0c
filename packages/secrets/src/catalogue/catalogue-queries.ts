import type { AssignedSecret, Assignments } from '../assignments.ts'
import { nameKey, parseSecretName } from '../secret-name.ts'
import type { SecretCatalogueEvent } from './catalogue-events.ts'
import {
  type CataloguedSecret,
  type GrantedTask,
  partsOf,
  type SecretCatalogueState,
  type TaskSet,
} from './catalogue-state.ts'

/** What may be shown of a secret. The value is never part of it. */
export interface SecretSummary {
  readonly id: string
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly createdAt: number
  readonly updatedAt: number
  /** 1 at first, one more with each change of the labels. */
  readonly version: number
  readonly sizeBytes: number
}

/** A summary with the tasks that hold a grant, sorted by task id. */
export interface SecretDetails extends SecretSummary {
  readonly users: readonly { readonly taskId: string; readonly nodeId: string }[]
}

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

function summaryOf({ id, name, labels, createdAt, updatedAt, version, value }: CataloguedSecret): SecretSummary {
  return { id, name, labels, createdAt, updatedAt, version, sizeBytes: value.sizeBytes }
}

function sortedTasks(tasks: TaskSet | undefined): readonly GrantedTask[] {
  return [...(tasks?.entries() ?? [])].map(([, task]) => task).sort((a, b) => byText(a.id, b.id))
}

function sortedSecrets(state: SecretCatalogueState): readonly CataloguedSecret[] {
  return [...partsOf(state).secrets.entries()].map(([, secret]) => secret).sort((a, b) => byText(a.name, b.name))
}

/** All secrets without their values, sorted by name. */
export function listSecrets(state: SecretCatalogueState): readonly SecretSummary[] {
  return sortedSecrets(state).map(summaryOf)
}

/** One secret by id, without its value; `null` if there is none. */
export function inspectSecret(state: SecretCatalogueState, id: string): SecretDetails | null {
  const { secrets, tasksBySecret } = partsOf(state)
  const secret = secrets.get(id)
  if (secret === undefined) return null
  const users = sortedTasks(tasksBySecret.get(id)).map((task) => ({ taskId: task.id, nodeId: task.nodeId }))
  return { ...summaryOf(secret), users }
}

/**
 * One secret by name, upper and lower case alike, without its value; `null` if there is none.
 *
 * @throws {@link SecretsError} `SECRET_NAME_INVALID` if no secret could ever have the name.
 */
export function secretByName(state: SecretCatalogueState, name: string): SecretDetails | null {
  const id = partsOf(state).idsByName.get(nameKey(parseSecretName(name)))
  return id === undefined ? null : inspectSecret(state, id)
}

/** The grant of a task; `null` if it has none. */
export function grantOf(state: SecretCatalogueState, taskId: string): GrantedTask | null {
  return partsOf(state).tasks.get(taskId) ?? null
}

/**
 * What a node is to have: its granted tasks, and exactly the secrets that these need, sorted by id.
 *
 * This is the only way by which values leave the catalogue. The handles stay the catalogue's: read them, copy them, do not
 * dispose them. A task without any reference is listed with no secrets.
 */
export function assignmentsOf(state: SecretCatalogueState, nodeId: string): Assignments<GrantedTask> {
  const { secrets, tasksByNode } = partsOf(state)
  const tasks = sortedTasks(tasksByNode.get(nodeId))
  const ids = [...new Set(tasks.flatMap((task) => task.secretIds))].sort()
  const assigned: AssignedSecret[] = []
  for (const id of ids) {
    const secret = secrets.get(id)
    if (secret !== undefined) assigned.push({ id, name: secret.name, value: secret.value })
  }
  return { secrets: assigned, tasks }
}

/**
 * The shortest history that leads to this state, for a host's snapshot: evolved from the initial state it answers every query alike.
 *
 * The values are in it in the clear, as in the events that were decided: the host seals them.
 */
export function* catalogueHistory(state: SecretCatalogueState): Generator<SecretCatalogueEvent, void, void> {
  for (const secret of sortedSecrets(state)) {
    const { id, name, labels, createdAt, updatedAt, version } = secret
    const value = secret.value.expose((bytes) => new Uint8Array(bytes))
    yield { type: 'secret-created', id, name, value, labels, at: createdAt }
    if (version > 1) yield { type: 'secret-labelled', id, labels, version, at: updatedAt }
  }
  for (const { id, nodeId, references } of sortedTasks(partsOf(state).tasks)) {
    yield { type: 'task-granted', taskId: id, nodeId, references }
  }
}
