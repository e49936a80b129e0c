import { create } from '@bufbuild/protobuf'
import {
  AssignmentAction,
  AssignmentChangeSchema,
  type AssignmentsMessage,
  AssignmentsMessageSchema,
  AssignmentsType,
  type AssignmentChange as WireChange,
} from '../gen/docker/swarmkit/v1/dispatcher_pb.ts'
import type { AssignmentChange, AssignmentSet } from '../task.ts'
import { inApplyingOrder } from './assignment-order.ts'
import { idField, malformed, textField } from './fields.ts'
import { decodeSecret, decodeTask, encodeSecret, encodeTask } from './work.ts'

function encodeChange(change: AssignmentChange): WireChange {
  if (change.action === 'remove') {
    const { kind, id } = change.item
    // A removal carries the id only: no value travels to a node that is about to lose it.
    return create(AssignmentChangeSchema, {
      action: AssignmentAction.REMOVE,
      assignment: { item: { case: kind, value: { id } } },
    })
  }
  const item =
    change.item.kind === 'task'
      ? { case: 'task' as const, value: encodeTask(change.item.task) }
      : { case: 'secret' as const, value: encodeSecret(change.item.secret) }
  return create(AssignmentChangeSchema, { action: AssignmentAction.UPDATE, assignment: { item } })
}

/** Writes one assignment set, order kept. */
export function encodeAssignmentSet(set: AssignmentSet): AssignmentsMessage {
  return create(AssignmentsMessageSchema, {
    type: set.kind === 'complete' ? AssignmentsType.COMPLETE : AssignmentsType.INCREMENTAL,
    appliesTo: set.appliesTo,
    resultsIn: set.resultsIn,
    changes: set.changes.map(encodeChange),
  })
}

function decodeChange({ assignment, action }: WireChange): readonly AssignmentChange[] {
  if (action !== AssignmentAction.UPDATE && action !== AssignmentAction.REMOVE)
    throw malformed('manager', 'assignment action')
  const item = assignment?.item
  // Configs and volumes exist on the wire and are not known here: not for this node to judge, so they are passed over.
  if (item?.case === undefined) return []
  if (action === AssignmentAction.REMOVE)
    return [{ action: 'remove', item: { kind: item.case, id: idField(item.value.id, 'manager', 'removed id') } }]
  return [
    {
      action: 'update',
      item:
        item.case === 'task'
          ? { kind: 'task', task: decodeTask(item.value) }
          : { kind: 'secret', secret: decodeSecret(item.value) },
    },
  ]
}

/**
 * Reads one assignment set, its changes in the order in which they are to be applied. Kinds of assignment that this package does not know (configs, volumes) are passed over.
 *
 * @throws {@link SwarmError} `MESSAGE_MALFORMED` when a part is missing or not what it should be.
 */
export function decodeAssignmentSet(message: AssignmentsMessage): AssignmentSet {
  if (message.type !== AssignmentsType.COMPLETE && message.type !== AssignmentsType.INCREMENTAL)
    throw malformed('manager', 'assignment kind')
  return {
    kind: message.type === AssignmentsType.COMPLETE ? 'complete' : 'incremental',
    appliesTo: textField(message.appliesTo, 'manager', 'applies-to mark'),
    resultsIn: textField(message.resultsIn, 'manager', 'results-in mark'),
    changes: inApplyingOrder(message.changes.flatMap(decodeChange)),
  }
}
