import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { flusher } from '../../packages/raftlog/src/node/flush.ts'
import { tempDir } from '../support/temp-dir.ts'

interface Rig {
  /** Flushes once, with a disk that takes so long; true if the event loop was held up for it. */
  readonly flush: (tookMs: number) => Promise<boolean>
  /** The share of each flush on another thread for which the event loop has something else to do. */
  busyShare: number
}

function rig(): Rig {
  const fd = openSync(join(tempDir(), 'file'), 'w')
  let now = 0
  let idle = 0
  let tookMs = 0
  let asked = { now: 0, idle: 0 }
  // Time passes once in each flush: between the first look at the clock and the second.
  const run = flusher({
    now: () => {
      asked.now += 1
      return asked.now === 1 ? now : now + tookMs
    },
    idleMs: () => {
      asked.idle += 1
      return asked.idle === 1 ? idle : idle + tookMs * (1 - made.busyShare)
    },
  })
  const made: Rig = {
    busyShare: 0,
    flush: async (ms) => {
      tookMs = ms
      asked = { now: 0, idle: 0 }
      const done = run(fd)
      // One on another thread has looked how idle the loop was, and one that blocks is over already.
      const blocked = asked.idle === 0
      await done
      now += ms
      idle += ms * (1 - made.busyShare)
      return blocked
    },
  }
  return made
}

const times = async (count: number, flush: () => Promise<boolean>): Promise<number> => {
  let blocked = 0
  for (let nth = 0; nth < count; nth += 1) if (await flush()) blocked += 1
  return blocked
}

describe('a flush', () => {
  it('blocks once eight in a row were quick and the loop had nothing else to do, but for each sixteenth', async () => {
    const on = rig()
    expect(await times(8, async () => await on.flush(0.1))).toBe(0)
    expect(await times(15, async () => await on.flush(0.1))).toBe(15)
    expect(await on.flush(0.1)).toBe(false)
    expect(await times(160, async () => await on.flush(0.1))).toBe(150)
  })

  it('never blocks while the loop has more to do than to wait for it, and learns of that within sixteen', async () => {
    const on = rig()
    await times(20, async () => await on.flush(0.1))
    on.busyShare = 0.3
    expect(await times(16, async () => await on.flush(0.1))).toBeLessThan(16)
    expect(await times(50, async () => await on.flush(0.1))).toBe(0)
    on.busyShare = 0.1
    expect(await on.flush(0.1)).toBe(false)
    expect(await on.flush(0.1)).toBe(true)
  })

  it('goes to another thread again after one that was slow, until eight were quick', async () => {
    const on = rig()
    await times(8, async () => await on.flush(0.1))
    expect(await on.flush(5)).toBe(true)
    expect(await times(8, async () => await on.flush(0.1))).toBe(0)
    expect(await on.flush(0.1)).toBe(true)
  })

  it('on a slow disk never blocks', async () => {
    const on = rig()
    expect(await times(50, async () => await on.flush(1.5))).toBe(0)
  })

  it('that fails says so, either way', async () => {
    const fd = openSync(join(tempDir(), 'file'), 'w')
    const run = flusher({ now: () => 0, idleMs: () => 0 })
    for (let nth = 0; nth < 9; nth += 1) await run(fd)
    closeSync(fd)
    for (let nth = 0; nth < 20; nth += 1) await expect(run(fd)).rejects.toThrowCode('EBADF')
  })
})
