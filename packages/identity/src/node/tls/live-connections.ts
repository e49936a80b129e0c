import type { Duplex } from 'node:stream'
import type { Clock } from '../../ports.ts'

/** How long old connections have, and by whose clock. */
export interface DrainOptions {
  readonly clock: Pick<Clock, 'sleep'>
  /** What is still open after this many milliseconds is cut. */
  readonly deadlineMs: number
  /** Ends the waiting alone; old connections go on then, asked to end as they are. */
  readonly signal: AbortSignal
}

/** How the connections under former identities ended. */
export interface DrainReport {
  /** They ended before the deadline. */
  readonly finished: number
  /** They were destroyed at the deadline. */
  readonly cut: number
}

interface Live {
  readonly generation: number
  /** Asks the connection to end as soon as what it does now is done. */
  finish: (() => void) | null
}

/** The open connections of one process, and under which identity each was made. Generations count identities: 0, 1, … */
export interface LiveConnections {
  readonly add: (connection: Duplex, generation: number) => void
  /** How this one is asked to end; at once when it should have been asked before. */
  readonly finishWith: (connection: Duplex, finish: () => void) => void
  /** `null` for a connection that is not open, or not ours. */
  readonly generationOf: (connection: Duplex) => number | null
  readonly countBelow: (generation: number) => number
  readonly size: number
  /** Resolves when nothing from before `generation` is left. */
  readonly drainBelow: (generation: number, options: DrainOptions) => Promise<DrainReport>
}

export function createLiveConnections(): LiveConnections {
  const open = new Map<Duplex, Live>()
  const drains = new Set<() => void>()
  let askedBelow = 0

  const below = (generation: number): readonly Duplex[] =>
    [...open].flatMap(([connection, live]) => (live.generation < generation ? [connection] : []))

  return {
    add: (connection, generation) => {
      if (connection.destroyed || open.has(connection)) return
      open.set(connection, { generation, finish: null })
      connection.once('close', () => {
        open.delete(connection)
        for (const look of drains) look()
      })
    },
    finishWith: (connection, finish) => {
      const live = open.get(connection)
      if (live === undefined) return
      live.finish = finish
      // A handshake that began under a former identity may end after the others were asked.
      if (live.generation < askedBelow) finish()
    },
    generationOf: (connection) => open.get(connection)?.generation ?? null,
    countBelow: (generation) => below(generation).length,
    get size() {
      return open.size
    },
    drainBelow: async (generation, { clock, deadlineMs, signal }) => {
      signal.throwIfAborted()
      askedBelow = Math.max(askedBelow, generation)
      const old = new Set(below(generation))
      for (const connection of old) open.get(connection)?.finish?.()
      if (below(generation).length === 0) return { finished: old.size, cut: 0 }
      const gone = new AbortController()
      const look = (): void => {
        const left = below(generation)
        // Those that came since belong to the old ones too.
        for (const connection of left) old.add(connection)
        if (left.length === 0) gone.abort()
      }
      drains.add(look)
      try {
        await clock.sleep(deadlineMs, { signal: AbortSignal.any([signal, gone.signal]) })
      } catch (error) {
        signal.throwIfAborted()
        if (!gone.signal.aborted) throw error
      } finally {
        drains.delete(look)
      }
      const late = below(generation)
      for (const connection of late) connection.destroy()
      await Promise.all(late.map(closed))
      for (const connection of late) old.add(connection)
      return { finished: old.size - late.length, cut: late.length }
    },
  }
}

const closed = async (connection: Duplex): Promise<void> => {
  if (connection.closed) return
  await new Promise<void>((resolve) => {
    connection.once('close', () => {
      resolve()
    })
  })
}
