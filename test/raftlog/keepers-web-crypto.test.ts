import { webcrypto } from 'node:crypto'
import { inspect } from 'node:util'
import { anyOf, type KeyWrapper, keepersOf, unlockKeyWrapper } from '@leastwise/raftlog'
import { type SubtleWrapping, type WebCryptoWrapperOptions, webCryptoWrapper } from '@leastwise/raftlog/node'
import { describe, expect, it } from 'vitest'
import { keyWrapperContract } from '../contract/key-wrapper.ts'
import { seededRandom } from '../support/seeded-random.ts'

type Subtle = SubtleWrapping<webcrypto.CryptoKey>
type Parts = WebCryptoWrapperOptions<webcrypto.CryptoKey>

const KEY = Uint8Array.from({ length: 32 }, (_, at) => 0x80 + at)
const random = seededRandom(5)
const newKey = async (): Promise<webcrypto.CryptoKey> =>
  await webcrypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt'])

const subtle: Subtle = {
  encrypt: async (algorithm, key, data) => await webcrypto.subtle.encrypt(algorithm, key, data),
  decrypt: async (algorithm, key, data) => await webcrypto.subtle.decrypt(algorithm, key, data),
}
const wrapper = (key: webcrypto.CryptoKey, changes: Partial<Parts> = {}): KeyWrapper =>
  webCryptoWrapper({ subtle, key, name: 'one', random, ...changes })

keyWrapperContract('a key behind web crypto', async () => {
  const [mine, other] = [await newKey(), await newKey()]
  return { create: () => wrapper(mine), other: wrapper(other) }
})

keyWrapperContract('a key behind web crypto, of any', async () => {
  const [mine, other] = [await newKey(), await newKey()]
  return { create: () => anyOf([wrapper(mine)]), other: anyOf([wrapper(other)]) }
})

describe('a key behind web crypto', () => {
  it('is named by its host, and bound to that name', async () => {
    const key = await newKey()
    const one = wrapper(key)
    expect(one.id).toBe('web-crypto-one')
    const wrapped = await one.wrap(KEY)
    for (const name of ['two', 'on', 'ones']) expect(await wrapper(key, { name }).unwrap(wrapped)).toBeNull()
    for (const name of ['', 'A', 'a_b', 'x'.repeat(64)]) expect(() => wrapper(key, { name })).toThrow(RangeError)
    expect(wrapper(key, { name: '0'.repeat(63) }).id).toHaveLength(74)
  })

  it('has a fixed form', async () => {
    const wrapped = await wrapper(await newKey(), {
      random: { bytes: (length) => new Uint8Array(length).fill(9) },
    }).wrap(KEY)
    expect(Buffer.from(wrapped.subarray(0, 21)).toString('hex')).toBe(
      `4c57485401036f6e65${'09'.repeat(12)}`.slice(0, 42),
    )
    expect(wrapped).toHaveLength(4 + 1 + 1 + 3 + 12 + 32 + 16)
  })

  it('wraps what fits into a key ring, and no more', async () => {
    const one = wrapper(await newKey())
    const room = 4096 - 9 - 12 - 16
    expect(await one.wrap(new Uint8Array(room))).toHaveLength(4096)
    await expect(one.wrap(new Uint8Array(room + 1))).rejects.toThrowCode('KEEPER_WRAPPING_TOO_LARGE')
  })

  it('that cannot be reached is told from a wrong one', async () => {
    const key = await newKey()
    const wrapped = await wrapper(key).wrap(KEY)
    const changed = wrapped.map((byte, at) => (at === 30 ? byte ^ 1 : byte))
    const gone = async (): Promise<never> => await Promise.reject(new Error('no token'))
    const cut = wrapper(key, { subtle: { encrypt: gone, decrypt: gone } })
    await expect(cut.unwrap(wrapped)).rejects.toThrowCode('KEEPER_UNREACHABLE')
    await expect(cut.unwrap(changed)).rejects.toThrowCode('KEEPER_UNREACHABLE')
    await expect(cut.wrap(KEY)).rejects.toThrowCode('KEEPER_UNREACHABLE')
    expect(await cut.unwrap(new Uint8Array(60))).toBeNull()
    const noDecrypt = wrapper(key, { subtle: { ...subtle, decrypt: gone } })
    await expect(noDecrypt.unwrap(wrapped)).rejects.toThrowCode('KEEPER_UNREACHABLE')
    await expect(noDecrypt.wrap(KEY)).rejects.toThrowCode('KEEPER_UNREACHABLE')
    expect(await wrapper(key).unwrap(changed)).toBeNull()
  })

  it('is read back before it counts', async () => {
    const key = await newKey()
    const lies: readonly Subtle[] = [
      { ...subtle, decrypt: async () => await Promise.resolve(new ArrayBuffer(32)) },
      { ...subtle, decrypt: async () => await Promise.resolve(new ArrayBuffer(0)) },
      // No cipher at all, or one without a tag.
      {
        encrypt: async (_, __, data) => await Promise.resolve(data.slice().buffer),
        decrypt: async (_, __, data) => await Promise.resolve(data.slice().buffer),
      },
    ]
    for (const lie of lies)
      await expect(wrapper(key, { subtle: lie }).wrap(KEY)).rejects.toThrowCode('KEEPER_ANSWER_INVALID')
  })

  it('that answers with another length opens nothing', async () => {
    const key = await newKey()
    const wrapped = await wrapper(key).wrap(KEY)
    let first = true
    const short: Subtle = {
      ...subtle,
      decrypt: async (algorithm, own, data) => {
        const plain = await subtle.decrypt(algorithm, own, data)
        if (!first) return plain
        first = false
        return plain.slice(1)
      },
    }
    expect(await wrapper(key, { subtle: short }).unwrap(wrapped)).toBeNull()
  })

  it('stands beside other keepers, each of which opens alone', async () => {
    const key = await newKey()
    const unlock = unlockKeyWrapper(new Uint8Array(32).fill(1), random)
    const wrapped = await anyOf([wrapper(key), unlock]).wrap(KEY)
    expect(keepersOf(wrapped)).toEqual(['web-crypto-one', unlock.id])
    expect(await anyOf([wrapper(key)]).unwrap(wrapped)).toEqual(KEY)
    expect(await anyOf([unlock]).unwrap(wrapped)).toEqual(KEY)
    const gone = async (): Promise<never> => await Promise.reject(new Error('no token'))
    const cut = wrapper(key, { subtle: { encrypt: gone, decrypt: gone } })
    expect(await anyOf([cut, unlock]).unwrap(wrapped)).toEqual(KEY)
    await expect(anyOf([cut]).unwrap(wrapped)).rejects.toThrowCode('KEEPER_UNREACHABLE')
  })

  it('shows no key in its refusals', async () => {
    const key = await newKey()
    const gone = async (): Promise<never> => await Promise.reject(new Error('no token'))
    const cut = wrapper(key, { subtle: { encrypt: gone, decrypt: gone } })
    const failure: unknown = await Promise.resolve(cut.wrap(KEY)).catch((error: unknown) => error)
    expect(inspect(failure, { depth: 9, showHidden: true })).not.toMatch(/128, 129|8081/)
  })
})
