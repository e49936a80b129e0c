import { create } from '@bufbuild/protobuf'
import {
  type SecretReference,
  SecretSchema,
  TaskSchema,
  type Secret as WireSecret,
  type Task as WireTask,
} from '../gen/docker/swarmkit/v1/task_pb.ts'
import type { AssignedSecret, ContainerSpec, SecretFile, Task } from '../task.ts'
import { taskStates } from './codebook.ts'
import { idField, malformed, present, safeNumber, textField } from './fields.ts'
import { durationMs, durationOf } from './instant.ts'

/** Writes a secret with its value. */
export function encodeSecret({ id, name, labels, value }: AssignedSecret): WireSecret {
  return create(SecretSchema, { id, spec: { annotations: { name, labels: { ...labels } }, data: value } })
}

/** Reads a secret; the value is a copy. */
export function decodeSecret(wire: WireSecret): AssignedSecret {
  const spec = present(wire.spec, 'manager', 'secret')
  return {
    id: idField(wire.id, 'manager', 'secret id'),
    name: textField(spec.annotations?.name ?? '', 'manager', 'secret name'),
    labels: { ...spec.annotations?.labels },
    value: spec.data.slice(),
  }
}

const encodeContainer = (container: ContainerSpec) => ({
  image: container.image,
  labels: { ...container.labels },
  command: [...container.command],
  args: [...container.args],
  hostname: container.hostname,
  env: [...container.env],
  dir: container.dir,
  user: container.user,
  stopGracePeriod: durationOf(container.stopGraceMs),
  secrets: container.secrets.map(({ secretId, secretName, target, uid, gid, mode }) => ({
    secretId,
    secretName,
    target: { case: 'file' as const, value: { name: target, uid, gid, mode } },
  })),
})

/** Writes a task. A network stands in it twice, once as wanted and once as attached, as Docker's manager writes it. */
export function encodeTask(task: Task): WireTask {
  return create(TaskSchema, {
    id: task.id,
    nodeId: task.nodeId,
    serviceId: task.serviceId,
    slot: BigInt(task.slot),
    annotations: { name: task.id },
    serviceAnnotations: { name: task.serviceName },
    status: { state: taskStates.encode(task.state) },
    desiredState: taskStates.encode(task.desiredState),
    spec: {
      runtime: { case: 'container', value: encodeContainer(task.container) },
      networks: task.networks.map(({ id }) => ({ target: id })),
    },
    networks: task.networks.map(({ id, name, driver }) => ({
      network: { id, spec: { annotations: { name }, driverConfig: { name: driver } }, driverState: { name: driver } },
    })),
  })
}

/** The part of Go's file mode that is ours to honour: permission bits. */
const PERMISSIONS = 0o7777

function decodeReference(wire: SecretReference): readonly SecretFile[] {
  if (wire.target.case === undefined) return []
  const { name, uid, gid, mode } = wire.target.value
  return [
    {
      secretId: idField(wire.secretId, 'manager', 'secret id'),
      secretName: textField(wire.secretName, 'manager', 'secret name'),
      target: textField(name, 'manager', 'secret target'),
      uid: textField(uid, 'manager', 'user id'),
      gid: textField(gid, 'manager', 'group id'),
      mode: mode & PERMISSIONS,
    },
  ]
}

/**
 * Reads a task.
 *
 * @throws {@link SwarmError} `MESSAGE_MALFORMED` when it describes no container, or a part is not what it should be.
 */
export function decodeTask(wire: WireTask): Task {
  const runtime = wire.spec?.runtime
  if (runtime?.case !== 'container') throw malformed('manager', 'task without a container')
  const container = runtime.value
  return {
    id: idField(wire.id, 'manager', 'task id'),
    nodeId: textField(wire.nodeId, 'manager', 'node id'),
    serviceId: textField(wire.serviceId, 'manager', 'service id'),
    serviceName: textField(wire.serviceAnnotations?.name ?? '', 'manager', 'service name'),
    slot: safeNumber(wire.slot, 'manager', 'slot'),
    state: taskStates.decode(wire.status?.state ?? 0, 'manager'),
    desiredState: taskStates.decode(wire.desiredState, 'manager'),
    container: {
      image: textField(container.image, 'manager', 'image'),
      labels: { ...container.labels },
      command: [...container.command],
      args: [...container.args],
      hostname: textField(container.hostname, 'manager', 'hostname'),
      env: [...container.env],
      dir: textField(container.dir, 'manager', 'directory'),
      user: textField(container.user, 'manager', 'user'),
      stopGraceMs: durationMs(container.stopGracePeriod, 'manager'),
      secrets: container.secrets.flatMap(decodeReference),
    },
    networks: wire.networks.flatMap(({ network }) =>
      network === undefined
        ? []
        : [
            {
              id: textField(network.id, 'manager', 'network id'),
              name: textField(network.spec?.annotations?.name ?? '', 'manager', 'network name'),
              driver: textField(
                network.driverState?.name ?? network.spec?.driverConfig?.name ?? '',
                'manager',
                'network driver',
              ),
            },
          ],
    ),
  }
}
