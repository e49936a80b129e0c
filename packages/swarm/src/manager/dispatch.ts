import type { HandlerContext, ServiceImpl } from '@connectrpc/connect'
import { linkSignals, until } from '../abortable.ts'
import { callerOf } from '../access.ts'
import { SwarmError } from '../errors.ts'
import type {
  AssignmentsMessage,
  Dispatcher,
  SessionMessage,
  SessionRequest,
} from '../gen/docker/swarmkit/v1/dispatcher_pb.ts'
import type { Clock } from '../ports.ts'
import { encodeAssignmentSet } from '../wire/assignments.ts'
import { decodeDescription } from '../wire/description.ts'
import { idField } from '../wire/fields.ts'
import { durationOf } from '../wire/instant.ts'
import { encodeSessionMessage } from '../wire/session-message.ts'
import { decodeTaskStatuses } from '../wire/task-status.ts'
import type { SwarmManager } from './port.ts'
import type { Session, SessionRegistry } from './sessions.ts'

const lost = (): SwarmError => new SwarmError('SESSION_UNKNOWN', 'heartbeats stopped, open a new session')

/** What the dispatcher's handlers share. */
export interface DispatchOptions {
  readonly clock: Clock
  readonly sessions: SessionRegistry
}

/** Session, heartbeats, assignments, task statuses. */
export function dispatcherService(
  manager: SwarmManager,
  { clock, sessions }: DispatchOptions,
): ServiceImpl<typeof Dispatcher> {
  const sessionOf = (context: HandlerContext, sessionId: string): Session =>
    sessions.find(callerOf(context).nodeId, idField(sessionId, 'caller', 'session id'))

  /** Ends the session once its heartbeats stop; ends itself with the stream that it belongs to. */
  const watchHeartbeats = async (session: Session, signal: AbortSignal): Promise<void> => {
    for (;;) {
      const deadline = sessions.deadline(session)
      if (deadline === null) return
      const now = clock.now()
      if (now > deadline) {
        if (sessions.end(session, lost())) manager.presence?.(session.nodeId, 'down')
        return
      }
      await clock.sleep(deadline - now + 1, { signal })
    }
  }

  async function* session(
    request: SessionRequest,
    context: HandlerContext,
  ): AsyncGenerator<SessionMessage, void, void> {
    const { nodeId } = callerOf(context)
    const description = decodeDescription(request.description)
    const live = sessions.register(nodeId, clock.now())
    using scope = linkSignals(context.signal, live.signal)
    manager.presence?.(nodeId, 'ready')
    const watching = watchHeartbeats(live, scope.signal).catch(() => undefined)
    try {
      const updates = manager.session({ nodeId, sessionId: live.sessionId }, description, { signal: scope.signal })
      for await (const update of until(updates, scope.signal))
        yield encodeSessionMessage(nodeId, live.sessionId, update)
    } finally {
      if (sessions.end(live, lost())) manager.presence?.(nodeId, 'disconnected')
      scope.abort(lost())
      await watching
    }
  }

  async function* assignments(
    sessionId: string,
    context: HandlerContext,
  ): AsyncGenerator<AssignmentsMessage, void, void> {
    const live = sessionOf(context, sessionId)
    using scope = linkSignals(context.signal, live.signal)
    const sets = manager.assignments({ nodeId: live.nodeId, sessionId: live.sessionId }, { signal: scope.signal })
    for await (const set of until(sets, scope.signal)) yield encodeAssignmentSet(set)
  }

  return {
    session,
    heartbeat: ({ sessionId }, context) => {
      const id = idField(sessionId, 'caller', 'session id')
      return { period: durationOf(sessions.beat(callerOf(context).nodeId, id, clock.now())) }
    },
    updateTaskStatus: async (request, context) => {
      const { nodeId, sessionId } = sessionOf(context, request.sessionId)
      await manager.taskStatus({ nodeId, sessionId }, decodeTaskStatuses(request), { signal: context.signal })
      return {}
    },
    assignments: ({ sessionId }, context) => assignments(sessionId, context),
  }
}
