import type { SealedLog } from '@leastwise/raftlog'
import { describe, expect, it } from 'vitest'
import { crashDisk, LOSSES } from './crash-disk.ts'
import { checkSurvivor, compacting, follower, live, look, openWithEither, sights, uncommitted } from './raft-lives.ts'

describe.each([
  ['a follower’s', follower, 1, undefined],
  ['a follower’s', follower, 600, 2048],
  ['a follower’s', follower, 1 << 20, 2048],
  ['an uncommitted', uncommitted, 600, 2048],
  ['a compacting', compacting, 1 << 20, 2048],
  ['a compacting', compacting, 900, 512],
] as const)('%s log, %#', (_, steps, segmentBytes, stepBytes) => {
  it.each(['dropped', 'kept', 'torn'] as const)(
    'is the old one or the new one wherever the machine stops, unsynced data %s',
    async (what) => {
      const seen = await sights(steps)
      const whole = crashDisk({ stepBytes })
      expect(await live(whole, steps, segmentBytes)).toBe(steps.length)
      expect(await look((await openWithEither(whole)) as SealedLog)).toEqual(seen.at(-1))
      const calls = whole.calls()
      expect(calls).toBeGreaterThan(80)
      for (let at = 1; at <= calls; at += 1) {
        // The three kinds of tearing in turn.
        const loss = what === 'torn' ? LOSSES[2 + (at % 3)]! : what
        const disk = crashDisk({ stepBytes }, { at, kind: 'crash' })
        const done = await live(disk, steps, segmentBytes)
        try {
          await checkSurvivor(disk.afterCrash(loss, at), done, seen)
        } catch (error) {
          throw new Error(`stopped at call ${at}, unsynced data ${loss}, after ${done} steps`, { cause: error })
        }
      }
    },
  )
})
