import type { NodePresence } from '@leastwise/swarm'
import { sleepUntilWoken } from '../sleepers.ts'

/** Where nodes are connected: to this manager, or to another one, as that one says. */
export interface PresenceBoard {
  /** What is known of a node; undefined if nobody has seen it yet. */
  readonly get: (nodeId: string) => NodePresence | undefined
  /** What this manager sees itself. */
  readonly set: (nodeId: string, presence: NodePresence) => void
  /** The node is no member any more. */
  readonly forget: (nodeId: string) => void
  /** Those that are connected to this manager. */
  readonly here: () => readonly string[]
  /** What another manager says it has; null when it says nothing any more. */
  readonly elsewhere: (managerId: string, nodes: readonly string[] | null) => void
  /** Gives, and gives again after changes, who is connected here; until the signal fires. */
  readonly watchHere: (options: { readonly signal: AbortSignal }) => AsyncGenerator<readonly string[], void, void>
}

export function createPresenceBoard(): PresenceBoard {
  const own = new Map<string, NodePresence>()
  const others = new Map<string, ReadonlySet<string>>()
  const sleepers = new Set<() => void>()
  let changes = 0
  const tell = (): void => {
    changes += 1
    for (const wake of [...sleepers]) wake()
  }
  const here = (): readonly string[] =>
    [...own].flatMap(([nodeId, presence]) => (presence === 'ready' ? [nodeId] : [])).sort()
  return {
    get: (nodeId) =>
      own.get(nodeId) === 'ready' || [...others.values()].some((nodes) => nodes.has(nodeId))
        ? 'ready'
        : own.get(nodeId),
    set: (nodeId, presence) => {
      own.set(nodeId, presence)
      tell()
    },
    forget: (nodeId) => {
      if (own.delete(nodeId)) tell()
    },
    here,
    elsewhere: (managerId, nodes) => {
      if (nodes === null) others.delete(managerId)
      else others.set(managerId, new Set(nodes))
    },
    watchHere: async function* ({ signal }) {
      while (!signal.aborted) {
        const seen = changes
        yield here()
        if (changes === seen) await sleepUntilWoken(sleepers, signal)
      }
    },
  }
}
