import { describe, expect, it } from 'vitest'
import { type Commit, type CommitLoop, commitLoop } from '../../packages/raftlog/src/commit-loop.ts'
import type { Appended } from '../../packages/raftlog/src/sealed-log.ts'
import { utf8 } from './log-support.ts'

interface Rig {
  readonly commits: { readonly index: bigint; readonly term: bigint; readonly count: number; readonly bytes: number }[]
  /** Lets the commit that is under way finish. */
  readonly finish: () => void
  readonly loop: CommitLoop
  /** Appends, and gives the indices once they are durable. */
  readonly append: (entries: readonly Uint8Array[], term: bigint) => Promise<Appended>
}

/** A loop whose disk answers only when told to. */
function rig(): Rig {
  const commits: Rig['commits'] = []
  let finish: () => void = () => undefined
  const loop = commitLoop({
    nextIndex: 1n,
    turn: async () => {
      await new Promise<void>((resolve) => setImmediate(resolve))
    },
    commit: async ({ index, term, count, body }: Commit) => {
      commits.push({ index, term, count, bytes: body.length })
      await new Promise<void>((resolve) => {
        finish = resolve
      })
    },
  })
  return {
    commits,
    loop,
    append: async (entries, term) => {
      const { first, last, durable } = loop.append(entries, term)
      await durable
      return { first, last }
    },
    finish: () => {
      finish()
    },
  }
}

const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 10; turn += 1) await new Promise<void>((resolve) => setImmediate(resolve))
}

describe('the commit loop', () => {
  it('collects what comes while a frame is on its way, without waiting for company', async () => {
    const { commits, append, finish } = rig()
    const first = append([utf8('a')], 1n)
    await settle()
    expect(commits).toHaveLength(1)
    const others = Array.from({ length: 100 }, () => append([utf8('b')], 1n))
    await settle()
    expect(commits).toHaveLength(1)
    finish()
    expect(await first).toEqual({ first: 1n, last: 1n })
    await settle()
    expect(commits[1]).toEqual({ index: 2n, term: 1n, count: 100, bytes: 500 })
    finish()
    expect((await Promise.all(others)).at(-1)).toEqual({ first: 101n, last: 101n })
    expect(commits).toHaveLength(2)
  })

  it('puts appends that are ready at the same time in one frame', async () => {
    const { commits, append, finish } = rig()
    const all = [append([utf8('a')], 1n), append([utf8('b'), utf8('c')], 1n)]
    await settle()
    expect(commits).toEqual([{ index: 1n, term: 1n, count: 3, bytes: 15 }])
    finish()
    expect(await Promise.all(all)).toEqual([
      { first: 1n, last: 1n },
      { first: 2n, last: 3n },
    ])
  })

  it('begins another frame at 1024 entries, at 1 MiB, and at another term, and never splits an append', async () => {
    const { commits, append, finish } = rig()
    const many = (count: number): Uint8Array[] => Array.from({ length: count }, () => utf8('x'))
    const waiting = [
      append(many(1000), 1n),
      append(many(25), 1n),
      append([new Uint8Array(1024 * 1024)], 1n),
      append(many(1), 1n),
      append(many(1), 2n),
      append([new Uint8Array(3 * 1024 * 1024)], 2n),
    ]
    for (let frame = 0; frame < 8; frame += 1) {
      await settle()
      finish()
    }
    await Promise.all(waiting)
    expect(commits.map(({ index, term, count }) => [index, term, count])).toEqual([
      [1n, 1n, 1000],
      [1001n, 1n, 25],
      [1026n, 1n, 1],
      [1027n, 1n, 1],
      [1028n, 2n, 1],
      [1029n, 2n, 1],
    ])
  })

  it('has one promise for all appends of a frame, and fails them all with what failed', async () => {
    const broken = new Error('disk is gone')
    const loop = commitLoop({
      nextIndex: 1n,
      turn: () => Promise.resolve(),
      commit: () => Promise.reject(broken),
    })
    const queued = [loop.append([utf8('a')], 1n), loop.append([utf8('b')], 1n), loop.append([utf8('c')], 2n)]
    expect(queued[1]!.durable).toBe(queued[0]!.durable)
    expect(queued[2]!.durable).not.toBe(queued[0]!.durable)
    for (const { durable } of queued) await expect(durable).rejects.toBe(broken)
    expect(() => loop.append([utf8('d')], 2n)).toThrowCode('LOG_FAILED')
  })

  it('runs a task after what was queued before it and before what comes later', async () => {
    const { commits, loop, append, finish } = rig()
    const before = append([utf8('a')], 1n)
    const task = loop.exclusive(async () => commits.length)
    const after = append([utf8('b')], 1n)
    await settle()
    finish()
    await before
    expect(await task).toBe(1)
    await settle()
    finish()
    await after
    expect(commits.map(({ index }) => index)).toEqual([1n, 2n])
    await loop.drained()
    expect(loop.failure()).toBeNull()
  })
})
