import { createUnlockKey, formatUnlockKey, parseUnlockKey, UNLOCK_KEY_BYTES, UnlockKey } from '@leastwise/tokens'
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../support/seeded-random.ts'
import { engineVectors, fromHex, toHex, unlockKeyVectors } from './vectors.ts'

const KEY = 'SWMKEY-1-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8'
const engineKeys = engineVectors.flatMap(({ unlockKey }) => (unlockKey === undefined ? [] : [unlockKey]))

describe('unlock keys', () => {
  it('come from a Docker engine in one vector at least', () => {
    expect(engineKeys.length).toBeGreaterThan(0)
  })

  it.each([...unlockKeyVectors, ...engineKeys])('read and write $text', ({ text, hex }) => {
    expect(parseUnlockKey(text).expose(toHex)).toBe(hex)
    expect(formatUnlockKey(new UnlockKey(fromHex(hex)))).toBe(text)
  })

  it('are made from one draw of 32 bytes', () => {
    const random = seededRandom(3)
    const key = createUnlockKey(random)
    expect(random.draws.map((draw) => draw.length)).toEqual([UNLOCK_KEY_BYTES])
    expect(key.expose(toHex)).toBe(toHex(random.draws[0]!))
  })

  it('have 32 bytes and no other number', () => {
    for (const length of [0, 16, 31, 33, 64]) expect(() => new UnlockKey(new Uint8Array(length))).toThrow(RangeError)
    expect(() => createUnlockKey({ bytes: () => new Uint8Array(16) })).toThrow(RangeError)
  })
})

describe('parseUnlockKey', () => {
  it.each([
    ['nothing', ''],
    ['only the prefix', 'SWMKEY-1-'],
    ['another prefix', KEY.toLowerCase()],
    ['another version', KEY.replace('-1-', '-2-')],
    ['a join token', 'SWMTKN-1-27gwpqy8zrr16lkorbxjgux3bumowvt4v6hdq9lyyb887iohs3-000avh9he7dy896m08s18udxr'],
    ['padding', `${KEY}=`],
    ['a trailing newline', `${KEY}\n`],
    ['a leading space', ` ${KEY}`],
    ['31 bytes', `SWMKEY-1-${Buffer.alloc(31).toString('base64').replace(/=+$/, '')}`],
    ['33 bytes', `SWMKEY-1-${Buffer.alloc(33).toString('base64')}`],
    ['a url-safe letter', KEY.replace('AAEC', 'A_EC')],
    ['a hyphen', KEY.replace('AAEC', 'A-EC')],
    ['an inner space', KEY.replace('AAEC', 'A EC')],
    ['a padding letter within', KEY.replace(/8$/, '=')],
    ['the lower unused bit set', KEY.replace(/8$/, '9')],
    ['the upper unused bit set', KEY.replace(/8$/, '+')],
    ['a letter beyond ASCII', KEY.replace('AAEC', 'AéEC')],
    ['a megabyte', KEY.padEnd(1 << 20, 'A')],
  ])('refuses %s', (_what, text) => {
    expect(text).not.toBe(KEY)
    expect(() => parseUnlockKey(text)).toThrowCode('UNLOCK_KEY_MALFORMED')
  })

  it('refuses a key cut off at each character', () => {
    for (let length = 0; length < KEY.length; length += 1) {
      expect(() => parseUnlockKey(KEY.slice(0, length))).toThrowCode('UNLOCK_KEY_MALFORMED')
    }
  })
})
