import {
  type AnchorHead,
  clearWrapper,
  memoryAnchor,
  type RollbackAnchor,
  type SealedLog,
  type SealedLogParts,
  unlockKeyWrapper,
} from '@leastwise/raftlog'
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../support/seeded-random.ts'
import { type CrashDisk, crashDisk, type Fault, LOSSES } from './crash-disk.ts'
import { createOn, openOn, readAll, utf8 } from './log-support.ts'

const first = unlockKeyWrapper(new Uint8Array(32).fill(7), seededRandom(7))
const second = unlockKeyWrapper(new Uint8Array(32).fill(8), seededRandom(8))
const rotation = { snapshot: (index: bigint) => ({ index, term: 2n, data: utf8(`state ${index}`) }) }

interface Image {
  readonly after: string
  readonly names: CrashDisk['contents']
  readonly ring: Uint8Array | null
}

const copyOf = (disk: CrashDisk, after: string): Image => ({
  after,
  names: new Map([...disk.contents].map(([name, { bytes, stable }]) => [name, { bytes, stable }])),
  ring: disk.ring()?.slice() ?? null,
})

interface Life {
  /** Entries as they must be found, up to the last that was acknowledged. */
  acknowledged: bigint
  wrappers: readonly (typeof first)[]
  readonly images: Image[]
  finished: boolean
}

/** A log's life with everything in it that an anchor must follow; stops where the disk or the anchor stops. */
async function live(disk: CrashDisk, anchor: RollbackAnchor): Promise<Life> {
  const life: Life = { acknowledged: 0n, wrappers: [clearWrapper], images: [], finished: false }
  const anchoring: Partial<SealedLogParts> = { anchoring: { anchor }, segmentBytes: 400 }
  let log: SealedLog | undefined
  const step = async (name: string, run: (log: SealedLog) => Promise<unknown>): Promise<void> => {
    await run(log!)
    life.acknowledged = log!.lastIndex
    life.images.push(copyOf(disk, name))
  }
  const add = async (name: string, term: bigint, at?: bigint): Promise<void> => {
    await step(name, async (open) => {
      await open.append([utf8(`${name} ${'x'.repeat(90)}`)], at === undefined ? { term } : { term, at })
    })
  }
  try {
    log = await createOn(disk, anchoring)
    await add('a', 1n)
    await add('b', 1n)
    await step('state', async (open) => {
      await open.saveState({ term: 2n, vote: 'node-1', commit: 1n })
    })
    await add('c', 2n)
    await step('snapshot', async (open) => {
      await open.saveSnapshot({ index: 2n, term: 1n, data: utf8('state 2') })
    })
    await step('compaction', async (open) => {
      await open.compact(2n)
    })
    life.acknowledged = 2n
    await add('c again', 2n, 3n)
    await step('rotation', async (open) => {
      await open.rotateDek(rotation)
    })
    life.wrappers = [clearWrapper, first]
    await step('lock', async (open) => {
      await open.lock(first, rotation)
    })
    life.wrappers = [first, second]
    await step('rewrap', async (open) => {
      await open.rewrap(second)
    })
    life.wrappers = [second]
    await add('d', 2n)
    await log.close()
    life.images.push(copyOf(disk, 'close'))
    log = await openOn(disk, { ...anchoring, wrapper: second })
    await add('e', 3n)
    const elsewhere = { index: 9n, term: 3n, data: utf8('state 9') }
    await step('installation', async (open) => {
      await open.installSnapshot(elsewhere)
    })
    await add('f', 3n)
    await log.close()
    life.finished = true
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error
    await log?.close().catch(() => undefined)
  }
  return life
}

/** Opens whatever is left, with its anchor; nothing that a crash leaves may be taken for a rollback. */
async function checkSurvivor(disk: CrashDisk, anchor: RollbackAnchor, life: Life): Promise<void> {
  let log: SealedLog | null = null
  const codes: string[] = []
  for (const wrapper of [...life.wrappers].reverse()) {
    try {
      log = await openOn(disk, { wrapper, anchoring: { anchor } })
      break
    } catch (error) {
      codes.push((error as { code: string }).code)
    }
  }
  if (log === null) {
    expect(codes).toContain('LOG_MISSING')
    expect(life.acknowledged).toBe(0n)
    await (await createOn(disk, { anchoring: { anchor } })).close()
    return
  }
  expect(log.lastIndex).toBeGreaterThanOrEqual(life.acknowledged)
  await readAll(log, log.firstIndex)
  await log.append([utf8('onward')])
  await log.rotateDek(rotation3(log))
  await log.close()
}

const rotation3 = (log: SealedLog) => ({
  snapshot: (index: bigint) => ({ index, term: log.lastTerm, data: utf8(`state ${index}`) }),
})

/** Fails at one advance, before or after it took effect. */
function failing(
  at: number,
  kind: 'before' | 'after',
): { readonly anchor: RollbackAnchor; readonly inner: RollbackAnchor; readonly asked: () => number } {
  const inner = memoryAnchor()
  let asked = 0
  return {
    inner,
    asked: () => asked,
    anchor: {
      read: inner.read,
      advance: async (head: AnchorHead, after: AnchorHead | null) => {
        asked += 1
        if (asked !== at) {
          await inner.advance(head, after)
          return
        }
        if (kind === 'after') await inner.advance(head, after)
        const { RaftLogError } = await import('@leastwise/raftlog')
        throw new RaftLogError('ANCHOR_UNREACHABLE', 'anchor is gone')
      },
    },
  }
}

async function wholeLife(): Promise<{
  readonly life: Life
  readonly disk: CrashDisk
  readonly anchor: RollbackAnchor
  readonly asked: number
}> {
  const disk = crashDisk()
  const { anchor, asked } = failing(0, 'before')
  const life = await live(disk, anchor)
  expect(life.finished).toBe(true)
  return { life, disk, anchor, asked: asked() }
}

describe('a log with a strict anchor', () => {
  it('is never refused after a crash at any call, and has all that was acknowledged', async () => {
    const { disk: whole } = await wholeLife()
    expect(whole.calls()).toBeGreaterThan(100)
    for (let at = 1; at <= whole.calls(); at += 1) {
      for (const [nth, loss] of LOSSES.entries()) {
        // What was not synced is all there, or gone in one of four ways in turn.
        if (loss !== 'kept' && nth !== [0, 2, 3, 4][at % 4]) continue
        const fault: Fault = { at, kind: 'crash' }
        const disk = crashDisk({}, fault)
        const anchor = memoryAnchor()
        const life = await live(disk, anchor)
        expect(disk.died()).toBe(true)
        try {
          await checkSurvivor(disk.afterCrash(loss, at * 16 + nth), anchor, life)
        } catch (error) {
          throw new Error(`stopped at call ${at}, unsynced data ${loss}`, { cause: error })
        }
      }
    }
  })

  it('is never refused after the anchor failed at any advance, heard or not', async () => {
    const { asked } = await wholeLife()
    expect(asked).toBeGreaterThan(20)
    for (let at = 1; at <= asked; at += 1) {
      for (const kind of ['before', 'after'] as const) {
        for (const loss of ['dropped', 'kept'] as const) {
          const disk = crashDisk()
          const { anchor, inner } = failing(at, kind)
          const life = await live(disk, anchor)
          try {
            await checkSurvivor(disk.afterCrash(loss, at), inner, life)
          } catch (error) {
            throw new Error(`anchor failed at advance ${at}, ${kind} it was heard, unsynced data ${loss}`, {
              cause: error,
            })
          }
        }
      }
    }
  })

  it('is refused from every earlier copy of the disk', async () => {
    const { life, disk, anchor } = await wholeLife()
    expect(life.images.length).toBeGreaterThan(12)
    for (const { after, names, ring } of life.images) {
      for (const wrapper of [clearWrapper, first, second]) {
        const code = await openOn(crashDisk({ names, ring }), { wrapper, anchoring: { anchor } }).then(
          () => 'opened',
          (error: unknown) => (error as { code: string }).code,
        )
        expect(code, `copied after ${after}`).toMatch(/^(?:ROLLED_BACK|KEYS_LOCKED|KEYS_WRONG)$/)
      }
    }
    await (await openOn(disk, { wrapper: second, anchoring: { anchor } })).close()
  })

  it('is refused with an earlier key ring, also under the same data key', async () => {
    const { life, disk, anchor } = await wholeLife()
    const { ring } = life.images.find(({ after }) => after === 'lock')!
    const mixed = crashDisk({ names: disk.contents, ring })
    // The data key is the same: the old unlock key would open everything.
    await (await openOn(crashDisk({ names: disk.contents, ring }), { wrapper: first })).close()
    const refused = await openOn(mixed, { wrapper: first, anchoring: { anchor } }).catch((error: unknown) => error)
    expect(refused).toMatchObject({ code: 'ROLLED_BACK', rollback: { kind: 'keys' } })
  })
})
