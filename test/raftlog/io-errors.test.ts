import { decodeKeyring, type SealedLog } from '@leastwise/raftlog'
import { describe, expect, it } from 'vitest'
import { type CrashDisk, crashDisk } from './crash-disk.ts'
import { type CallFault, type FaultKind, type FaultyDisk, faultyDisk, HALVES } from './faulty-disk.ts'
import { createOn, openOn } from './log-support.ts'
import {
  checkSurvivor,
  compacting,
  follower,
  live,
  locked,
  look,
  openWithEither,
  rotation,
  type Steps,
  sights,
  uncommitted,
  words,
} from './raft-lives.ts'

const CODES = ['LOG_FAILED', 'DISK_FULL']
/** Calls that may need room on the disk. */
const ROOM: ReadonlySet<string> = new Set(['append', 'create', 'fill', 'rename', 'save', 'sync', 'syncDirectory'])

const codeOf = (error: unknown): string => {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code
  throw new Error('failed without a code', { cause: error })
}

interface Outcome {
  /** Steps that were acknowledged, or null if not even the log was. */
  readonly done: number | null
  /** What the step that failed said. */
  readonly code: string | null
  /** An append after that failure was acknowledged. */
  readonly wentOn: boolean
}

/** Ids of the data keys that are kept, and of those that files are sealed under. */
function keyIds(disk: CrashDisk): { readonly kept: Set<string>; readonly used: Set<string> } {
  const { current, pending } = decodeKeyring(disk.ring()!)
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
  return {
    kept: new Set([current, pending].flatMap((key) => (key === null ? [] : [hex(key.id)]))),
    // A file that was made and not written to holds nothing under any key.
    used: new Set(
      [...disk.contents.values()].flatMap(({ bytes }) => (bytes.length === 0 ? [] : [hex(bytes.subarray(32, 48))])),
    ),
  }
}

/** Lives until a step fails, then tries one more append, and if that goes well `then`, and closes. */
async function liveOn(
  disk: FaultyDisk,
  steps: Steps,
  segmentBytes: number,
  then: (log: SealedLog) => Promise<void> = async () => undefined,
): Promise<Outcome> {
  let done = 0
  let code: string | null = null
  let wentOn = false
  let log: SealedLog
  try {
    log = await createOn(crashDisk(), { files: disk.files, keys: disk.keys, segmentBytes })
  } catch (error) {
    return { done: null, code: codeOf(error), wentOn }
  }
  try {
    for (const step of steps) {
      await step(log)
      done += 1
    }
  } catch (error) {
    code = codeOf(error)
    wentOn = await log.append(words('went on'), { term: 50n }).then(
      () => true,
      (refusal: unknown) => {
        expect(codeOf(refusal)).toBe('LOG_FAILED')
        return false
      },
    )
    if (wentOn) await then(log)
  }
  await log.close().catch((error: unknown) => {
    // One call fails in a life; after that there is nothing to fail for.
    expect(code).toBeNull()
    code = codeOf(error)
  })
  return { done, code, wentOn }
}

const copyOf = (disk: CrashDisk): CrashDisk => crashDisk({ names: disk.contents, ring: disk.ring() })

/** A log that went on holds one entry more than any sight; it is taken for granted that this one is the last. */
async function checkWentOn(disk: CrashDisk, done: number, seen: readonly unknown[]): Promise<void> {
  const log = await openWithEither(disk)
  if (log === 'LOG_MISSING') throw new Error('the log is gone')
  const sight = (await look(log)) as { last: [bigint, bigint]; entries: string[] }
  const entry = sight.entries.pop()
  expect(entry).toContain('went on')
  const before = await log.termAt(log.lastIndex - 1n)
  expect(seen.slice(done, done + 2)).toContainEqual({ ...sight, last: [sight.last[0] - 1n, before] })
  await log.close()
}

describe.each([
  ['a follower’s', follower, 600, undefined],
  ['a follower’s with zeros ahead', follower, 1 << 20, 2048],
  ['an uncommitted', uncommitted, 600, 2048],
  ['a compacting', compacting, 1 << 20, 2048],
] as const)('%s log', (_, steps, segmentBytes, stepBytes) => {
  const kinds: readonly FaultKind[] = ['error', 'full', 'after', 'short']

  it.each(kinds)('loses nothing and says why, whichever call answers: %s', async (kind) => {
    const seen = await sights(steps)
    const whole = faultyDisk(crashDisk({ stepBytes }), null)
    expect(await liveOn(whole, steps, segmentBytes)).toEqual({ done: steps.length, code: null, wentOn: false })
    expect(whole.handles()).toBe(0)
    let goneOn = 0
    for (const [nth, name] of whole.calls.entries()) {
      if ((kind === 'short' && !HALVES.has(name)) || (kind === 'full' && !ROOM.has(name))) continue
      const fault: CallFault = { at: nth + 1, kind }
      const disk = crashDisk({ stepBytes })
      const faulty = faultyDisk(disk, fault)
      try {
        const isEven = nth % 2 === 0
        const { done, code, wentOn } = await liveOn(faulty, steps, segmentBytes, async (log) => {
          if (isEven) return
          await log.rotateDek(rotation(log))
          const { kept, used } = keyIds(disk)
          expect(kept.size).toBe(1)
          expect(used).toEqual(kept)
        })
        if (wentOn) goneOn += 1
        expect(faulty.calls[nth]).toBe(name)
        // Zeros that find no room are done without.
        if (name === 'fill' && kind !== 'error' && kind !== 'after') expect(code).toBeNull()
        else expect(CODES).toContain(code)
        expect([faulty.handles(), faulty.isLocked()]).toEqual([0, false])
        if (wentOn && done !== null && isEven) await checkWentOn(copyOf(disk), done, seen)
        else if (!wentOn) await checkSurvivor(copyOf(disk), done, seen)
      } catch (error) {
        throw new Error(`call ${nth + 1}, ${name}`, { cause: error })
      }
    }
    // Where nothing was changed that anybody could find, there is no need to stop.
    expect(goneOn).toBeGreaterThan(0)
  })
})

describe('opening', () => {
  it.each(['error', 'full', 'after'] as const)(
    'fails with a code and changes nothing that counts, whichever call answers: %s',
    async (kind) => {
      const made = crashDisk({ stepBytes: 2048 })
      // Not closed: there are zeros to cut off, older files and temporary ones to remove.
      expect(await live(made, follower.slice(0, -1), 600)).not.toBeNull()
      made.put('00000000000000000099.log.tmp', new Uint8Array(10))
      const seen = await look((await openWithEither(copyOf(made))) as SealedLog)
      const openAll = async (disk: FaultyDisk): Promise<string | null> => {
        const found = crashDisk({ ring: made.ring() })
        const log = await openOn(found, { files: disk.files, keys: disk.keys, wrapper: locked }).catch(codeOf)
        if (typeof log === 'string') return log
        const code = await look(log).then(() => null, codeOf)
        await log.close().catch(codeOf)
        return code
      }
      const whole = faultyDisk(copyOf(made), null)
      expect(await openAll(whole)).toBeNull()
      expect(whole.calls.length).toBeGreaterThan(20)
      for (const [nth, name] of whole.calls.entries()) {
        const disk = copyOf(made)
        const faulty = faultyDisk(disk, { at: nth + 1, kind })
        const code = await openAll(faulty)
        if (name !== 'unlock' && name !== 'close') expect(CODES, `call ${nth + 1}, ${name}`).toContain(code)
        expect([faulty.handles(), faulty.isLocked()], name).toEqual([0, false])
        expect(await look((await openWithEither(copyOf(disk))) as SealedLog), name).toEqual(seen)
      }
    },
  )
})
