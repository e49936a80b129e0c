import { fromBinary, toBinary } from '@bufbuild/protobuf'
import type {
  AssignmentChange,
  ContainerSpec,
  NodeDescription,
  SessionUpdate,
  Task,
  TaskState,
  TaskStatusUpdate,
} from '@leastwise/swarm'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  AssignmentsMessageSchema,
  SessionMessageSchema,
  UpdateTaskStatusRequest_TaskStatusUpdateSchema,
} from '../../packages/swarm/src/gen/docker/swarmkit/v1/dispatcher_pb.ts'
import { NodeDescriptionSchema } from '../../packages/swarm/src/gen/docker/swarmkit/v1/node_pb.ts'
import { decodeAssignmentSet, encodeAssignmentSet } from '../../packages/swarm/src/wire/assignments.ts'
import { decodeDescription, encodeDescription } from '../../packages/swarm/src/wire/description.ts'
import { decodeSessionMessage, encodeSessionMessage } from '../../packages/swarm/src/wire/session-message.ts'
import { decodeTaskStatuses, encodeTaskStatus } from '../../packages/swarm/src/wire/task-status.ts'

const id = fc.stringMatching(/^[0-9a-z]{1,25}$/)
const text = fc.string({ maxLength: 40, unit: 'grapheme' })
const bytes = fc.uint8Array({ maxLength: 64 })
const labels = fc.dictionary(fc.stringMatching(/^[a-z.]{1,12}$/), text, { maxKeys: 4, noNullPrototype: true })
const state = fc.constantFrom<TaskState>(
  'new',
  'pending',
  'assigned',
  'accepted',
  'preparing',
  'ready',
  'starting',
  'running',
  'complete',
  'shutdown',
  'failed',
  'rejected',
  'remove',
  'orphaned',
)
const whole = fc.nat(1_000_000)

const container: fc.Arbitrary<ContainerSpec> = fc.record({
  image: text,
  labels,
  command: fc.array(text, { maxLength: 3 }),
  args: fc.array(text, { maxLength: 3 }),
  hostname: text,
  env: fc.array(text, { maxLength: 3 }),
  dir: text,
  user: text,
  stopGraceMs: whole,
  secrets: fc.array(
    fc.record({ secretId: id, secretName: text, target: text, uid: text, gid: text, mode: fc.nat(0o7777) }),
    { maxLength: 3 },
  ),
})
const task: fc.Arbitrary<Task> = fc.record({
  id,
  nodeId: id,
  serviceId: fc.oneof(fc.constant(''), id),
  serviceName: text,
  slot: whole,
  container,
  state,
  desiredState: state,
  networks: fc.array(fc.record({ id, name: text, driver: text }), { maxLength: 2 }),
})
const change: fc.Arbitrary<AssignmentChange> = fc.oneof(
  task.map((value) => ({ action: 'update', item: { kind: 'task', task: value } }) as const),
  fc
    .record({ id, name: text, labels, value: bytes })
    .map((secret) => ({ action: 'update', item: { kind: 'secret', secret } }) as const),
  fc
    .record({ kind: fc.constantFrom('secret' as const, 'task' as const), id })
    .map((item) => ({ action: 'remove', item }) as const),
)

describe('what is written is read back', () => {
  it('for assignment sets, in the order to apply them', () => {
    const key = (one: AssignmentChange): string =>
      one.action === 'remove' ? one.item.id : one.item.kind === 'task' ? one.item.task.id : one.item.secret.id
    const is =
      (kind: 'secret' | 'task', ...actions: readonly string[]) =>
      (one: AssignmentChange) =>
        one.item.kind === kind && actions.includes(one.action)
    const changes = fc.uniqueArray(change, { maxLength: 6, selector: key })
    fc.assert(
      fc.property(
        fc.constantFrom('complete' as const, 'incremental' as const),
        text,
        text,
        changes,
        (kind, appliesTo, resultsIn, sent) => {
          const wire = toBinary(
            AssignmentsMessageSchema,
            encodeAssignmentSet({ kind, appliesTo, resultsIn, changes: sent }),
          )
          const ordered = [
            ...sent.filter(is('secret', 'update')),
            ...sent.filter(is('task', 'update', 'remove')),
            ...sent.filter(is('secret', 'remove')),
          ]
          expect(decodeAssignmentSet(fromBinary(AssignmentsMessageSchema, wire))).toEqual({
            kind,
            appliesTo,
            resultsIn,
            changes: ordered,
          })
        },
      ),
    )
  })

  it('for two changes of one secret as the later one', () => {
    const kept = {
      action: 'update',
      item: { kind: 'secret', secret: { id: 's', name: 'n', labels: {}, value: new Uint8Array([1]) } },
    } as const
    const gone = { action: 'remove', item: { kind: 'secret', id: 's' } } as const
    for (const changes of [
      [gone, kept],
      [kept, gone],
    ]) {
      const set = decodeAssignmentSet(
        encodeAssignmentSet({ kind: 'incremental', appliesTo: '1', resultsIn: '2', changes }),
      )
      expect(set.changes).toEqual(changes.slice(1))
    }
  })

  it('for descriptions', () => {
    const description: fc.Arbitrary<NodeDescription> = fc.record({
      hostname: text,
      architecture: text,
      os: text,
      nanoCpus: fc.maxSafeNat(),
      memoryBytes: fc.maxSafeNat(),
      engineVersion: text,
      labels,
      plugins: fc.array(fc.record({ type: text, name: text }), { maxLength: 3 }),
      tls: fc.option(fc.record({ trustRoot: bytes, issuerSubject: bytes, issuerPublicKey: bytes })),
    })
    fc.assert(
      fc.property(description, (value) => {
        const wire = toBinary(NodeDescriptionSchema, encodeDescription(value))
        expect(decodeDescription(fromBinary(NodeDescriptionSchema, wire))).toEqual(value)
      }),
    )
  })

  it('for session messages', () => {
    const peer = fc.record({
      nodeId: id,
      address: fc.stringMatching(/^[a-z]{1,9}:[1-9][0-9]{0,3}$/),
      weight: fc.nat(256),
    })
    const update: fc.Arbitrary<SessionUpdate> = fc.record({
      certificate: fc.constantFrom('issued', 'rotate', 'renew', 'pending', 'failed'),
      availability: fc.constantFrom('active', 'pause', 'drain'),
      managers: fc.tuple(peer, peer),
      trustBundle: fc.uint8Array({ minLength: 1, maxLength: 64 }),
    })
    fc.assert(
      fc.property(id, id, update, (nodeId, sessionId, value) => {
        const wire = toBinary(SessionMessageSchema, encodeSessionMessage(nodeId, sessionId, value))
        expect(decodeSessionMessage(fromBinary(SessionMessageSchema, wire))).toEqual({ sessionId, ...value })
      }),
    )
  })

  it('for task statuses; an exit code only of a task that has ended', () => {
    const update: fc.Arbitrary<TaskStatusUpdate> = fc.record({
      taskId: id,
      state,
      at: fc.nat(4_000_000_000_000),
      message: text,
      error: text,
      exitCode: fc.option(fc.nat(255)),
      pid: fc.integer({ min: 1, max: 65_535 }),
    })
    fc.assert(
      fc.property(update, (value) => {
        const wire = toBinary(UpdateTaskStatusRequest_TaskStatusUpdateSchema, encodeTaskStatus(value))
        const updates = [fromBinary(UpdateTaskStatusRequest_TaskStatusUpdateSchema, wire)]
        const [read] = decodeTaskStatuses({
          sessionId: 's',
          updates,
          $typeName: 'docker.swarmkit.v1.UpdateTaskStatusRequest',
        })
        const ended = ['complete', 'failed', 'shutdown'].includes(value.state)
        expect(read).toEqual({ ...value, exitCode: ended ? (value.exitCode ?? 0) : null })
      }),
    )
  })
})
