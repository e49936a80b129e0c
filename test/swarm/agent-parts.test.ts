import { getEventListeners } from 'node:events'
import { formatManagerAddress, parseManagerAddress } from '@leastwise/swarm'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { linkSignals, until, within } from '../../packages/swarm/src/abortable.ts'
import { nextSessionBackoff, statusPollBackoff, unitOf } from '../../packages/swarm/src/agent/backoff.ts'
import { createEventQueue } from '../../packages/swarm/src/agent/event-queue.ts'
import { firstOf } from '../../packages/swarm/src/agent/first-of.ts'
import { createManagerPool } from '../../packages/swarm/src/agent/manager-pool.ts'
import { isCollected } from '../support/garbage.ts'
import { seededRandom } from '../support/seeded-random.ts'

describe('backoff', () => {
  it('grows as with stock engines and stops at 8 s', () => {
    const bounds = [0, 0, 0, 0, 0, 0, 0, 0].reduce<number[]>(
      (list) => [...list, nextSessionBackoff(list.at(-1) ?? 0)],
      [],
    )
    expect(bounds).toEqual([100, 300, 700, 1500, 3100, 6300, 8000, 8000])
  })

  it('of status polls stops at 30 s', () => {
    expect([1, 2, 3, 5, 6, 100].map(statusPollBackoff)).toEqual([2000, 3000, 5000, 17_000, 30_000, 30_000])
  })

  it('draws from [0, 1)', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const unit = unitOf(seededRandom(seed))
        expect(unit >= 0 && unit < 1).toBe(true)
      }),
    )
    expect(unitOf({ bytes: (length) => new Uint8Array(length).fill(255) })).toBeLessThan(1)
  })
})

describe('the manager pool', () => {
  it('moves away from a manager that fails and comes back to it when the others fail more', () => {
    const pool = createManagerPool(['a:1', 'b:1'])
    pool.observe('a:1', 'bad')
    expect([0, 0.99].map(pool.pick)).toEqual(['b:1', 'b:1'])
    pool.observe('b:1', 'bad')
    pool.observe('b:1', 'bad')
    expect(pool.pick(0.5)).toBe('a:1')
  })

  it('spreads over equals', () => {
    const pool = createManagerPool(['a:1', 'b:1', 'c:1'])
    expect([0, 0.4, 0.9].map(pool.pick)).toEqual(['a:1', 'b:1', 'c:1'])
  })

  it('keeps what it knows when told of nobody', () => {
    const pool = createManagerPool(['a:1'])
    expect(pool.replace([])).toBe(false)
    expect(pool.pick(0)).toBe('a:1')
  })

  it('says whether a list is news', () => {
    const pool = createManagerPool(['a:1'])
    expect(pool.replace([{ nodeId: 'x', address: 'a:1', weight: 1 }])).toBe(false)
    expect(pool.replace([{ nodeId: 'y', address: 'b:1', weight: 1 }])).toBe(true)
    expect(pool.pick(0)).toBe('b:1')
  })
})

describe('addresses', () => {
  it('are read and written alike', () => {
    for (const text of ['192.0.2.1:2377', 'manager-1.example:1', '[2001:db8::1]:65535', 'm:2377'])
      expect(formatManagerAddress(parseManagerAddress(text))).toBe(text)
  })

  it('are read or refused, whatever the text', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.webAuthority(), fc.ipV6()), (text) => {
        let read: string | null = null
        try {
          read = formatManagerAddress(parseManagerAddress(text))
        } catch (error) {
          expect(error).toMatchObject({ code: 'ADDRESS_MALFORMED' })
        }
        if (read !== null) expect(read).toBe(text)
      }),
    )
  })
})

describe('waiting', () => {
  it('for the first of several jobs stops the others and tells how it ended', async () => {
    const stopped: string[] = []
    const patient = (name: string) => async (signal: AbortSignal) => {
      await new Promise<void>((resolve) => {
        signal.addEventListener('abort', () => {
          resolve()
        })
      })
      stopped.push(name)
    }
    const failing = async (): Promise<void> => {
      throw new Error('first')
    }
    await expect(firstOf(new AbortController().signal, [patient('a'), failing, patient('b')])).rejects.toThrow('first')
    expect(stopped).toEqual(['a', 'b'])
  })

  it('ends with the signal even when the source does not listen', async () => {
    const controller = new AbortController()
    const source: AsyncIterable<number> = {
      [Symbol.asyncIterator]: () => ({ next: async () => await new Promise(() => undefined) }),
    }
    const reading = until(source, controller.signal).next()
    const held = within(new Promise(() => undefined), controller.signal)
    const reason = new Error('enough')
    controller.abort(reason)
    await expect(reading).rejects.toBe(reason)
    await expect(held).rejects.toBe(reason)
  })

  it('keeps nothing of what has passed through, and no listener, however long the stream lasts', async () => {
    async function* source() {
      for (;;) yield await Promise.resolve({ value: new Uint8Array(8) })
    }
    const { signal } = new AbortController()
    const reading = until(source(), signal)
    const takeOne = async (): Promise<WeakRef<object>> => new WeakRef((await reading.next()).value!)
    const taken = await takeOne()
    await takeOne()
    expect(await isCollected(taken)).toBe(true)
    expect(getEventListeners(signal, 'abort')).toEqual([])
    await reading.return()
  })

  it('on a linked signal ends with any parent, and leaves none of them a listener', () => {
    const [a, b] = [new AbortController(), new AbortController()]
    const linked = linkSignals(a.signal, b.signal)
    b.abort('b')
    expect(linked.signal.reason).toBe('b')
    const other = linkSignals(a.signal)
    other[Symbol.dispose]()
    a.abort('a')
    expect(other.signal.aborted).toBe(false)
  })

  it('on the queue gives everything that was pushed, then the end', async () => {
    const queue = createEventQueue<number>()
    queue.push(1)
    const seen: number[] = []
    const reading = (async () => {
      for await (const value of queue.drain()) seen.push(value)
    })()
    queue.push(2)
    queue.close({ error: new Error('over') })
    await expect(reading).rejects.toThrow('over')
    expect(seen).toEqual([1, 2])
  })
})
