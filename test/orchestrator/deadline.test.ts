import { getEventListeners } from 'node:events'
import { expect, it } from 'vitest'
import { deadlineOf } from '../../examples/orchestrator/deadline.ts'
import { isCollected } from '../support/garbage.ts'

const aborted = async (signal: AbortSignal): Promise<void> => {
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => {
      resolve()
    })
  })
}

it('a deadline comes, although the collector has been there meanwhile', async () => {
  const { signal } = new AbortController()
  const over = aborted(deadlineOf(signal, 200).signal)
  await isCollected(new WeakRef({}))
  await over
})

it('a deadline aborts with its signal, also with one that has aborted, and leaves it no listener', () => {
  const control = new AbortController()
  const reason = new Error('stopped')
  const first = deadlineOf(control.signal, 60_000)
  const second = deadlineOf(control.signal, 60_000)
  second[Symbol.dispose]()
  expect(getEventListeners(control.signal, 'abort')).toHaveLength(1)
  control.abort(reason)
  expect(first.signal.reason).toBe(reason)
  expect(second.signal.aborted).toBe(false)
  const third = deadlineOf(control.signal, 60_000)
  expect(third.signal.reason).toBe(reason)
  for (const one of [first, third]) one[Symbol.dispose]()
})
