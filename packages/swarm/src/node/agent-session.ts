import type { HeldEvictions } from '@leastwise/identity'
import { linkSignals, onAbort, until } from '../abortable.ts'
import { nextSessionBackoff, unitOf } from '../agent/backoff.ts'
import type { AgentEvent, Worker } from '../agent/events.ts'
import { firstOf } from '../agent/first-of.ts'
import { createBeatPauses } from '../agent/spread.ts'
import { SwarmError } from '../errors.ts'
import type { NodeDescription } from '../node-description.ts'
import type { Clock, RandomSource } from '../ports.ts'
import { decodeAssignmentSet } from '../wire/assignments.ts'
import { encodeDescription } from '../wire/description.ts'
import { durationMs } from '../wire/instant.ts'
import { decodeSessionMessage, type SessionNotice } from '../wire/session-message.ts'
import { codeOf } from '../wire/status.ts'
import { encodeTaskStatus } from '../wire/task-status.ts'
import { followEvictions } from './agent-evictions.ts'
import { CALL_TIMEOUT_MS, call, type ManagerLink, streamOf } from './manager-link.ts'

/** Shortest pause between heartbeats, whatever the manager asks for, in milliseconds. */
const MIN_HEARTBEAT_MS = 50

/** Longest pause between heartbeats, in milliseconds. */
const MAX_HEARTBEAT_MS = 60_000

/** Status updates in one call, well below what a manager takes. */
const STATUSES_PER_CALL = 1000

/** What one session works with. */
export interface AgentSessionOptions {
  readonly address: string
  /** Carries the streams, for as long as the session lives. */
  readonly streams: ManagerLink
  /** Carries the short calls; after a renewal it is a connection with the new identity. */
  readonly calls: () => ManagerLink
  readonly description: NodeDescription
  readonly worker: Worker
  /** `null` for a node that goes by no evictions. */
  readonly evictions: HeldEvictions | null
  /** PEM of the roots that the node trusts now. */
  readonly trustBundle: () => Uint8Array
  readonly clock: Clock
  readonly random: RandomSource
  readonly emit: (event: AgentEvent) => void
  /** Acts on what the manager says; the next message waits for it. */
  readonly onNotice: (notice: SessionNotice) => Promise<void>
  readonly signal: AbortSignal
}

type Running = AgentSessionOptions & { readonly sessionId: string }

async function heartbeats({ calls, sessionId, clock, random, signal }: Running): Promise<void> {
  const pauseAfter = createBeatPauses(random)
  for (;;) {
    const { period } = await call(signal, async (options) => await calls().dispatcher.heartbeat({ sessionId }, options))
    const ms = Math.min(MAX_HEARTBEAT_MS, Math.max(MIN_HEARTBEAT_MS, durationMs(period, 'manager')))
    await clock.sleep(pauseAfter(ms), { signal })
  }
}

async function oneAssignmentStream({ streams, sessionId, worker, emit, signal }: Running): Promise<void> {
  let cursor = ''
  let complete = false
  for await (const message of streamOf(signal, (options) => streams.dispatcher.assignments({ sessionId }, options))) {
    const set = decodeAssignmentSet(message)
    if (set.appliesTo !== cursor || (!complete && set.kind === 'incremental'))
      throw new SwarmError('ASSIGNMENT_GAP', 'assignment set does not follow the one before, the stream starts anew')
    await worker.applyAssignments(set, { signal })
    cursor = set.resultsIn
    complete = true
    emit({ type: 'assignments', kind: set.kind, resultsIn: set.resultsIn, changes: set.changes.length })
  }
  throw new SwarmError('MANAGER_UNREACHABLE', 'manager ended the assignment stream')
}

/** These mean that the session is gone, not that a set could not be used. */
const SESSION_OVER: ReadonlySet<string> = new Set([
  'MANAGER_REFUSED',
  'MANAGER_UNREACHABLE',
  'MANAGER_UNTRUSTED',
  'NODE_EVICTED',
  'SESSION_REPLACED',
  'SESSION_UNKNOWN',
])

async function assignments(running: Running): Promise<void> {
  const { clock, random, emit, signal } = running
  for (let backoffMs = 0; ; ) {
    try {
      await oneAssignmentStream(running)
    } catch (error) {
      signal.throwIfAborted()
      const code = codeOf(error) ?? 'WORKER_FAILED'
      if (SESSION_OVER.has(code)) throw error
      backoffMs = nextSessionBackoff(backoffMs)
      const retryInMs = backoffMs * unitOf(random)
      emit({ type: 'assignments-failed', code, retryInMs })
      await clock.sleep(retryInMs, { signal })
    }
  }
}

async function statuses({ calls, sessionId, worker, signal }: Running): Promise<void> {
  for await (const batch of until(worker.taskStatuses({ signal }), signal)) {
    for (let at = 0; at < batch.length; at += STATUSES_PER_CALL) {
      const updates = batch.slice(at, at + STATUSES_PER_CALL).map(encodeTaskStatus)
      await call(signal, async (options) => await calls().dispatcher.updateTaskStatus({ sessionId, updates }, options))
    }
  }
  // A host that has nothing more to report must not end the session with it.
  using abortion = onAbort(signal)
  await abortion.aborted
}

/** The stream has no deadline, but its beginning has: a manager that says nothing would hold the node before its first heartbeat could tell. */
async function firstInTime<T>(messages: AsyncIterator<T, void>, clock: Clock, signal: AbortSignal) {
  using waiting = linkSignals(signal)
  const late = clock.sleep(CALL_TIMEOUT_MS, { signal: waiting.signal }).then(() => {
    throw new SwarmError('MANAGER_UNREACHABLE', 'manager did not begin the session in time, register again')
  })
  try {
    return await Promise.race([messages.next(), late])
  } finally {
    late.catch(() => undefined)
    waiting.abort(signal.reason)
  }
}

/**
 * One session from registration to its end, which is always an error: what ended it.
 *
 * Heartbeats, assignments and reports run beside the session stream; whichever fails first ends them all.
 */
export async function runSession(options: AgentSessionOptions): Promise<void> {
  const { address, streams, description, emit, onNotice } = options
  const request = { description: encodeDescription(description), sessionId: '' }
  using scope = linkSignals(options.signal)
  const messages = streamOf(scope.signal, (callOptions) => streams.dispatcher.session(request, callOptions))
  try {
    const first = await firstInTime(messages, options.clock, scope.signal)
    if (first.done === true) throw ended()
    const notice = decodeSessionMessage(first.value)
    emit({ type: 'session', sessionId: notice.sessionId, address })
    await onNotice(notice)
    const listen = async (signal: AbortSignal): Promise<void> => {
      // The stream is older than this job, so the job's end has to reach it by hand.
      signal.addEventListener(
        'abort',
        () => {
          scope.abort(signal.reason)
        },
        { once: true },
      )
      for await (const message of messages) await onNotice(decodeSessionMessage(message))
      throw ended()
    }
    const { sessionId } = notice
    const { evictions, calls: link } = options
    const following =
      evictions === null
        ? []
        : [
            async (signal: AbortSignal) => {
              await followEvictions({ ...options, evictions, link, signal })
            },
          ]
    await firstOf(options.signal, [
      listen,
      async (signal) => {
        await heartbeats({ ...options, sessionId, signal })
      },
      async (signal) => {
        await assignments({ ...options, sessionId, signal })
      },
      async (signal) => {
        await statuses({ ...options, sessionId, signal })
      },
      ...following,
    ])
  } finally {
    scope.abort(ended())
    await messages.return().catch(() => undefined)
  }
}

const ended = (): SwarmError => new SwarmError('MANAGER_UNREACHABLE', 'manager ended the session, register again')
