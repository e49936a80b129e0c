import { SecretsError } from '../errors.ts'
import { checkId, checkLabels, checkValueSize } from '../limits.ts'
import { checkOwnership, checkTarget, MAX_REFERENCES } from '../reference.ts'
import { nameKey, parseSecretName } from '../secret-name.ts'
import type { GrantReference, SecretCatalogueCommand, SecretCatalogueEvent } from './catalogue-events.ts'
import { type CataloguedSecret, type CatalogueParts, partsOf, type SecretCatalogueState } from './catalogue-state.ts'

type CommandOf<Type> = SecretCatalogueCommand & { readonly type: Type }

/** How many tasks a message names; the error's `taskIds` has all of them. */
const NAMED_TASKS = 3

function checkInstant(now: number): void {
  if (!Number.isFinite(now)) throw new RangeError('expected an instant in epoch milliseconds')
}

function existing(parts: CatalogueParts, id: string): CataloguedSecret {
  const secret = parts.secrets.get(id)
  if (secret === undefined)
    throw new SecretsError('SECRET_UNKNOWN', 'no secret has this id; list the secrets to see which there are')
  return secret
}

function create(parts: CatalogueParts, command: CommandOf<'create'>): readonly SecretCatalogueEvent[] {
  checkId(command.id, 'secret')
  checkInstant(command.now)
  const name = parseSecretName(command.name)
  checkValueSize(command.value.length)
  const labels = checkLabels(command.labels)
  if (parts.secrets.has(command.id))
    throw new SecretsError('SECRET_EXISTS', 'a secret with this id exists already; draw a fresh id')
  if (parts.idsByName.has(nameKey(name))) {
    throw new SecretsError(
      'SECRET_EXISTS',
      'a secret with this name exists already, upper and lower case count as the same; choose another name or remove that one',
    )
  }
  return [
    { type: 'secret-created', id: command.id, name, value: new Uint8Array(command.value), labels, at: command.now },
  ]
}

function updateLabels(parts: CatalogueParts, command: CommandOf<'update-labels'>): readonly SecretCatalogueEvent[] {
  checkInstant(command.now)
  const secret = existing(parts, command.id)
  if (command.version !== secret.version) {
    throw new SecretsError(
      'SECRET_VERSION_STALE',
      `the secret is at version ${secret.version} by now; inspect it and update again`,
    )
  }
  return [
    {
      type: 'secret-labelled',
      id: secret.id,
      labels: checkLabels(command.labels),
      version: secret.version + 1,
      at: command.now,
    },
  ]
}

function remove(parts: CatalogueParts, id: string): readonly SecretCatalogueEvent[] {
  const secret = existing(parts, id)
  const users = parts.tasksBySecret.get(id)
  if (users !== undefined) {
    const taskIds = [...users.entries()].map(([taskId]) => taskId).sort()
    const more = taskIds.length > NAMED_TASKS ? ` and ${taskIds.length - NAMED_TASKS} more` : ''
    throw new SecretsError(
      'SECRET_IN_USE',
      `the secret is in use by task ${taskIds.slice(0, NAMED_TASKS).join(', ')}${more}; end these first`,
      { taskIds },
    )
  }
  return [{ type: 'secret-removed', id: secret.id }]
}

const sameReference = (a: GrantReference, b: GrantReference | undefined): boolean =>
  a.secretId === b?.secretId && a.target === b.target && a.uid === b.uid && a.gid === b.gid && a.mode === b.mode

/** Proves that the files of one task can lie in one directory. */
function checkReferences(parts: CatalogueParts, references: readonly GrantReference[]): void {
  if (references.length > MAX_REFERENCES) {
    throw new SecretsError(
      'REFERENCE_INVALID',
      `a task has at most ${MAX_REFERENCES} references and this one has ${references.length}; merge some secrets`,
    )
  }
  const targets = new Set<string>()
  for (const reference of references) {
    existing(parts, reference.secretId)
    checkTarget(reference.target)
    checkOwnership(reference)
    if (targets.has(reference.target))
      throw new SecretsError(
        'TARGET_DUPLICATE',
        'two references of the task have the same target; give each a file of its own',
      )
    targets.add(reference.target)
  }
}

function grant(parts: CatalogueParts, command: CommandOf<'grant'>): readonly SecretCatalogueEvent[] {
  const { taskId, nodeId } = command
  checkId(taskId, 'task')
  checkId(nodeId, 'node')
  checkReferences(parts, command.references)
  const references = command.references.map(({ secretId, target, uid, gid, mode }) => ({
    secretId,
    target,
    uid,
    gid,
    mode,
  }))
  const before = parts.tasks.get(taskId)
  if (before === undefined) return [{ type: 'task-granted', taskId, nodeId, references }]
  // Asking again for the same thing is what a host does that lost the answer.
  const same =
    before.nodeId === nodeId &&
    before.references.length === references.length &&
    before.references.every((reference, at) => sameReference(reference, references[at]))
  if (same) return []
  throw new SecretsError('TASK_GRANTED', 'the task has another grant already; release it first, or use a fresh task id')
}

/**
 * Decides a command against a state.
 *
 * A release of something unknown decides nothing, and a grant that stands already does neither: both may be repeated.
 */
export function decide(state: SecretCatalogueState, command: SecretCatalogueCommand): readonly SecretCatalogueEvent[] {
  const parts = partsOf(state)
  switch (command.type) {
    case 'create':
      return create(parts, command)
    case 'update-labels':
      return updateLabels(parts, command)
    case 'remove':
      return remove(parts, command.id)
    case 'grant':
      return grant(parts, command)
    case 'release':
      return parts.tasks.has(command.taskId) ? [{ type: 'task-released', taskId: command.taskId }] : []
    case 'release-node': {
      const taskIds = [...(parts.tasksByNode.get(command.nodeId)?.entries() ?? [])].map(([taskId]) => taskId).sort()
      return taskIds.map((taskId) => ({ type: 'task-released', taskId }) as const)
    }
  }
}
