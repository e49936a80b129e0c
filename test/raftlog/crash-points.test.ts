import { clearWrapper, type KeyWrapper, type SealedLog, type Snapshot, unlockKeyWrapper } from '@leastwise/raftlog'
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../support/seeded-random.ts'
import { type CrashDisk, crashDisk, type Fault, LOSSES } from './crash-disk.ts'
import { createOn, openOn, text, utf8 } from './log-support.ts'

const locked = unlockKeyWrapper(new Uint8Array(32).fill(7), seededRandom(7))

/** What the entry at an index says; long enough for torn writes to have something to tear. */
const said = (index: bigint): string => `entry ${index} ${'x'.repeat(Number(index % 5n) * 40)}`

/** Sizes of the appends of a whole life; an append counts as one. */
const GROUPS = [1, 2, 1, 3, 1, 1, 2, 1] as const

interface Life {
  /** Last index that was acknowledged. */
  acknowledged: bigint
  /** Last index of a snapshot that was acknowledged. */
  snapshot: bigint
  /** The lock went on and this was acknowledged. */
  lockOn: boolean
  finished: boolean
}

const stateAt = (index: bigint): Snapshot => ({ index, term: 1n, data: utf8(`state ${index}`) })

/** A log's life with everything in it that writes; stops where the disk stops. */
async function live(disk: CrashDisk): Promise<Life> {
  const life: Life = { acknowledged: 0n, snapshot: 0n, lockOn: false, finished: false }
  let log: SealedLog | undefined
  const add = async (size: number): Promise<void> => {
    const from = life.acknowledged + 1n
    const { last } = await log!.append(Array.from({ length: size }, (_, nth) => utf8(said(from + BigInt(nth)))))
    life.acknowledged = last
  }
  const rotation = { snapshot: (atLeast: bigint) => stateAt(atLeast) }
  try {
    log = await createOn(disk, { segmentBytes: 500 })
    await add(GROUPS[0])
    await add(GROUPS[1])
    await log.saveSnapshot(stateAt(2n))
    life.snapshot = 2n
    await add(GROUPS[2])
    await add(GROUPS[3])
    await log.compact(2n)
    await log.rotateDek(rotation)
    life.snapshot = life.acknowledged
    await add(GROUPS[4])
    await log.lock(locked, rotation)
    life.lockOn = true
    life.snapshot = life.acknowledged
    await add(GROUPS[5])
    await log.saveSnapshot(stateAt(life.acknowledged))
    life.snapshot = life.acknowledged
    await log.compact(life.acknowledged)
    await add(GROUPS[6])
    await log.close()
    log = await openOn(disk, { wrapper: locked })
    await add(GROUPS[7])
    await log.close()
    life.finished = true
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error
    await log?.close().catch(() => undefined)
  }
  return life
}

const groupEnds = GROUPS.reduce<bigint[]>((ends, size) => [...ends, (ends.at(-1) ?? 0n) + BigInt(size)], [0n])

/** Opens with whichever wrapper fits; exactly one may. */
async function openWithEither(disk: CrashDisk): Promise<{ log: SealedLog; wrapper: KeyWrapper } | string> {
  try {
    return { log: await openOn(disk, { wrapper: clearWrapper }), wrapper: clearWrapper }
  } catch (error) {
    const { code } = error as { code: string }
    if (code !== 'KEYS_LOCKED') return code
  }
  return { log: await openOn(disk, { wrapper: locked }), wrapper: locked }
}

/** Everything acknowledged is there, nothing is there by halves, and the log goes on. */
async function checkSurvivor(disk: CrashDisk, life: Life, moreEnds: readonly bigint[] = []): Promise<void> {
  const opened = await openWithEither(disk)
  if (typeof opened === 'string') {
    // Before the creation was acknowledged there may be no log yet; then creating it again works.
    expect(opened).toBe('LOG_MISSING')
    expect(life.acknowledged).toBe(0n)
    await (await createOn(disk)).close()
    return
  }
  const { log, wrapper } = opened
  if (life.lockOn) expect(wrapper).toBe(locked)
  expect(log.lastIndex).toBeGreaterThanOrEqual(life.acknowledged)
  expect([...groupEnds, ...moreEnds]).toContain(log.lastIndex)
  const kept = await log.loadSnapshot()
  expect(kept?.index ?? 0n).toBeGreaterThanOrEqual(life.snapshot)
  if (kept !== null) expect(text(kept.data)).toBe(`state ${kept.index}`)
  let next = (kept?.index ?? 0n) + 1n
  for await (const entry of log.entries({ from: next })) {
    expect(entry.index).toBe(next)
    expect(text(entry.data)).toBe(said(next))
    next += 1n
  }
  expect(next).toBe(log.lastIndex + 1n)

  const { last } = await log.append([utf8(said(next))])
  await log.rotateDek({ snapshot: (atLeast) => stateAt(atLeast) })
  expect(log.rotating).toBe(false)
  await log.close()
  const again = await openOn(disk, { wrapper })
  expect(again.lastIndex).toBe(last)
  expect(again.repair).toBeNull()
  await again.close()
}

async function callsOfAWholeLife(stepBytes?: number): Promise<number> {
  const disk = crashDisk({ stepBytes })
  expect((await live(disk)).finished).toBe(true)
  return disk.calls()
}

describe.each([undefined, 2048])('a machine that stops, with %s zeros ahead', (stepBytes) => {
  it('at any write, sync, rename or removal loses nothing that was acknowledged', async () => {
    const calls = await callsOfAWholeLife(stepBytes)
    expect(calls).toBeGreaterThan(80)
    for (let at = 1; at <= calls; at += 1) {
      // The two extremes at every call, the three kinds of tearing in turn.
      for (const [nth, loss] of LOSSES.entries()) {
        if (nth >= 2 && nth !== 2 + (at % 3)) continue
        const fault: Fault = { at, kind: 'crash' }
        const disk = crashDisk({ stepBytes }, fault)
        const life = await live(disk)
        expect(disk.died()).toBe(true)
        try {
          await checkSurvivor(disk.afterCrash(loss, at * 16 + nth), life)
        } catch (error) {
          throw new Error(`stopped at call ${at}, unsynced data ${loss}`, { cause: error })
        }
      }
    }
  })

  it('again while it is being opened after a crash loses nothing either', async () => {
    const calls = await callsOfAWholeLife(stepBytes)
    for (let at = 5; at <= calls; at += 7) {
      const first = crashDisk({ stepBytes }, { at, kind: 'crash' })
      const life = await live(first)
      const { acknowledged } = life
      for (let second = 1; second <= 6; second += 1) {
        const found = first.afterCrash('cut', at)
        const again = crashDisk({ names: found.contents, ring: found.ring(), stepBytes }, { at: second, kind: 'crash' })
        const moreEnds: bigint[] = []
        const opened = await openWithEither(again).catch((error: unknown) => (error as { code: string }).code)
        if (typeof opened !== 'string') {
          const next = opened.log.lastIndex + 1n
          moreEnds.push(next)
          const appended = await opened.log.append([utf8(said(next))]).catch(() => null)
          if (appended !== null) life.acknowledged = appended.last
        }
        const same = crashDisk({ names: again.contents, ring: again.ring() })
        const after = again.died() ? again.afterCrash('patches', second) : same
        await checkSurvivor(after, life, moreEnds)
        life.acknowledged = acknowledged
      }
    }
  })
})

describe.each([
  ['full', 'DISK_FULL'],
  ['error', 'LOG_FAILED'],
] as const)('a disk that answers %s', (kind, code) => {
  it('at any call stops the log with a clear code, and opening it again goes on', async () => {
    const calls = await callsOfAWholeLife()
    for (let at = 1; at <= calls; at += 1) {
      const disk = crashDisk({}, { at, kind })
      const life = await live(disk)
      try {
        // The machine lives on: everything that was written is still there.
        await checkSurvivor(crashDisk({ names: disk.contents, ring: disk.ring() }), life)
      } catch (error) {
        throw new Error(`failed at call ${at}`, { cause: error })
      }
    }
  })

  it('rejects what waits, refuses what comes after, and keeps what it had', async () => {
    const probe = crashDisk()
    const sized = await createOn(probe)
    const before = probe.calls()
    await sized.append([utf8('a')])
    const disk = crashDisk({}, { at: before + 3, kind })
    const log = await createOn(disk)
    await log.append([utf8('a')])
    const waiting = [log.append([utf8('b')]), log.append([utf8('c')], { term: 2n }), log.saveSnapshot(stateAt(1n))]
    for (const result of await Promise.allSettled(waiting)) {
      expect(result.status === 'rejected' && (result.reason as { code: string }).code).toBe(code)
    }
    await expect(log.append([utf8('d')])).rejects.toThrowCode('LOG_FAILED')
    await expect(log.rotateDek({ snapshot: stateAt })).rejects.toThrowCode('LOG_FAILED')
    expect(log.lastIndex).toBe(1n)
    await log.close()
  })
})
