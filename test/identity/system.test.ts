import { createHash } from 'node:crypto'
import { systemClock, systemDigest, systemRandom } from '@leastwise/identity/node'
import { describe, expect, it } from 'vitest'

describe('systemClock', () => {
  it('tells the time and sleeps', async () => {
    const before = Date.now()
    await systemClock.sleep(5, { signal: new AbortController().signal })
    expect(systemClock.now()).toBeGreaterThanOrEqual(before)
  })

  it('rejects with the reason of the signal, before and while it sleeps', async () => {
    const reason = new Error('enough')
    await expect(systemClock.sleep(1, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    const controller = new AbortController()
    // Longer than the longest timer of the platform, which would fire at once.
    const sleeping = systemClock.sleep(2 ** 40, { signal: controller.signal })
    setImmediate(() => {
      controller.abort(reason)
    })
    await expect(sleeping).rejects.toBe(reason)
  })
})

describe('systemRandom', () => {
  it('never gives the same bytes twice, across the edge of its pool too', () => {
    const seen = new Set(Array.from({ length: 2000 }, () => Buffer.from(systemRandom.bytes(17)).toString('hex')))
    expect(seen.size).toBe(2000)
  })

  it('gives as many as asked, in an array of its own', () => {
    for (const length of [0, 1, 20, 1024, 1025, 100_000]) {
      const bytes = systemRandom.bytes(length)
      expect(bytes).toHaveLength(length)
      expect(bytes.buffer.byteLength).toBe(length)
    }
    for (const length of [-1, 1.5, Number.NaN]) expect(() => systemRandom.bytes(length)).toThrow(RangeError)
  })
})

describe('systemDigest', () => {
  it('is SHA-256', () => {
    const data = new TextEncoder().encode('abc')
    expect(Buffer.from(systemDigest.sha256(data)).toString('hex')).toBe(
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    )
    expect(systemDigest.sha256(data)).toEqual(new Uint8Array(createHash('sha256').update(data).digest()))
  })
})
