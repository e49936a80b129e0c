import { listNodes } from '@leastwise/identity'
import { inspectSecret, listSecrets, parseReference, type SecretDetails, secretByName } from '@leastwise/secrets'
import { createId } from '@leastwise/tokens'
import { systemRandom } from '@leastwise/tokens/node'
import { OrchestratorError } from '../errors.ts'
import type { SecretAnswer, TaskAnswer } from '../operator/answers.ts'
import type { ClusterState } from './cluster-state.ts'
import { text, texts } from './fields.ts'
import type { OperationContext } from './operations.ts'
import type { Operation } from './operator-server.ts'
import { findTask, listTasks, type TaskRecord, type TaskSecret } from './task-list.ts'

const secretAnswer = ({ id, name, labels, createdAt, updatedAt, sizeBytes, users }: SecretDetails): SecretAnswer => ({
  id,
  name,
  labels,
  createdAt,
  updatedAt,
  sizeBytes,
  users: users.map(({ taskId }) => taskId),
})

function findSecret(state: ClusterState, given: string): SecretDetails {
  const found = inspectSecret(state.secrets, given) ?? secretByName(state.secrets, given)
  if (found === null) throw new OrchestratorError('NOT_FOUND', 'there is no such secret; secret ls lists them')
  return found
}

function parseLabels(json: string | null): Record<string, string> {
  try {
    const labels: unknown = JSON.parse(json ?? '{}')
    if (
      typeof labels === 'object' &&
      labels !== null &&
      !Array.isArray(labels) &&
      Object.values(labels).every((value) => typeof value === 'string')
    ) {
      return labels as Record<string, string>
    }
  } catch {
    // The refusal below says it.
  }
  throw new OrchestratorError('USAGE', 'labels are texts by name')
}

export function secretOperations({ store, now }: OperationContext): Record<string, Operation> {
  return {
    'secret/create': async ({ query, bytes }) => {
      const id = createId(systemRandom)
      const labels = parseLabels(query.get('labels'))
      const name = query.get('name') ?? ''
      await store.commit(() => [
        { part: 'secrets', command: { type: 'create', id, name, value: bytes, labels, now: now() } },
      ])
      bytes.fill(0)
      return secretAnswer(findSecret(store.state(), id))
    },
    'secret/ls': (): readonly SecretAnswer[] => {
      const { secrets } = store.state()
      return listSecrets(secrets).map(({ id }) => secretAnswer(findSecret(store.state(), id)))
    },
    'secret/inspect': (request) => secretAnswer(findSecret(store.state(), text(request.body(), 'secret'))),
    'secret/rm': async (request) => {
      const given = text(request.body(), 'secret')
      let id = ''
      await store.commit((state) => {
        id = findSecret(state, given).id
        return [{ part: 'secrets', command: { type: 'remove', id } }]
      })
      return { id }
    },
  }
}

const taskAnswer = (task: TaskRecord): TaskAnswer => ({
  id: task.id,
  nodeId: task.nodeId,
  command: task.command,
  secrets: task.secrets.map(({ name, target }) => ({ name, target })),
  state: task.state,
  exitCode: task.exitCode,
  message: task.message,
  createdAt: task.createdAt,
})

function findWorker(state: ClusterState, given: string): string {
  const nodes = listNodes(state.membership).filter(
    (node) => node.role === 'worker' && (node.nodeId === given || (given.length >= 4 && node.nodeId.startsWith(given))),
  )
  const [found, ...others] = nodes
  if (found === undefined) throw new OrchestratorError('NOT_FOUND', 'no worker has this id; node ls lists the nodes')
  if (others.length > 0) throw new OrchestratorError('NOT_FOUND', 'several ids begin so; give more of it')
  return found.nodeId
}

export function taskOperations({ store, now }: OperationContext): Record<string, Operation> {
  return {
    'task/run': async (request) => {
      const body = request.body()
      const references = texts(body, 'secrets').map(parseReference)
      const command = texts(body, 'command')
      const id = createId(systemRandom)
      await store.commit((state) => {
        const nodeId = findWorker(state, text(body, 'node'))
        const secrets: readonly TaskSecret[] = references.map(({ source, target, uid, gid, mode }) => {
          const secret = findSecret(state, source)
          return { secretId: secret.id, name: secret.name, target, uid, gid, mode }
        })
        const grant = secrets.map(({ secretId, target, uid, gid, mode }) => ({ secretId, target, uid, gid, mode }))
        return [
          { part: 'secrets', command: { type: 'grant', taskId: id, nodeId, references: grant } },
          { part: 'tasks', command: { type: 'run', id, nodeId, command, secrets, now: now() } },
        ]
      })
      const task = findTask(store.state().tasks, id)
      if (task === null) throw new OrchestratorError('NOT_FOUND', 'the task was removed at once')
      return taskAnswer(task)
    },
    'task/ls': () => listTasks(store.state().tasks).map(taskAnswer),
    'task/rm': async (request) => {
      const given = text(request.body(), 'task')
      await store.commit(() => [
        { part: 'tasks', command: { type: 'remove', id: given } },
        { part: 'secrets', command: { type: 'release', taskId: given } },
      ])
      return { id: given }
    },
  }
}
