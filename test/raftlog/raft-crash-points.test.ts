import { clearWrapper, memoryLog, type SealedLog, unlockKeyWrapper } from '@leastwise/raftlog'
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../support/seeded-random.ts'
import { type CrashDisk, crashDisk, type Fault, LOSSES } from './crash-disk.ts'
import { createOn, openOn, readAll, text, utf8 } from './log-support.ts'

const locked = unlockKeyWrapper(new Uint8Array(32).fill(9), seededRandom(9))

/** Long enough for torn writes to have something to tear. */
const words = (...each: readonly string[]): Uint8Array[] => each.map((word) => utf8(`${word} ${'x'.repeat(70)}`))
const rotation = (log: SealedLog) => ({
  snapshot: (index: bigint) => ({ index, term: log.lastTerm, data: utf8(`state ${index}`) }),
})

/** A follower's life: each step is durable as a whole or not at all. */
const steps: readonly ((log: SealedLog) => Promise<void>)[] = [
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
]

/** All that a host can see: end, hard state, snapshot, and the entries behind it. */
async function look(log: SealedLog): Promise<unknown> {
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
async function sights(): Promise<readonly unknown[]> {
  const log = memoryLog()
  const seen = [await look(log)]
  for (const step of steps) {
    await step(log)
    seen.push(await look(log))
  }
  return seen
}

/** Lives until the disk stops; gives the number of steps that were acknowledged, or null if not even a log was. */
async function live(disk: CrashDisk, segmentBytes: number): Promise<number | null> {
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

async function openWithEither(disk: CrashDisk): Promise<SealedLog | 'LOG_MISSING'> {
  try {
    return await openOn(disk, { wrapper: clearWrapper })
  } catch (error) {
    const { code } = error as { code: string }
    if (code === 'LOG_MISSING') return code
    if (code !== 'KEYS_LOCKED') throw error
    return await openOn(disk, { wrapper: locked })
  }
}

async function checkSurvivor(disk: CrashDisk, done: number | null, seen: readonly unknown[]): Promise<void> {
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

describe.each([1, 600, 1 << 20])('a follower’s log with segments of %i bytes', (segmentBytes) => {
  it('is the old one or the new one wherever the machine stops', async () => {
    const seen = await sights()
    const whole = crashDisk()
    expect(await live(whole, segmentBytes)).toBe(steps.length)
    expect(await look((await openWithEither(whole)) as SealedLog)).toEqual(seen.at(-1))
    const calls = whole.calls()
    expect(calls).toBeGreaterThan(100)
    for (let at = 1; at <= calls; at += 1) {
      for (const [nth, loss] of LOSSES.entries()) {
        if (nth >= 2 && nth !== 2 + (at % 3)) continue
        const fault: Fault = { at, kind: 'crash' }
        const disk = crashDisk({}, fault)
        const done = await live(disk, segmentBytes)
        try {
          await checkSurvivor(disk.afterCrash(loss, at * 16 + nth), done, seen)
        } catch (error) {
          throw new Error(`stopped at call ${at}, unsynced data ${loss}, after ${done} steps`, { cause: error })
        }
      }
    }
  })

  it.each(['full', 'error'] as const)('is the old one or the new one wherever the disk answers %s', async (kind) => {
    const seen = await sights()
    const whole = crashDisk()
    await live(whole, segmentBytes)
    for (let at = 1; at <= whole.calls(); at += 1) {
      const disk = crashDisk({}, { at, kind })
      const done = await live(disk, segmentBytes)
      try {
        await checkSurvivor(crashDisk({ names: disk.contents, ring: disk.ring() }), done, seen)
      } catch (error) {
        throw new Error(`failed at call ${at}, after ${done} steps`, { cause: error })
      }
    }
  })
})
