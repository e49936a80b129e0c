import {
  Availability as WireAvailability,
  IssuanceState as WireIssuanceState,
  NodeRole as WireRole,
} from '../gen/docker/swarmkit/v1/node_pb.ts'
import { TaskState as WireTaskState } from '../gen/docker/swarmkit/v1/task_pb.ts'
import type { Availability, NodeRole } from '../node-description.ts'
import type { IssuanceState } from '../session-update.ts'
import type { TaskState } from '../task.ts'
import { malformed, type Sender } from './fields.ts'

/** A closed vocabulary on both sides; what stands in no row is refused, never guessed. */
interface Codebook<Word extends string, Wire extends number> {
  readonly encode: (word: Word) => Wire
  readonly decode: (wire: number, sender: Sender) => Word
}

function codebook<Word extends string, Wire extends number>(
  what: string,
  rows: Readonly<Record<Word, Wire>>,
): Codebook<Word, Wire> {
  const words = new Map<number, Word>()
  for (const word of Object.keys(rows) as Word[]) words.set(rows[word], word)
  return {
    encode: (word) => rows[word],
    decode: (wire, sender) => {
      const word = words.get(wire)
      if (word === undefined) throw malformed(sender, what)
      return word
    },
  }
}

/** Roles. */
export const roles: Codebook<NodeRole, WireRole> = codebook('role', {
  worker: WireRole.WORKER,
  manager: WireRole.MANAGER,
})

/** Availabilities. */
export const availabilities: Codebook<Availability, WireAvailability> = codebook('availability', {
  active: WireAvailability.ACTIVE,
  pause: WireAvailability.PAUSE,
  drain: WireAvailability.DRAIN,
})

/** Certificate states; the wire's "unknown" is read as pending, since both mean "not yet". */
export const issuanceStates: Codebook<IssuanceState, WireIssuanceState> = codebook('certificate state', {
  renew: WireIssuanceState.RENEW,
  pending: WireIssuanceState.PENDING,
  issued: WireIssuanceState.ISSUED,
  failed: WireIssuanceState.FAILED,
  rotate: WireIssuanceState.ROTATE,
})

/** Task states. */
export const taskStates: Codebook<TaskState, WireTaskState> = codebook('task state', {
  new: WireTaskState.NEW,
  pending: WireTaskState.PENDING,
  assigned: WireTaskState.ASSIGNED,
  accepted: WireTaskState.ACCEPTED,
  preparing: WireTaskState.PREPARING,
  ready: WireTaskState.READY,
  starting: WireTaskState.STARTING,
  running: WireTaskState.RUNNING,
  complete: WireTaskState.COMPLETE,
  shutdown: WireTaskState.SHUTDOWN,
  failed: WireTaskState.FAILED,
  rejected: WireTaskState.REJECTED,
  remove: WireTaskState.REMOVE,
  orphaned: WireTaskState.ORPHANED,
})
