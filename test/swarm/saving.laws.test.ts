import fc from 'fast-check'
import { expect, it } from 'vitest'
import { unitOf } from '../../packages/swarm/src/agent/backoff.ts'
import { createSaving, MAX_PAUSE_MS } from '../../packages/swarm/src/node/saving.ts'
import { manualClock } from '../support/manual-clock.ts'
import { seededRandom } from '../support/seeded-random.ts'

const MAX_SAVE_MS = 1000

const STEP = fc.oneof(
  fc.record({ kind: fc.constantFrom('take' as const, 'forget' as const), ms: fc.constant(0) }),
  fc.record({ kind: fc.constantFrom('full' as const, 'room' as const), ms: fc.integer({ min: 0, max: MAX_SAVE_MS }) }),
  fc.record({ kind: fc.constant('take' as const), ms: fc.integer({ min: 0, max: 3 * MAX_PAUSE_MS }) }),
)

it('saves the newest value within a minute of the host being able to, and never an older one after it', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer(), fc.array(STEP, { maxLength: 30 }), async (seed, steps) => {
      const clock = manualClock()
      const random = seededRandom(seed)
      const { signal, abort } = abortable()
      const saved: number[] = []
      let [tries, full] = [0, false]
      let newest: number | null = null
      const saving = createSaving<number>({
        save: async (value) => {
          tries += 1
          await clock.sleep(unitOf(random) * MAX_SAVE_MS, { signal })
          if (full) throw new RangeError(`${value}`)
          saved.push(value)
        },
        onFailure: (error, retryInMs) => {
          expect(error).toEqual(new RangeError(`${newest}`))
          expect(retryInMs).toBeGreaterThanOrEqual(500)
          expect(retryInMs).toBeLessThanOrEqual(MAX_PAUSE_MS)
        },
        clock,
        random,
      })
      const running: Promise<void>[] = [saving.insist(signal).catch(() => undefined)]
      for (const [at, { kind, ms }] of steps.entries()) {
        if (kind === 'take') {
          newest = at
          running.push(saving.take(at))
        } else if (kind === 'forget') {
          newest = null
          saving.forget()
        } else full = kind === 'full'
        await clock.advance(ms)
      }
      full = false
      await clock.advance(MAX_PAUSE_MS + 2 * MAX_SAVE_MS)
      if (newest !== null) expect(saved.at(-1)).toBe(newest)
      expect(saved).toEqual(saved.toSorted((a, b) => a - b))
      const settled = tries
      await clock.advance(10 * MAX_PAUSE_MS)
      expect(tries).toBe(settled)
      abort()
      await Promise.all(running)
    }),
    { numRuns: 100 },
  )
})

function abortable(): { readonly signal: AbortSignal; readonly abort: () => void } {
  const controller = new AbortController()
  return {
    signal: controller.signal,
    abort: () => {
      controller.abort(new Error('over'))
    },
  }
}
