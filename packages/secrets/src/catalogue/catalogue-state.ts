import type { AssignedSecret, AssignedTask } from '../assignments.ts'
import { PersistentMap } from '../persistent-map.ts'
import { Secret } from '../secret.ts'
import { nameKey, type SecretName } from '../secret-name.ts'
import type { GrantReference, SecretCatalogueEvent } from './catalogue-events.ts'

/** A secret as the catalogue keeps it. The value is a redacted handle: printing a state prints no secret. */
export interface CataloguedSecret extends AssignedSecret {
  readonly name: SecretName
  readonly labels: Readonly<Record<string, string>>
  readonly createdAt: number
  readonly updatedAt: number
  readonly version: number
}

/** A task that was granted secrets. */
export interface GrantedTask extends AssignedTask {
  readonly nodeId: string
  readonly references: readonly GrantReference[]
}

/** The tasks of a node, or of a secret. */
export type TaskSet = PersistentMap<GrantedTask>

declare const opaque: unique symbol

/** State of the catalogue; read it with the queries. Immutable. */
export interface SecretCatalogueState {
  readonly [opaque]: true
}

/** The parts of the state. Not exported from the package: the shape may change, the events may not. */
export interface CatalogueParts {
  readonly secrets: PersistentMap<CataloguedSecret>
  readonly idsByName: PersistentMap<string>
  readonly tasks: PersistentMap<GrantedTask>
  readonly tasksByNode: PersistentMap<TaskSet>
  readonly tasksBySecret: PersistentMap<TaskSet>
}

export const partsOf = (state: SecretCatalogueState): CatalogueParts => state as unknown as CatalogueParts
const stateOf = (parts: CatalogueParts): SecretCatalogueState => parts as unknown as SecretCatalogueState

export const initial: SecretCatalogueState = stateOf({
  secrets: PersistentMap.empty(),
  idsByName: PersistentMap.empty(),
  tasks: PersistentMap.empty(),
  tasksByNode: PersistentMap.empty(),
  tasksBySecret: PersistentMap.empty(),
})

function enlist(index: PersistentMap<TaskSet>, key: string, task: GrantedTask): PersistentMap<TaskSet> {
  return index.with(key, (index.get(key) ?? PersistentMap.empty<GrantedTask>()).with(task.id, task))
}

function strike(index: PersistentMap<TaskSet>, key: string, task: GrantedTask): PersistentMap<TaskSet> {
  const rest = index.get(key)?.without(task.id)
  return rest === undefined || rest.size === 0 ? index.without(key) : index.with(key, rest)
}

function granted(
  parts: CatalogueParts,
  event: SecretCatalogueEvent & { readonly type: 'task-granted' },
): CatalogueParts {
  const references = event.references.map((reference) => Object.freeze({ ...reference }))
  const secretIds = [...new Set(references.map((reference) => reference.secretId))].sort()
  const task: GrantedTask = Object.freeze({
    id: event.taskId,
    nodeId: event.nodeId,
    secretIds: Object.freeze(secretIds),
    references: Object.freeze(references),
  })
  return {
    ...parts,
    tasks: parts.tasks.with(task.id, task),
    tasksByNode: enlist(parts.tasksByNode, task.nodeId, task),
    tasksBySecret: secretIds.reduce((index, id) => enlist(index, id, task), parts.tasksBySecret),
  }
}

function released(parts: CatalogueParts, taskId: string): CatalogueParts {
  const task = parts.tasks.get(taskId)
  if (task === undefined) return parts
  return {
    ...parts,
    tasks: parts.tasks.without(taskId),
    tasksByNode: strike(parts.tasksByNode, task.nodeId, task),
    tasksBySecret: task.secretIds.reduce((index, id) => strike(index, id, task), parts.tasksBySecret),
  }
}

/** Applies one event that {@link secretCatalogue} decided; total over those. */
export function evolve(state: SecretCatalogueState, event: SecretCatalogueEvent): SecretCatalogueState {
  const parts = partsOf(state)
  switch (event.type) {
    case 'secret-created': {
      const { id, labels, at } = event
      const name = event.name as SecretName
      const value = Secret.copyOf(event.value)
      const secret = Object.freeze({ id, name, value, labels, createdAt: at, updatedAt: at, version: 1 })
      return stateOf({
        ...parts,
        secrets: parts.secrets.with(id, secret),
        idsByName: parts.idsByName.with(nameKey(name), id),
      })
    }
    case 'secret-labelled': {
      const secret = parts.secrets.get(event.id)
      if (secret === undefined) return state
      const { labels, version, at } = event
      return stateOf({
        ...parts,
        secrets: parts.secrets.with(event.id, Object.freeze({ ...secret, labels, version, updatedAt: at })),
      })
    }
    case 'secret-removed': {
      // The value is left to the garbage collector: an older state may still be in use.
      const secret = parts.secrets.get(event.id)
      if (secret === undefined) return state
      return stateOf({
        ...parts,
        secrets: parts.secrets.without(event.id),
        idsByName: parts.idsByName.without(nameKey(secret.name)),
      })
    }
    case 'task-granted':
      return stateOf(granted(parts, event))
    case 'task-released':
      return stateOf(released(parts, event.taskId))
  }
}
