import { inspect } from 'node:util'
import type { KeyWrapper } from '@leastwise/raftlog'
import { allowWeakScryptCost, type PassphraseWrapperOptions, passphraseWrapper } from '@leastwise/raftlog/node'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeStretch, isAcceptedCost } from '../../packages/raftlog/src/keepers/passphrase-form.ts'
import { seededRandom } from '../support/seeded-random.ts'

const MARK = 'marked-passphrase'
const KEY = new Uint8Array(32).fill(0x77)
const WEAK = { logN: 2, r: 8, p: 1 } as const
const weak = (passphrase: string, options: PassphraseWrapperOptions = {}): KeyWrapper =>
  passphraseWrapper(passphrase, { cost: WEAK, [allowWeakScryptCost]: true, ...options })

describe('a passphrase', () => {
  it('opens at the default cost, which is 128 MiB', async () => {
    const wrapped = await passphraseWrapper(MARK).wrap(KEY)
    expect([...wrapped.subarray(0, 8)]).toEqual([...Buffer.from('LWKP'), 1, 17, 8, 1])
    expect(wrapped).toHaveLength(8 + 32 + 24 + 16 + 32)
    expect(await passphraseWrapper(MARK).unwrap(wrapped)).toEqual(KEY)
  })

  it('is the same in whichever Unicode form it was typed', async () => {
    const wrapped = await weak('Schl\u00fcssel').wrap(KEY)
    expect(await weak('Schlu\u0308ssel').unwrap(wrapped)).toEqual(KEY)
    expect(await weak('Schlussel').unwrap(wrapped)).toBeNull()
  })

  it('is taken as it is otherwise: white space and case count', async () => {
    const wrapped = await weak('pass phrase').wrap(KEY)
    for (const other of ['pass phrase ', ' pass phrase', 'Pass phrase', 'pass  phrase']) {
      expect(await weak(other).unwrap(wrapped)).toBeNull()
    }
  })

  it('opens what was wrapped at another cost within the bounds', async () => {
    const wrapped = await weak(MARK, { cost: { logN: 3, r: 8, p: 2 } }).wrap(KEY)
    const wrapper = weak(MARK)
    expect(await wrapper.unwrap(wrapped)).toEqual(KEY)
    // And goes on with its own.
    expect([...(await wrapper.wrap(KEY)).subarray(5, 8)]).toEqual([2, 8, 1])
  })

  it('keeps its salt, so that a rotation stretches it once', async () => {
    const random = seededRandom(5)
    const first = weak(MARK, { random })
    const wrapped = [await first.wrap(KEY), await first.wrap(KEY)]
    expect(random.draws.map(({ length }) => length)).toEqual([32, 24, 24])
    const again = weak(MARK, { random })
    expect(await again.unwrap(wrapped[0]!)).toEqual(KEY)
    const third = await again.wrap(KEY)
    expect(third.subarray(8, 40)).toEqual(wrapped[1]!.subarray(8, 40))
    expect(random.draws.map(({ length }) => length)).toEqual([32, 24, 24, 24])
  })

  it('does not take over the salt of what it could not open', async () => {
    const wrapped = await weak('another').wrap(KEY)
    const wrapper = weak(MARK)
    expect(await wrapper.unwrap(wrapped)).toBeNull()
    expect((await wrapper.wrap(KEY)).subarray(8, 40)).not.toEqual(wrapped.subarray(8, 40))
  })

  it('opens nothing of a cost that somebody made weak, unless that is allowed', async () => {
    const wrapped = await weak(MARK).wrap(KEY)
    expect(await passphraseWrapper(MARK).unwrap(wrapped)).toBeNull()
    expect(await weak(MARK).unwrap(wrapped)).toEqual(KEY)
  })

  it('never spends more than the bounds on what somebody else wrote', () => {
    const head = (logN: number, r: number, p: number): Uint8Array =>
      new Uint8Array([...Buffer.from('LWKP'), 1, logN, r, p, ...new Uint8Array(100)])
    fc.assert(
      fc.property(fc.nat(255), fc.nat(255), fc.nat(255), (logN, r, p) => {
        for (const bounds of ['strong', 'weak'] as const) {
          const cost = decodeStretch(head(logN, r, p), bounds)?.cost
          if (cost === undefined) continue
          expect(128 * 2 ** cost.logN * cost.r).toBeLessThanOrEqual(256 * 2 ** 20)
          expect(2 ** cost.logN * cost.r * cost.p).toBeLessThanOrEqual(2 ** 23)
        }
      }),
      {
        numRuns: 2000,
        examples: [
          [18, 8, 4],
          [18, 8, 5],
          [19, 8, 1],
          [15, 8, 32],
          [1, 8, 255],
          [17, 9, 1],
        ],
      },
    )
    expect(isAcceptedCost({ logN: 18, r: 8, p: 4 }, 'strong')).toBe(true)
    for (const cost of [
      { logN: 18, r: 8, p: 5 },
      { logN: 19, r: 8, p: 1 },
      { logN: 17, r: 16, p: 1 },
      { logN: 17, r: 8, p: 0 },
      { logN: 17.5, r: 8, p: 1 },
    ]) {
      expect(isAcceptedCost(cost, 'weak')).toBe(false)
    }
  })

  it.each([
    { logN: 16, r: 8, p: 1 },
    { logN: 14, r: 8, p: 8 },
    { logN: 19, r: 8, p: 1 },
    { logN: 17, r: 1, p: 1 },
    { logN: 17, r: 8, p: 9 },
  ])('is not stretched at the cost $logN, $r, $p', (cost) => {
    expect(() => passphraseWrapper(MARK, { cost })).toThrow(RangeError)
  })

  it('may be stretched with less memory and the same work', () => {
    expect(isAcceptedCost({ logN: 16, r: 8, p: 2 }, 'strong')).toBe(true)
    expect(isAcceptedCost({ logN: 15, r: 8, p: 4 }, 'strong')).toBe(true)
    expect(isAcceptedCost({ logN: 15, r: 8, p: 3 }, 'strong')).toBe(false)
  })

  it('is refused when it is empty, too long, or no text', () => {
    expect(() => weak('')).toThrow(RangeError)
    expect(() => weak('a'.repeat(1025))).toThrow(RangeError)
    expect(() => weak('a\ud800')).toThrow(RangeError)
    expect(() => weak(KEY as never)).toThrow(TypeError)
    expect(() => weak('a'.repeat(1024))).not.toThrow()
  })

  it('wraps keys and not files', async () => {
    await expect(weak(MARK).wrap(new Uint8Array(1025))).rejects.toThrow(RangeError)
  })

  it('shows in no error and in no printed form', async () => {
    const wrapper = weak(MARK)
    await wrapper.wrap(KEY)
    const seen = [inspect(wrapper, { depth: 9, showHidden: true, getters: true }), JSON.stringify(wrapper)]
    for (const bad of [`${MARK}\ud800`, MARK.repeat(100)]) {
      try {
        weak(bad)
        seen.push('accepted')
      } catch (error) {
        seen.push(inspect(error, { depth: 9, showHidden: true }))
      }
    }
    expect(seen.join('\n')).not.toContain('accepted')
    // The name of the constant is in the stack of no error either.
    expect(seen.join('\n')).not.toContain(MARK)
  })

  it('has an id that says nothing about it', () => {
    expect(weak('one').id).toBe(weak('another').id)
  })
})
