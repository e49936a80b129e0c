import { createId } from '@leastwise/tokens'
import { SwarmError } from '../errors.ts'
import type { RandomSource } from '../ports.ts'

/** Between two heartbeats, in milliseconds, as Docker's dispatcher has it. */
export const HEARTBEAT_PERIOD_MS = 5000

/** The manager spreads heartbeats by up to this much either way, in milliseconds. */
export const HEARTBEAT_SPREAD_MS = 500

/** A node is down after this many periods without a heartbeat. */
export const HEARTBEAT_GRACE = 3

/** A node may register this often in {@link REGISTRATION_WINDOW_MS}. */
export const MAX_REGISTRATIONS = 3

/** The window of the registration limit, in milliseconds. */
export const REGISTRATION_WINDOW_MS = 8000

/** The live registration of one node. */
export interface Session {
  readonly nodeId: string
  readonly sessionId: string
  /** Aborts when the session ends: replaced, expired or released. */
  readonly signal: AbortSignal
}

/** One row of {@link SessionRegistry.list}. */
export interface SessionRow {
  readonly nodeId: string
  readonly sessionId: string
  readonly registeredAt: number
  readonly lastHeartbeatAt: number
}

/** Who is connected. One session a node; instants are epoch milliseconds. */
export interface SessionRegistry {
  /**
   * Opens a session and ends the one before.
   *
   * @throws {@link SwarmError} `REGISTRATION_LIMIT` when the node has just registered too often.
   */
  readonly register: (nodeId: string, now: number) => Session
  /**
   * Notes a heartbeat.
   *
   * @returns When to send the next one, in milliseconds from now.
   * @throws {@link SwarmError} `SESSION_UNKNOWN`
   */
  readonly beat: (nodeId: string, sessionId: string, now: number) => number
  /**
   * The live session of that id.
   *
   * @throws {@link SwarmError} `SESSION_UNKNOWN` when the node has none or another one.
   */
  readonly find: (nodeId: string, sessionId: string) => Session
  /** When the session counts as lost unless a heartbeat comes; `null` when it is over. */
  readonly deadline: (session: Session) => number | null
  /** Ends a session, with the error that its streams shall end with. Returns whether it was still live. */
  readonly end: (session: Session, reason: SwarmError) => boolean
  readonly list: () => readonly SessionRow[]
}

/** Settings of {@link createSessionRegistry}; durations in milliseconds. */
export interface SessionRegistryOptions {
  readonly random: RandomSource
  /** Default {@link HEARTBEAT_PERIOD_MS}. */
  readonly periodMs?: number
  /** Default {@link HEARTBEAT_SPREAD_MS}. */
  readonly spreadMs?: number
}

interface Entry {
  readonly session: Session
  readonly controller: AbortController
  readonly registeredAt: number
  lastHeartbeatAt: number
  periodMs: number
}

interface Attempts {
  windowStart: number
  count: number
}

/** How many registration windows are kept before stale ones are swept, so that departed nodes cost nothing. */
const SWEEP_AT = 4096

/** An empty registry. It keeps no time of its own and starts nothing. */
export function createSessionRegistry(options: SessionRegistryOptions): SessionRegistry {
  const { random, periodMs = HEARTBEAT_PERIOD_MS, spreadMs = HEARTBEAT_SPREAD_MS } = options
  const entries = new Map<string, Entry>()
  const attempts = new Map<string, Attempts>()

  const drawPeriod = (): number => {
    const [high = 0, low = 0] = random.bytes(2)
    return Math.round(periodMs + spreadMs * (((high << 8) | low) / 32_767.5 - 1))
  }

  const admit = (nodeId: string, now: number): void => {
    const known = attempts.get(nodeId)
    if (known === undefined || now - known.windowStart >= REGISTRATION_WINDOW_MS || now < known.windowStart) {
      if (attempts.size >= SWEEP_AT)
        for (const [id, { windowStart }] of attempts)
          if (now - windowStart >= REGISTRATION_WINDOW_MS) attempts.delete(id)
      attempts.set(nodeId, { windowStart: now, count: 1 })
      return
    }
    if (known.count >= MAX_REGISTRATIONS)
      throw new SwarmError('REGISTRATION_LIMIT', 'node registers too often, wait some seconds before the next session')
    known.count += 1
  }

  const entryOf = (nodeId: string, sessionId: string): Entry => {
    const entry = entries.get(nodeId)
    if (entry?.session.sessionId !== sessionId)
      throw new SwarmError('SESSION_UNKNOWN', 'node is not registered with this session, open a new one')
    return entry
  }

  const end = (session: Session, reason: SwarmError): boolean => {
    const entry = entries.get(session.nodeId)
    if (entry?.session.sessionId !== session.sessionId) return false
    entries.delete(session.nodeId)
    entry.controller.abort(reason)
    return true
  }

  return {
    register: (nodeId, now) => {
      admit(nodeId, now)
      const before = entries.get(nodeId)
      if (before !== undefined)
        end(
          before.session,
          new SwarmError('SESSION_REPLACED', 'node has registered again, go on with the newer session'),
        )
      const controller = new AbortController()
      const session = { nodeId, sessionId: createId(random), signal: controller.signal }
      entries.set(nodeId, {
        session,
        controller,
        registeredAt: now,
        lastHeartbeatAt: now,
        periodMs: periodMs + spreadMs,
      })
      return session
    },
    beat: (nodeId, sessionId, now) => {
      const entry = entryOf(nodeId, sessionId)
      entry.lastHeartbeatAt = now
      entry.periodMs = drawPeriod()
      return entry.periodMs
    },
    find: (nodeId, sessionId) => entryOf(nodeId, sessionId).session,
    deadline: (session) => {
      const entry = entries.get(session.nodeId)
      return entry?.session.sessionId === session.sessionId
        ? entry.lastHeartbeatAt + entry.periodMs * HEARTBEAT_GRACE
        : null
    },
    end,
    list: () =>
      [...entries.values()].map(({ session, registeredAt, lastHeartbeatAt }) => ({
        nodeId: session.nodeId,
        sessionId: session.sessionId,
        registeredAt,
        lastHeartbeatAt,
      })),
  }
}
