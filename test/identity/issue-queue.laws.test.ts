import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Batch, type BatchResult, type Share, settle } from '../../packages/identity/src/node/batch/batch.ts'
import { createIssueQueue } from '../../packages/identity/src/node/batch/issue-queue.ts'

const ERROR: BatchResult = { error: new Error('issued by nobody') }

interface Asked {
  readonly share: Share
  readonly stop: AbortController
  done: number
}

function ask(count: number): Asked {
  const stop = new AbortController()
  const asked: { done: number } = { done: 0 }
  const batch: Batch = {
    requests: [],
    serials: new Uint8Array(0),
    now: 0,
    signal: stop.signal,
    results: [],
    open: count,
    done: () => {
      asked.done += 1
    },
  }
  return Object.assign(asked, { share: { batch, from: 0, to: count }, stop })
}

type Step =
  | { readonly kind: 'add'; readonly count: number }
  | { readonly kind: 'take'; readonly most: number }
  | { readonly kind: 'finish' | 'return' | 'abort'; readonly which: number }

const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('add'), count: fc.integer({ min: 1, max: 40 }) }),
    fc.record({ kind: fc.constant('take'), most: fc.integer({ min: 1, max: 33 }) }),
    fc.record({ kind: fc.constantFrom('finish', 'return', 'abort'), which: fc.nat() }),
  ),
  { maxLength: 60 },
)

const lengthOf = (shares: readonly Share[]): number => shares.reduce((sum, { from, to }) => sum + to - from, 0)

describe('the queue of an issuer', () => {
  it('loses nothing, gives nothing twice, and ends every batch once', () => {
    fc.assert(
      fc.property(steps, (all) => {
        const queue = createIssueQueue()
        const asked: Asked[] = []
        let working: (readonly Share[])[] = []
        const finish = (shares: readonly Share[]): void => {
          for (const share of shares) settle(share, new Array<BatchResult>(share.to - share.from).fill(ERROR))
        }
        for (const step of all) {
          if (step.kind === 'add') {
            const fresh = ask(step.count)
            asked.push(fresh)
            queue.add(fresh.share)
          } else if (step.kind === 'take') {
            const [before, shares] = [queue.size, queue.take(step.most)]
            expect(lengthOf(shares)).toBeLessThanOrEqual(step.most)
            expect(before - queue.size).toBeGreaterThanOrEqual(lengthOf(shares))
            for (const { batch } of shares) expect(batch.signal.aborted).toBe(false)
            if (shares.length > 0) working.push(shares)
          } else if (step.kind === 'abort') {
            asked[step.which % Math.max(1, asked.length)]?.stop.abort()
          } else {
            const shares = working[step.which % Math.max(1, working.length)] ?? []
            working = working.filter((each) => each !== shares)
            if (step.kind === 'finish') finish(shares)
            else queue.putBack(shares)
          }
        }
        for (const shares of working) finish(shares)
        for (let shares = queue.take(7); shares.length > 0; shares = queue.take(7)) finish(shares)
        expect(queue.size).toBe(0)
        for (const { share, stop, done } of asked) {
          expect(share.batch.open).toBe(0)
          expect(done).toBe(1)
          if (!stop.signal.aborted) expect(share.batch.results.filter((each) => each === ERROR)).toHaveLength(share.to)
        }
      }),
    )
  })

  it('gives in the order in which it was asked, over the ends of batches', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 20 })), fc.integer({ min: 1, max: 9 }), (counts, most) => {
        const queue = createIssueQueue()
        const asked = counts.map(ask)
        for (const { share } of asked) queue.add(share)
        const order: string[] = []
        for (let shares = queue.take(most); shares.length > 0; shares = queue.take(most)) {
          expect(lengthOf(shares)).toBe(Math.min(most, lengthOf(shares) + queue.size))
          for (const { batch, from, to } of shares)
            for (let at = from; at < to; at += 1)
              order.push(`${asked.findIndex(({ share }) => share.batch === batch)} ${at}`)
        }
        expect(order).toEqual(
          counts.flatMap((count, batch) => Array.from({ length: count }, (_, at) => `${batch} ${at}`)),
        )
      }),
    )
  })
})
