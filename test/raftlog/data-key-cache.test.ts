import { clearWrapper, type KeyWrapper } from '@leastwise/raftlog'
import { dataKeyCache } from '@leastwise/raftlog/node'
import { describe, expect, it } from 'vitest'
import { manualClock } from '../support/manual-clock.ts'
import { crashDisk } from './crash-disk.ts'
import { createOn, openOn, readAll, utf8 } from './log-support.ts'

describe('dataKeyCache', () => {
  const key = (fill: number): Uint8Array => new Uint8Array(32).fill(fill)
  const zeros = new Uint8Array(32)

  it('forgets a key by age, and wipes it', async () => {
    const clock = manualClock()
    const cache = dataKeyCache({ maxKeys: 2, maxAgeMs: 1000, clock })
    const kept = key(1)
    cache.set('a', kept)
    await clock.advance(999)
    expect(cache.get('a')).toBe(kept)
    await clock.advance(2)
    expect(cache.get('a')).toBeUndefined()
    expect(kept).toEqual(zeros)
  })

  it('forgets the key that was used longest ago when there are too many, and wipes it', () => {
    const cache = dataKeyCache({ maxKeys: 2, maxAgeMs: 1000, clock: manualClock() })
    const [a, b, c] = [key(1), key(2), key(3)]
    cache.set('a', a)
    cache.set('b', b)
    cache.get('a')
    cache.set('c', c)
    expect(cache.get('b')).toBeUndefined()
    expect(b).toEqual(zeros)
    cache.delete('a')
    expect(a).toEqual(zeros)
    cache.clear()
    expect(c).toEqual(zeros)
  })

  it.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])('takes %s for no bound', (bound) => {
    const clock = manualClock()
    expect(() => dataKeyCache({ maxKeys: bound, maxAgeMs: 1000, clock })).toThrow(RangeError)
    expect(() => dataKeyCache({ maxKeys: 2, maxAgeMs: bound, clock })).toThrow(RangeError)
  })
})

describe('a log that is closed', () => {
  it('unwraps no key for those who still read it', async () => {
    const disk = crashDisk()
    const cache = dataKeyCache({ maxKeys: 2, maxAgeMs: 1000, clock: manualClock() })
    const kept: string[] = []
    const set = (id: string, key: Uint8Array): void => {
      kept.push(id)
      cache.set(id, key)
    }
    const watched = { ...cache, set }
    const log = await createOn(disk, { segmentBytes: 200, cache: watched })
    for (const entry of ['a', 'b', 'c', 'd']) await log.append([utf8(entry)])
    const [unstarted, reading] = [log.batches(), log.batches()[Symbol.asyncIterator]()]
    await reading.next()
    await log.close()
    kept.length = 0
    const finish = async (): Promise<void> => {
      for (let step = await reading.next(); step.done !== true; ) step = await reading.next()
    }
    await expect(finish()).rejects.toThrowCode('LOG_CLOSED')
    await expect(unstarted[Symbol.asyncIterator]().next()).rejects.toThrowCode('LOG_CLOSED')
    expect(kept).toEqual([])
  })
})

describe('a log whose keys have grown old in memory', () => {
  it('unwraps them again when it needs them, and not before', async () => {
    const clock = manualClock()
    let unwrapped = 0
    const wrapper: KeyWrapper = {
      id: 'counting',
      wrap: clearWrapper.wrap,
      unwrap: (wrapped) => {
        unwrapped += 1
        return new Uint8Array(wrapped)
      },
    }
    const disk = crashDisk()
    await (await createOn(disk, { wrapper })).close()
    unwrapped = 0
    const log = await openOn(disk, { wrapper, cache: dataKeyCache({ maxKeys: 2, maxAgeMs: 1000, clock }) })
    await log.append([utf8('a')])
    expect(unwrapped).toBe(1)
    await clock.advance(5000)
    await log.append([utf8('b')])
    expect(unwrapped).toBe(1)
    expect(await readAll(log)).toEqual(['1:1:a', '2:1:b'])
    expect(unwrapped).toBe(2)
  })
})
