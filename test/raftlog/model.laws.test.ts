import { memoryLog, type SealedLog } from '@leastwise/raftlog'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { crashDisk } from './crash-disk.ts'
import { createOn, openOn, readAll } from './log-support.ts'

type Step =
  | { readonly do: 'append'; readonly sizes: readonly number[]; readonly raise: boolean }
  | { readonly do: 'snapshot' | 'compact' | 'rotate' | 'reopen' }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('append' as const),
      sizes: fc.array(fc.nat(120), { minLength: 1, maxLength: 4 }),
      raise: fc.boolean(),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('snapshot', 'compact', 'rotate', 'reopen') }) },
)

async function apply(log: SealedLog, each: Step): Promise<void> {
  const snapshot = (index: bigint) => ({ index, term: log.lastTerm, data: new TextEncoder().encode(`up to ${index}`) })
  switch (each.do) {
    case 'append': {
      const term = log.lastTerm + (each.raise || log.lastTerm === 0n ? 1n : 0n)
      await log.append(
        each.sizes.map((size) => new Uint8Array(size).fill(0x61 + (size % 26))),
        { term },
      )
      return
    }
    case 'snapshot':
      if (log.lastIndex > 0n) await log.saveSnapshot(snapshot(log.lastIndex))
      return
    case 'compact':
      await log.compact(log.snapshotAt?.index ?? 0n)
      return
    case 'rotate':
      await log.rotateDek({ snapshot })
      return
    case 'reopen':
  }
}

describe('the log on files', () => {
  it('law: behaves as the one in memory, whatever is done to it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 15 }),
        fc.constantFrom(1, 400, 1 << 20),
        async (steps, segmentBytes) => {
          const disk = crashDisk()
          const model = memoryLog()
          let log = await createOn(disk, { segmentBytes })
          for (const each of steps) {
            await apply(model, each)
            await apply(log, each)
            if (each.do === 'reopen') {
              await log.close()
              log = await openOn(disk, { segmentBytes })
            }
            expect([log.lastIndex, log.lastTerm, log.snapshotAt]).toEqual([
              model.lastIndex,
              model.lastTerm,
              model.snapshotAt,
            ])
            expect(await log.loadSnapshot()).toEqual(await model.loadSnapshot())
            // Files are dropped whole, so more may be kept than was asked for, never less.
            expect(log.firstIndex).toBeLessThanOrEqual(model.firstIndex)
            expect(await readAll(log, model.firstIndex)).toEqual(await readAll(model))
          }
          expect(await readAll(log)).toHaveLength(Number(log.lastIndex - log.firstIndex + 1n))
        },
      ),
      { numRuns: process.env['SLOW'] === '1' ? 2000 : 120 },
    )
  })
})
