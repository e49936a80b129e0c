import { restrict, Secret, type SecretReader, SecretsError } from '@leastwise/secrets'
import { cachedReader } from '@leastwise/secrets/node'
import { describe, expect, it } from 'vitest'
import { secretReaderContract } from '../contract/secret-reader.ts'
import { manualClock } from '../support/manual-clock.ts'
import { bytesOf, textOf } from './catalogue-driver.ts'

const { signal } = new AbortController()

/** Counts what it is asked, and remembers the bytes that it gave away. */
function source(values: Readonly<Record<string, string>>) {
  const asked: string[] = []
  const given: Secret[] = []
  const reader: SecretReader = {
    read: async (id, options) => {
      options.signal.throwIfAborted()
      asked.push(id)
      const value = values[id]
      if (value === undefined) throw new SecretsError('SECRET_NOT_GRANTED', 'not granted')
      const secret = Secret.copyOf(bytesOf(value))
      given.push(secret)
      return secret
    },
  }
  return { reader, asked, given }
}

const limits = () => ({ ttlMs: 1000, maxBytes: 10, clock: manualClock() })
const textFrom = async (reader: SecretReader, id: string) => {
  using secret = await reader.read(id, { signal })
  return secret.expose(textOf)
}

secretReaderContract('a restricted reader', () => ({
  reader: restrict(source({ s1: 'one', another: 'x' }).reader, ['s1']),
  id: 's1',
  value: bytesOf('one'),
}))
secretReaderContract('a cached reader', () => ({
  reader: cachedReader(source({ s1: 'one' }).reader, limits()),
  id: 's1',
  value: bytesOf('one'),
}))

describe('restrict', () => {
  it('does not even ask for what is not granted', async () => {
    const { reader, asked } = source({ s1: 'one', s2: 'two' })
    await expect(restrict(reader, ['s1']).read('s2', { signal })).rejects.toThrowCode('SECRET_NOT_GRANTED')
    expect(asked).toEqual([])
  })

  it('copies the grants', async () => {
    const granted = ['s1']
    const reader = restrict(source({ s2: 'two' }).reader, granted)
    granted.push('s2')
    await expect(reader.read('s2', { signal })).rejects.toThrowCode('SECRET_NOT_GRANTED')
  })
})

describe('cachedReader', () => {
  it('asks once within its time, and again after it', async () => {
    const { reader, asked } = source({ s1: 'one' })
    const options = limits()
    using cached = cachedReader(reader, options)
    expect([await textFrom(cached, 's1'), await textFrom(cached, 's1')]).toEqual(['one', 'one'])
    await options.clock.advance(1000)
    await textFrom(cached, 's1')
    await options.clock.advance(1)
    await textFrom(cached, 's1')
    expect(asked).toHaveLength(2)
  })

  it('expires also when the clock started at zero', async () => {
    const { reader, asked } = source({ s1: 'one' })
    const clock = manualClock(0)
    using cached = cachedReader(reader, { ttlMs: 10, maxBytes: 10, clock })
    await textFrom(cached, 's1')
    await clock.advance(11)
    await textFrom(cached, 's1')
    expect(asked).toHaveLength(2)
  })

  it('keeps no more bytes than it may', async () => {
    const { reader, asked } = source({ s1: 'sixsix', s2: 'sixsix', s3: 'more than ten' })
    using cached = cachedReader(reader, limits())
    for (const id of ['s1', 's2', 's1', 's3', 's3']) await textFrom(cached, id)
    expect(asked).toEqual(['s1', 's2', 's1', 's3', 's3'])
    expect(cached.size()).toBe(1)
  })

  it('forgets what it is told to, and everything when it is disposed', async () => {
    const { reader, asked } = source({ s1: 'one', s2: 'two' })
    const cached = cachedReader(reader, limits())
    await textFrom(cached, 's1')
    cached.forget('s1')
    cached.forget('s9')
    expect(cached.size()).toBe(0)
    await textFrom(cached, 's1')
    cached[Symbol.dispose]()
    expect(cached.size()).toBe(0)
    await textFrom(cached, 's1')
    expect([cached.size(), asked.length]).toEqual([0, 3])
  })

  it('keeps no failure', async () => {
    const { reader, asked } = source({})
    using cached = cachedReader(reader, limits())
    await expect(cached.read('s1', { signal })).rejects.toThrowCode('SECRET_NOT_GRANTED')
    await expect(cached.read('s1', { signal })).rejects.toThrowCode('SECRET_NOT_GRANTED')
    expect(asked).toHaveLength(2)
  })

  it('wipes every value it lets go of', async () => {
    const clones: Uint8Array[] = []
    class Watched extends Secret {
      override clone(): Secret {
        const copy = super.clone()
        copy.expose((bytes) => clones.push(bytes))
        return copy
      }
    }
    const reader: SecretReader = { read: async (id) => new Watched(bytesOf(`${id}-six`)) }
    const options = limits()
    const cached = cachedReader(reader, options)
    for (const id of ['s1', 's2', 's3']) (await cached.read(id, { signal }))[Symbol.dispose]()
    expect(clones.map((bytes) => bytes.every((byte) => byte === 0))).toEqual([true, true, false])
    cached[Symbol.dispose]()
    expect(clones.every((bytes) => bytes.every((byte) => byte === 0))).toBe(true)
  })

  it.each([{ ttlMs: 0 }, { maxBytes: 0 }, { ttlMs: Number.NaN }, { maxBytes: 1.5 }])('refuses %j', (change) => {
    expect(() => cachedReader(source({}).reader, { ...limits(), ...change })).toThrow(RangeError)
  })
})
