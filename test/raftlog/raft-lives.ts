import { clearWrapper, memoryLog, type SealedLog, unlockKeyWrapper } from '@leastwise/raftlog'
import { expect } from 'vitest'
import { seededRandom } from '../support/seeded-random.ts'
import type { CrashDisk } from './crash-disk.ts'
import { createOn, openOn, readAll, text, utf8 } from './log-support.ts'

export const locked = unlockKeyWrapper(new Uint8Array(32).fill(9), seededRandom(9))

/** Long enough for torn writes to have something to tear. */
export const words = (...each: readonly string[]): Uint8Array[] => each.map((word) => utf8(`${word} ${'x'.repeat(70)}`))
export const rotation = (log: SealedLog) => ({
  snapshot: (index: bigint) => ({ index, term: log.lastTerm, data: utf8(`state ${index}`) }),
})

/** Each step is durable as a whole or not at all. */
export type Steps = readonly ((log: SealedLog) => Promise<void>)[]

/** A node that rotates its key while little or nothing is committed. */
export const uncommitted: Steps = [
  async (log) => {
    await log.saveState({ term: 1n, vote: 'node-1', commit: 0n })
  },
  async (log) => {
    await log.append(words('a', 'b', 'c'), { term: 1n })
  },
  async (log) => {
    await log.rotateDek(rotation(log))
  },
  async (log) => {
    await log.append(words('B', 'C', 'D'), { term: 2n, at: 2n })
  },
  async (log) => {
    await log.rotateDek(rotation(log))
  },
  async (log) => {
    await log.append(words('e'), { term: 2n, state: { term: 2n, vote: null, commit: 2n } })
  },
  async (log) => {
    await log.rotateDek({ snapshot: (index) => ({ index, term: 2n, data: utf8(`state ${index}`) }) })
  },
  async (log) => {
    await log.append(words('f', 'g'), { term: 3n, at: 4n })
  },
  async (log) => {
    await log.lock(locked, { snapshot: (index) => ({ index, term: 2n, data: utf8(`state ${index}`) }) })
  },
  async (log) => {
    await log.append(words('h'), { term: 3n })
  },
]

/** A follower's life. */
export const follower: Steps = [
  async (log) => {
    await log.saveState({ term: 1n, vote: 'node-1', commit: 0n })
  },
  async (log) => {
    await log.append(words('a', 'b', 'c'), { term: 1n })
  },
  async (log) => {
    await log.append(words('d', 'e'), { term: 1n, state: { term: 1n, vote: 'node-1', commit: 2n } })
  },
  async (log) => {
    await log.append(words('C', 'D', 'E', 'F'), { term: 2n, at: 3n })
  },
  async (log) => {
    await log.append(words('G'), { at: 5n, state: { term: 3n, vote: null, commit: 3n } })
  },
  async (log) => {
    await log.saveSnapshot({ index: 3n, term: 2n, data: utf8('state 3') })
  },
  async (log) => {
    await log.append(words('H'), { term: 3n, at: 4n })
  },
  async (log) => {
    await log.compact(3n)
  },
  async (log) => {
    await log.append(words('I', 'J'), { term: 3n })
  },
  async (log) => {
    await log.append(words('K'), { term: 4n, at: 5n })
  },
  async (log) => {
    await log.installSnapshot({ index: 20n, term: 5n, data: utf8('twenty') })
  },
  async (log) => {
    await log.append(words('L'), { term: 5n, state: { term: 5n, vote: 'node-2', commit: 21n } })
  },
  async (log) => {
    await log.append(words('M', 'N'), { term: 6n })
  },
  async (log) => {
    await log.append(words('O'), { term: 7n, at: 22n })
  },
  async (log) => {
    await log.installSnapshot({ index: 22n, term: 8n, data: utf8('twenty-two') })
  },
  async (log) => {
    await log.append(words('P'), { term: 8n })
  },
  async (log) => {
    await log.rotateDek(rotation(log))
  },
  async (log) => {
    await log.append(words('Q'), { term: 8n })
  },
  async (log) => {
    await log.append(words('R', 'S'), { term: 9n, at: 24n })
  },
  async (log) => {
    await log.lock(locked, rotation(log))
  },
  async (log) => {
    await log.saveState({ term: 9n, vote: 'node-3', commit: 25n })
  },
  async (log) => {
    await log.rewrap(locked)
  },
  async (log) => {
    await log.saveSnapshot({ index: 25n, term: 9n, data: utf8('state 25') })
  },
]

/**
 * A host that compacts again and again: old segments are written over, with frames of other sizes than those below. The
 * last life of a file is shorter than the one before, or longer.
 */
export const compacting: Steps = [3, 5, 2, 6, 4].flatMap((size, nth) => {
  const term = BigInt(nth + 1)
  return [
    async (log: SealedLog) => {
      await log.append(words(...Array.from({ length: size }, (_, at) => `${nth}.${at}`)), { term })
    },
    async (log: SealedLog) => {
      await log.append(words(`${nth}.x`), { term })
    },
    async (log: SealedLog) => {
      const index = log.lastIndex
      await log.saveSnapshot({ index, term, data: utf8(`state ${index}`) })
    },
    async (log: SealedLog) => {
      await log.compact(log.snapshotAt?.index ?? 0n)
    },
    async (log: SealedLog) => {
      await log.append(words(`${nth}.y`), { term: term + (nth === 2 ? 1n : 0n) })
    },
    // Entries that are replaced begin a segment of their own.
    async (log: SealedLog) => {
      await log.append(words(`${nth}.z`, 'longer '.repeat(nth)), { term: term + 1n, at: log.lastIndex })
    },
  ]
})

/** All that a host can see: end, hard state, snapshot, and the entries behind it. */
export async function look(log: SealedLog): Promise<unknown> {
  const snapshot = await log.loadSnapshot()
  return {
    last: [log.lastIndex, log.lastTerm],
    state: log.state,
    snapshot: snapshot === null ? null : [snapshot.index, snapshot.term, text(snapshot.data)],
    entries: await readAll(log, (snapshot?.index ?? 0n) + 1n),
    termBefore: await log.termAt(snapshot?.index ?? 0n),
  }
}

/** What is seen after each number of steps. */
export async function sights(steps: Steps): Promise<readonly unknown[]> {
  const log = memoryLog()
  const seen = [await look(log)]
  for (const step of steps) {
    await step(log)
    seen.push(await look(log))
  }
  return seen
}

/** Lives until the disk stops; gives the number of steps that were acknowledged, or null if not even a log was. */
export async function live(disk: CrashDisk, steps: Steps, segmentBytes: number): Promise<number | null> {
  let done = 0
  let log: SealedLog | undefined
  try {
    log = await createOn(disk, { segmentBytes })
    for (const step of steps) {
      await step(log)
      done += 1
    }
    await log.close()
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error
    await log?.close().catch(() => undefined)
  }
  return log === undefined ? null : done
}

export async function openWithEither(disk: CrashDisk): Promise<SealedLog | 'LOG_MISSING'> {
  try {
    return await openOn(disk, { wrapper: clearWrapper })
  } catch (error) {
    const { code } = error as { code: string }
    if (code === 'LOG_MISSING') return code
    if (code !== 'KEYS_LOCKED') throw error
    return await openOn(disk, { wrapper: locked })
  }
}

export async function checkSurvivor(disk: CrashDisk, done: number | null, seen: readonly unknown[]): Promise<void> {
  const log = await openWithEither(disk)
  if (log === 'LOG_MISSING') {
    expect(done).toBeNull()
    return
  }
  const sight = await look(log)
  const possible = seen.slice(done ?? 0, (done ?? 0) + 2)
  expect(possible).toContainEqual(sight)
  // It goes on from there.
  const { last } = await log.append(words('after'))
  await log.saveState({ term: 99n, vote: null, commit: last })
  await log.rotateDek(rotation(log))
  await log.close()
  const again = await openWithEither(disk)
  if (again === 'LOG_MISSING') throw new Error('the log is gone')
  expect([again.lastIndex, again.state?.term, again.repair]).toEqual([last, 99n, null])
  await again.close()
}
