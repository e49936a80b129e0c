import { inspect } from 'node:util'
import {
  clearWrapper,
  createDek,
  decodeKeyring,
  dekId,
  encodeKeyring,
  type Keyring,
  type OpenKeyring,
  openKeyring,
  RaftLogError,
  unlockKeyWrapper,
  wrapKeyring,
} from '@leastwise/raftlog'
import { nodeCipherSuite as suite } from '@leastwise/raftlog/node'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../support/seeded-random.ts'
import { contains } from './log-support.ts'

const random = seededRandom(11)
const kek = random.bytes(32)
const wrapper = unlockKeyWrapper(kek, random)
const other = unlockKeyWrapper(random.bytes(32), random)

const freshKeys = (): OpenKeyring => {
  const [current, pending] = [createDek(random), createDek(random)]
  const id = (dek: Uint8Array): string => Buffer.from(dekId(dek, suite)).toString('hex')
  return { current: { id: id(current), dek: current }, pending: { id: id(pending), dek: pending } }
}

describe('unlockKeyWrapper', () => {
  it('unwraps what it wrapped, and gives null for anything else', () => {
    const key = createDek(random)
    const wrapped = wrapper.wrap(key) as Uint8Array
    expect(wrapped.length).toBe(24 + 16 + 32)
    expect(wrapper.unwrap(wrapped)).toEqual(key)
    expect(other.unwrap(wrapped)).toBeNull()
    for (let at = 0; at < wrapped.length; at += 1) {
      const flipped = wrapped.slice()
      flipped[at]! ^= 0x80
      expect(wrapper.unwrap(flipped)).toBeNull()
      expect(wrapper.unwrap(wrapped.slice(0, at))).toBeNull()
    }
  })

  it('draws a nonce each time', () => {
    const source = seededRandom(3)
    const one = unlockKeyWrapper(kek, source)
    expect(one.wrap(kek)).not.toEqual(one.wrap(kek))
    expect(source.draws.map((draw) => draw.length)).toEqual([24, 24])
  })

  it('has an id that depends on the key alone and does not show it', () => {
    expect(unlockKeyWrapper(kek, seededRandom(1)).id).toBe(wrapper.id)
    expect(wrapper.id).toMatch(/^unlock-[0-9a-f]{16}$/)
    expect(other.id).not.toBe(wrapper.id)
    expect(Buffer.from(kek).toString('hex')).not.toContain(wrapper.id.slice(7))
  })

  it('is not changed by what becomes of the array it was made from', () => {
    const mine = kek.slice()
    const made = unlockKeyWrapper(mine, random)
    const wrapped = made.wrap(kek) as Uint8Array
    mine.fill(0)
    expect(made.unwrap(wrapped)).toEqual(kek)
  })

  it('refuses keys of another length or type', () => {
    expect(() => unlockKeyWrapper(new Uint8Array(31), random)).toThrow(RangeError)
    expect(() => unlockKeyWrapper('k'.repeat(32) as unknown as Uint8Array, random)).toThrow(TypeError)
  })

  it('shows no key when it is printed', () => {
    expect(inspect(wrapper, { depth: 9, showHidden: true })).not.toContain(`${kek[0]}, ${kek[1]}, ${kek[2]}`)
  })
})

describe('a key ring', () => {
  it('reads back, and opens with its wrapper alone', async () => {
    const keys = freshKeys()
    for (const each of [keys, { ...keys, pending: null }]) {
      const ring = decodeKeyring(encodeKeyring(await wrapKeyring(each, wrapper, suite)))
      expect(ring.wrapperId).toBe(wrapper.id)
      expect(await openKeyring(ring, wrapper, suite)).toEqual(each)
      await expect(openKeyring(ring, other, suite)).rejects.toThrowCode('KEYS_WRONG')
      await expect(openKeyring(ring, clearWrapper, suite)).rejects.toThrowCode('KEYS_LOCKED')
    }
  })

  it('in the clear is refused where a lock is expected: somebody may have put it there', async () => {
    const ring = await wrapKeyring(freshKeys(), clearWrapper, suite)
    await expect(openKeyring(ring, wrapper, suite)).rejects.toThrowCode('KEYS_WRONG')
    const trusting = { id: 'trusting', wrap: clearWrapper.wrap, unwrap: clearWrapper.unwrap }
    await expect(openKeyring(ring, trusting, suite)).rejects.toThrowCode('KEYS_WRONG')
    expect((await openKeyring(ring, clearWrapper, suite)).current.dek.length).toBe(32)
  })

  it('is refused if a key is not the one that it is said to be', async () => {
    const ring = await wrapKeyring(freshKeys(), wrapper, suite)
    const swapped: Keyring = {
      ...ring,
      current: { id: ring.pending!.id, wrapped: ring.current.wrapped },
      pending: { id: ring.current.id, wrapped: ring.pending!.wrapped },
    }
    await expect(openKeyring(swapped, wrapper, suite)).rejects.toThrowCode('KEYS_MALFORMED')
    const short: Keyring = { ...ring, current: { ...ring.current, wrapped: await wrapper.wrap(new Uint8Array(31)) } }
    await expect(openKeyring(short, wrapper, suite)).rejects.toThrowCode('KEYS_MALFORMED')
  })

  it('passes on what a broken key holder throws, untouched', async () => {
    const ring = await wrapKeyring(freshKeys(), wrapper, suite)
    const gone = new Error('no answer')
    const broken = { ...wrapper, unwrap: () => Promise.reject(gone) }
    await expect(openKeyring(ring, broken, suite)).rejects.toBe(gone)
  })

  it('is refused when cut at any byte, longer, or of another version', async () => {
    const bytes = encodeKeyring(await wrapKeyring(freshKeys(), wrapper, suite))
    for (let length = 0; length < bytes.length; length += 1) {
      expect(() => decodeKeyring(bytes.slice(0, length)), `${length}`).toThrowCode('KEYS_MALFORMED')
    }
    expect(() => decodeKeyring(new Uint8Array([...bytes, 0]))).toThrowCode('KEYS_MALFORMED')
    const later = bytes.slice()
    later[4] = 2
    expect(() => decodeKeyring(later)).toThrowCode('RECORD_UNSUPPORTED_VERSION')
  })

  it('with any bit flipped never opens as if nothing had happened', async () => {
    const keys = freshKeys()
    const bytes = encodeKeyring(await wrapKeyring(keys, wrapper, suite))
    for (let at = 0; at < bytes.length; at += 1) {
      for (let bit = 0; bit < 8; bit += 1) {
        const flipped = bytes.slice()
        flipped[at]! ^= 1 << bit
        try {
          const ring = decodeKeyring(flipped)
          const opened = await openKeyring(ring, wrapper, suite)
          // Only the wrapper's name is not proven by anything; it decides nothing but which refusal is given.
          expect(opened).toEqual(keys)
          expect(ring.wrapperId).not.toBe(wrapper.id)
        } catch (error) {
          if (!(error instanceof RaftLogError)) throw error
          expect(error.code).toMatch(/^KEYS_|^RECORD_UNSUPPORTED_VERSION$/)
        }
      }
    }
  })

  it('holding one key twice is refused', async () => {
    const ring = await wrapKeyring(freshKeys(), wrapper, suite)
    expect(() => decodeKeyring(encodeKeyring({ ...ring, pending: ring.current }))).toThrowCode('KEYS_MALFORMED')
  })

  it('is not written with a wrapper id or a length outside the format', async () => {
    const ring = await wrapKeyring(freshKeys(), wrapper, suite)
    for (const wrapperId of ['', 'with space', 'ü', 'x'.repeat(129)]) {
      expect(() => encodeKeyring({ ...ring, wrapperId })).toThrow(RangeError)
    }
    const sized = (wrapped: number, id = 16): Keyring => ({
      ...ring,
      current: { id: new Uint8Array(id), wrapped: new Uint8Array(wrapped) },
    })
    for (const bad of [sized(0), sized(4097), sized(1, 15)]) expect(() => encodeKeyring(bad)).toThrow(RangeError)
  })

  it('law: garbage is refused with a code, and whatever parses encodes to the same bytes', async () => {
    const real = encodeKeyring(await wrapKeyring(freshKeys(), wrapper, suite))
    const nearly = fc
      .tuple(fc.nat(real.length - 1), fc.uint8Array({ maxLength: 8 }), fc.nat(8))
      .map(([at, patch, cut]) => new Uint8Array([...real.slice(0, at), ...patch, ...real.slice(at + cut)]))
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), nearly), (bytes) => {
        let ring: Keyring
        try {
          ring = decodeKeyring(bytes)
        } catch (error) {
          expect(error).toBeInstanceOf(RaftLogError)
          return
        }
        expect(encodeKeyring(ring)).toEqual(new Uint8Array(bytes))
      }),
      { numRuns: 2000 },
    )
  })

  it('holds no data key in the clear once it is locked', async () => {
    const keys = freshKeys()
    const bytes = encodeKeyring(await wrapKeyring(keys, wrapper, suite))
    expect(contains(bytes, keys.current.dek)).toBe(false)
    expect(contains(bytes, keys.pending!.dek)).toBe(false)
    expect(contains(encodeKeyring(await wrapKeyring(keys, clearWrapper, suite)), keys.current.dek)).toBe(true)
  })
})
