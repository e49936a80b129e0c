import { IdentityError } from '@leastwise/identity'
import { describe, expect, it } from 'vitest'
import { createPutOff, FIRST_PAUSE_MS, LONGEST_PAUSE_MS } from '../../examples/orchestrator/manager/issuing/put-off.ts'

const busy = (): IdentityError => new IdentityError('EXTERNAL_CA_UNREACHABLE', 'no answer', { retryable: true })
const wrong = (): IdentityError => new IdentityError('ISSUED_SUBJECT_MISMATCH', 'another subject')

/** Requests of which some are refused, by the error that stands beside their node. */
function setting(refusals: Map<string, Error>) {
  const tried: string[] = []
  const pauses: number[] = []
  const stop = new AbortController()
  const told: string[] = []
  let afterPause = (): void => undefined
  const putOff = createPutOff({
    issueNow: async (nodeId) => {
      tried.push(nodeId)
      const refusal = refusals.get(nodeId)
      if (refusal !== undefined) throw refusal
      await Promise.resolve()
    },
    sleep: async (ms) => {
      pauses.push(ms)
      await Promise.resolve()
      afterPause()
    },
    onPutOff: ({ code }) => told.push(code),
  })
  return {
    ...{ putOff, tried, pauses, told, stop },
    onPause: (act: () => void) => {
      afterPause = act
    },
  }
}

describe('requests that were put off', () => {
  it('asks for no more of them when the one that signs is not there', async () => {
    const { putOff, tried, told } = setting(new Map([['b', busy()]]))
    await putOff.all(['a', 'b', 'c', 'd'])
    expect(tried).toEqual(['a', 'b'])
    expect(told).toEqual(['EXTERNAL_CA_UNREACHABLE'])
    expect(putOff.state()).toEqual({ requests: 3, code: 'EXTERNAL_CA_UNREACHABLE' })
  })

  it('goes on with the others when one is refused for good', async () => {
    const { putOff, tried } = setting(new Map([['a', wrong()]]))
    await putOff.all(['a', 'b'])
    expect(tried).toEqual(['a', 'b'])
    expect(putOff.state()).toEqual({ requests: 1, code: 'ISSUED_SUBJECT_MISMATCH' })
  })

  it('hides nothing that is no refusal to sign', async () => {
    const { putOff } = setting(new Map([['a', new RangeError('the disk is gone')]]))
    await expect(putOff.all(['a'])).rejects.toThrow(RangeError)
    expect(putOff.add('a', new RangeError('the disk is gone'))).toBeNull()
    expect(putOff.state()).toEqual({ requests: 0, code: null })
  })

  it('tries again with growing pauses until all are signed, and then waits', async () => {
    const refusals = new Map<string, Error>([['a', busy()]])
    const { putOff, pauses, onPause, stop, tried } = setting(refusals)
    onPause(() => {
      if (pauses.length === 9) refusals.clear()
    })
    putOff.add('a', busy())
    const running = putOff.run(stop.signal)
    await expect.poll(() => putOff.state().requests).toBe(0)
    stop.abort()
    await running
    expect(tried).toHaveLength(9)
    expect(pauses[0]).toBe(FIRST_PAUSE_MS)
    expect(pauses.every((pause, index) => pause >= (pauses[index - 1] ?? 0) && pause <= LONGEST_PAUSE_MS)).toBe(true)
    expect(pauses.at(-1)).toBe(LONGEST_PAUSE_MS)
    expect(putOff.state()).toEqual({ requests: 0, code: null })
  })
})
