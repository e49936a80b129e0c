import type { HeldEvictions } from '@leastwise/identity'
import { systemClock, systemRandom } from '@leastwise/identity/node'
import type {
  AgentEvent,
  AssignmentSet,
  Clock,
  NodeCredentials,
  NodeDescription,
  RandomSource,
  TaskStatusUpdate,
  Worker,
} from '@leastwise/swarm'
import { type PendingKey, runAgent } from '@leastwise/swarm/node'
import { onTestFinished } from 'vitest'

export const DESCRIPTION: NodeDescription = {
  hostname: 'test-node',
  architecture: 'x86_64',
  os: 'linux',
  nanoCpus: 2_000_000_000,
  memoryBytes: 1_073_741_824,
  engineVersion: '0.0.1',
  labels: { zone: 'a' },
  plugins: [{ type: 'Network', name: 'host' }],
  tls: null,
}

/** An agent that runs in the background of a test. */
export interface AgentProbe {
  readonly events: readonly AgentEvent[]
  /** The first event of that type, seen already or still to come, from the given position on. */
  readonly next: <T extends AgentEvent['type']>(type: T, from?: number) => Promise<Extract<AgentEvent, { type: T }>>
  readonly applied: AssignmentSet[]
  readonly saved: NodeCredentials[]
  readonly savedManagers: string[][]
  readonly report: (updates: readonly TaskStatusUpdate[]) => void
  /** Settles when the iteration is over; rejects with what it threw. */
  readonly over: Promise<void>
  readonly stop: () => void
}

export interface ProbeOptions {
  readonly credentials: NodeCredentials
  readonly managers: readonly [string, ...string[]]
  readonly clock?: Clock
  readonly random?: RandomSource
  readonly recoveryKey?: PendingKey
  readonly saveRecoveryKey?: (key: PendingKey) => Promise<void>
  readonly evictions?: HeldEvictions
  readonly apply?: (set: AssignmentSet, count: number) => Promise<void>
  readonly saveCredentials?: (credentials: NodeCredentials) => Promise<void>
  readonly saveManagers?: () => Promise<void>
}

export function probeAgent(options: ProbeOptions): AgentProbe {
  const events: AgentEvent[] = []
  const applied: AssignmentSet[] = []
  const saved: NodeCredentials[] = []
  const savedManagers: string[][] = []
  const reports: (readonly TaskStatusUpdate[])[] = []
  let woken: () => void = () => undefined
  const listeners = new Set<() => void>()
  const controller = new AbortController()
  let count = 0
  const worker: Worker = {
    applyAssignments: async (set) => {
      count += 1
      await options.apply?.(set, count)
      applied.push(set)
    },
    taskStatuses: async function* ({ signal }) {
      for (let at = 0; !signal.aborted; ) {
        const batch = reports[at]
        if (batch === undefined) {
          await new Promise<void>((resolve) => {
            woken = resolve
            signal.addEventListener('abort', () => {
              resolve()
            })
          })
          continue
        }
        at += 1
        yield batch
      }
    },
  }
  const over = (async () => {
    for await (const event of runAgent({
      credentials: options.credentials,
      managers: options.managers,
      description: DESCRIPTION,
      worker,
      saveCredentials: async (credentials) => {
        await options.saveCredentials?.(credentials)
        saved.push(credentials)
      },
      saveManagers: async (managers) => {
        await options.saveManagers?.()
        savedManagers.push(managers.map(({ address }) => address))
      },
      ...(options.recoveryKey === undefined ? {} : { recoveryKey: options.recoveryKey }),
      ...(options.saveRecoveryKey === undefined ? {} : { saveRecoveryKey: options.saveRecoveryKey }),
      ...(options.evictions === undefined ? {} : { evictions: options.evictions }),
      clock: options.clock ?? systemClock,
      random: options.random ?? systemRandom,
      signal: controller.signal,
    })) {
      events.push(event)
      for (const listener of [...listeners]) listener()
    }
  })()
  over.catch(() => undefined)
  onTestFinished(async () => {
    controller.abort(new Error('test is over'))
    await over.catch(() => undefined)
  })
  return {
    events,
    applied,
    saved,
    savedManagers,
    over,
    stop: () => {
      controller.abort(new Error('stopped'))
    },
    report: (updates) => {
      reports.push(updates)
      woken()
    },
    next: async <T extends AgentEvent['type']>(type: T, from = 0) =>
      await new Promise<Extract<AgentEvent, { type: T }>>((resolve) => {
        const look = (): void => {
          const found = events
            .slice(from)
            .find((event): event is Extract<AgentEvent, { type: T }> => event.type === type)
          if (found === undefined) return
          listeners.delete(look)
          resolve(found)
        }
        listeners.add(look)
        look()
      }),
  }
}
