import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { flusher } from '../../packages/raftlog/src/node/flush.ts'
import { loopTurn } from '../../packages/raftlog/src/node/loop-turn.ts'
import { tempDir } from '../support/temp-dir.ts'

interface Rig {
  /** Flushes once, with a disk that takes so long; true if the event loop was held up for it. */
  readonly flush: (tookMs: number, alone?: boolean) => Promise<boolean>
  isIdle: boolean
}

function rig(): Rig {
  const fd = openSync(join(tempDir(), 'file'), 'w')
  let now = 0
  let tookMs = 0
  let calls = 0
  const run = flusher({
    isIdle: () => made.isIdle,
    now: () => {
      calls += 1
      return calls % 2 === 1 ? now : (now += tookMs)
    },
  })
  const made: Rig = {
    isIdle: true,
    flush: async (ms, alone = true) => {
      tookMs = ms
      const before = calls
      const done = run(fd, { alone })
      // A flush that blocks has looked at the clock for the second time before it gives its promise.
      const blocked = calls === before + 2
      await done
      return blocked
    },
  }
  return made
}

const quick = async (on: Rig): Promise<void> => {
  for (let nth = 0; nth < 8; nth += 1) expect(await on.flush(0.1)).toBe(false)
}

describe('a flush', () => {
  it('blocks once eight in a row were quick, for one append alone, while nothing else is to be done', async () => {
    const on = rig()
    await quick(on)
    expect(await on.flush(0.1)).toBe(true)
    expect(await on.flush(0.1, false)).toBe(false)
    on.isIdle = false
    expect(await on.flush(0.1)).toBe(false)
    on.isIdle = true
    expect(await on.flush(0.1)).toBe(true)
  })

  it('goes to another thread again after one that was slow, until eight were quick', async () => {
    const on = rig()
    await quick(on)
    expect(await on.flush(5)).toBe(true)
    await quick(on)
    expect(await on.flush(0.1)).toBe(true)
  })

  it('on a slow disk never blocks', async () => {
    const on = rig()
    for (let nth = 0; nth < 30; nth += 1) expect(await on.flush(1.5)).toBe(false)
  })

  it('that fails says so, either way', async () => {
    const fd = openSync(join(tempDir(), 'file'), 'w')
    const run = flusher({ isIdle: () => true, now: () => 0 })
    for (let nth = 0; nth < 8; nth += 1) await run(fd, { alone: true })
    closeSync(fd)
    await expect(run(fd, { alone: true })).rejects.toThrowCode('EBADF')
    await expect(run(fd, { alone: false })).rejects.toThrowCode('EBADF')
  })
})

describe('a turn of the event loop', () => {
  it('is idle only after it was measured, and short', async () => {
    let now = 0
    let tookMs = 0.05
    let calls = 0
    const turn = loopTurn(() => {
      calls += 1
      return calls % 2 === 1 ? now : (now += tookMs)
    })
    expect(turn.wasIdle()).toBe(false)
    await turn.take()
    expect(turn.wasIdle()).toBe(true)
    tookMs = 0.5
    await turn.take()
    expect(turn.wasIdle()).toBe(false)
  })
})
