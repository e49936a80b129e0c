import { memoryLog, type SealedLog } from '@leastwise/raftlog'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { crashDisk } from './crash-disk.ts'
import { createOn, openOn, readAll } from './log-support.ts'

type Step =
  | { readonly do: 'append'; readonly sizes: readonly number[]; readonly raise: boolean }
  | { readonly do: 'replace'; readonly sizes: readonly number[]; readonly back: number; readonly raise: boolean }
  | { readonly do: 'state'; readonly raise: boolean; readonly commit: boolean; readonly withEntry: boolean }
  | { readonly do: 'install'; readonly ahead: number }
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
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('replace' as const),
      sizes: fc.array(fc.nat(120), { minLength: 1, maxLength: 4 }),
      back: fc.nat(8),
      raise: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('state' as const),
      raise: fc.boolean(),
      commit: fc.boolean(),
      withEntry: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('install' as const), ahead: fc.nat(20) }) },
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
    case 'replace': {
      const final = [log.snapshotAt?.index ?? 0n, log.state?.commit ?? 0n].reduce((a, b) => (a > b ? a : b))
      const wanted = log.lastIndex + 1n - BigInt(each.back)
      const at = wanted > final ? wanted : final + 1n
      const before = (await log.termAt(at - 1n)) ?? 0n
      await log.append(
        each.sizes.map((size) => new Uint8Array(size).fill(0x41 + (size % 26))),
        { at, term: before + (each.raise || before === 0n ? 1n : 0n) },
      )
      return
    }
    case 'state': {
      const { term, vote, commit } = log.state ?? { term: 0n, vote: null, commit: 0n }
      const next = {
        term: term + (each.raise ? 1n : 0n),
        vote: each.raise ? null : (vote ?? 'node-1'),
        commit: each.commit ? log.lastIndex : commit,
      }
      if (each.withEntry) await log.append([new Uint8Array(7)], { state: next })
      else await log.saveState(next)
      return
    }
    case 'install': {
      const far = [log.snapshotAt?.index ?? 0n, log.state?.commit ?? 0n].reduce((a, b) => (a > b ? a : b))
      const index = far + 1n + BigInt(each.ahead)
      await log.installSnapshot({ index, term: log.lastTerm + 1n, data: new TextEncoder().encode(`at ${index}`) })
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
        fc.constantFrom(undefined, 512),
        async (steps, segmentBytes, stepBytes) => {
          const disk = crashDisk({ stepBytes })
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
            expect(log.state).toEqual(model.state)
            for (const index of [model.firstIndex - 1n, model.firstIndex, model.lastIndex, model.lastIndex + 1n]) {
              expect(await log.termAt(index)).toBe(await model.termAt(index))
            }
            expect(await log.entry(model.lastIndex + 1n)).toBeNull()
            if (model.lastIndex >= model.firstIndex) {
              expect(await log.entry(model.lastIndex)).toEqual(await model.entry(model.lastIndex))
            }
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
