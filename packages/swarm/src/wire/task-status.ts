import { create } from '@bufbuild/protobuf'
import {
  type UpdateTaskStatusRequest,
  type UpdateTaskStatusRequest_TaskStatusUpdate,
  UpdateTaskStatusRequest_TaskStatusUpdateSchema,
} from '../gen/docker/swarmkit/v1/dispatcher_pb.ts'
import type { TaskStatusUpdate } from '../task.ts'
import { taskStates } from './codebook.ts'
import { idField, malformed, present, textField } from './fields.ts'
import { durationMs, durationOf } from './instant.ts'
import { MAX_STATUS_UPDATES } from './limits.ts'

/** Writes what a node says of one task. */
export function encodeTaskStatus(update: TaskStatusUpdate): UpdateTaskStatusRequest_TaskStatusUpdate {
  const { taskId, state, at, message, error, exitCode, pid } = update
  return create(UpdateTaskStatusRequest_TaskStatusUpdateSchema, {
    taskId,
    status: {
      state: taskStates.encode(state),
      timestamp: durationOf(at),
      message,
      err: error,
      ...(exitCode === null && pid === 0
        ? {}
        : { runtimeStatus: { case: 'container' as const, value: { pid, exitCode: exitCode ?? 0 } } }),
    },
  })
}

/** An exit code means something only for a task that has ended. */
const ENDED: ReadonlySet<string> = new Set(['complete', 'failed', 'shutdown'])

/**
 * Reads what a node says of its tasks.
 *
 * @throws {@link SwarmError} `REQUEST_MALFORMED` when a part is missing, unknown or too long.
 */
export function decodeTaskStatuses(request: UpdateTaskStatusRequest): readonly TaskStatusUpdate[] {
  if (request.updates.length > MAX_STATUS_UPDATES) throw malformed('caller', 'number of updates')
  return request.updates.map((update) => {
    const status = present(update.status, 'caller', 'task status')
    const state = taskStates.decode(status.state, 'caller')
    const container = status.runtimeStatus.case === 'container' ? status.runtimeStatus.value : undefined
    return {
      taskId: idField(update.taskId, 'caller', 'task id'),
      state,
      at: durationMs(status.timestamp, 'caller'),
      message: textField(status.message, 'caller', 'status message'),
      error: textField(status.err, 'caller', 'status error'),
      exitCode: container === undefined || !ENDED.has(state) ? null : container.exitCode,
      pid: container?.pid ?? 0,
    }
  })
}
