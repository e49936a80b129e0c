import { inspect } from 'node:util'
import { combineShares, describeShare, RaftLogError, splitUnlockKey } from '@leastwise/raftlog'
import { describe, expect, it } from 'vitest'
import { formatShare, parseShare, type Share } from '../../packages/raftlog/src/keepers/share-text.ts'
import { subsets } from '../../packages/raftlog/src/keepers/subsets.ts'
import { seededRandom } from '../support/seeded-random.ts'

const KEY = Uint8Array.from({ length: 32 }, (_, at) => 255 - at * 7)
const split = (k: number, n: number, seed = 1): readonly string[] =>
  splitUnlockKey(KEY, { k, n, random: seededRandom(seed) })

/** The same share with one byte of its value changed and a proper check: what a forger would hand in. */
function forged(text: string, change: (share: Share) => Share = (share) => share): string {
  const share = change(parseShare(text, 1))
  const y = share.point.y.slice()
  y[5]! ^= 1
  return formatShare({ ...share, point: { ...share.point, y } })
}

function refusalOf(texts: readonly string[]): RaftLogError {
  try {
    combineShares(texts)
  } catch (error) {
    if (error instanceof RaftLogError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

describe('shares of an unlock key', () => {
  it('look as they are described', () => {
    const shares = split(3, 5)
    expect(shares).toHaveLength(5)
    for (const [at, share] of shares.entries()) {
      expect(share).toMatch(new RegExp(`^LWSHARE-1-3of5-${at + 1}-[0-9a-z]{25}-[0-9a-z]{50}-[0-9a-z]{8}$`))
    }
    const { setId } = describeShare(shares[0]!)
    expect(shares.map(describeShare)).toEqual([1, 2, 3, 4, 5].map((index) => ({ setId, k: 3, n: 5, index })))
  })

  it('give the key for every choice of three of five, in every order', () => {
    const shares = split(3, 5)
    const choices = [...subsets(shares, 3, 99)]
    expect(choices).toHaveLength(10)
    for (const choice of choices) {
      expect(combineShares(choice)).toEqual(KEY)
      expect(combineShares(choice.toReversed())).toEqual(KEY)
    }
    expect(combineShares(split(3, 5))).toEqual(KEY)
  })

  it('work at the edges of what is allowed', () => {
    expect(combineShares(split(2, 2))).toEqual(KEY)
    const many = split(2, 255)
    expect(combineShares([many[254]!, many[127]!])).toEqual(KEY)
    expect(combineShares(split(40, 40))).toEqual(KEY)
  })

  it.each([
    [1, 3],
    [0, 3],
    [4, 3],
    [2, 1],
    [2, 256],
    [2.5, 3],
    [2, Number.NaN],
  ])('cannot be made as %d of %d', (k, n) => {
    expect(() => split(k, n)).toThrow(RangeError)
  })

  it('are made of a key of 32 bytes and of enough randomness only', () => {
    const random = seededRandom(1)
    expect(() => splitUnlockKey(new Uint8Array(31), { k: 2, n: 2, random })).toThrow(RangeError)
    expect(() => splitUnlockKey('key' as never, { k: 2, n: 2, random })).toThrow(TypeError)
    const short = (allowed: number) => ({
      bytes: (length: number) => new Uint8Array(length > allowed ? length - 1 : length),
    })
    expect(() => splitUnlockKey(KEY, { k: 2, n: 2, random: short(0) })).toThrow(RangeError)
  })

  it('draw all their coefficients', () => {
    const random = seededRandom(1)
    splitUnlockKey(KEY, { k: 4, n: 6, random })
    expect(random.draws.map(({ length }) => length)).toEqual([3 * 32])
  })

  it('are refused when there are too few, with the number that is needed', () => {
    const shares = split(3, 5)
    expect(refusalOf([]).code).toBe('SHARES_TOO_FEW')
    const refusal = refusalOf(shares.slice(0, 2))
    expect(refusal.code).toBe('SHARES_TOO_FEW')
    expect(refusal.message).toContain('got 2 shares, but 3 are needed')
  })

  it('are refused when one is given twice, and it is named', () => {
    const [first, second, third] = split(3, 5)
    const refusal = refusalOf([first!, second!, first!, third!])
    expect([refusal.code, refusal.shares]).toEqual(['SHARES_REPEATED', [3]])
    // Another value under the same number is a repetition as well, whichever of the two is right.
    expect(refusalOf([first!, second!, forged(second!)]).code).toBe('SHARES_REPEATED')
  })

  it('of two sets are refused, and those of the smaller one are named', () => {
    const [ours, theirs] = [split(3, 5), split(3, 5, 2)]
    const refusal = refusalOf([theirs[3]!, ours[0]!, ours[1]!])
    expect([refusal.code, refusal.shares]).toEqual(['SHARES_MIXED', [1]])
    expect(refusalOf([ours[0]!, theirs[1]!]).shares).toEqual([2])
  })

  it('whose numbers were rewritten are of another set', () => {
    const shares = split(3, 5)
    const easier = shares.map((text) => {
      const share = parseShare(text, 1)
      return formatShare({ ...share, label: { ...share.label, k: 2 } })
    })
    expect(refusalOf([shares[0]!, shares[1]!, easier[2]!]).shares).toEqual([3])
    expect(refusalOf(easier.slice(0, 2)).code).toBe('SHARES_WRONG')
    // The points suffice, and still it is not what was made.
    expect(refusalOf(easier.slice(0, 3)).code).toBe('SHARES_WRONG')
  })

  it('are refused when one is wrong and none is to spare', () => {
    const shares = split(3, 5)
    const refusal = refusalOf([shares[0]!, forged(shares[1]!), shares[2]!])
    expect([refusal.code, refusal.shares]).toEqual(['SHARES_WRONG', []])
  })

  it.each([1, 2, 3, 4])('are refused when share %d is wrong, and it is named as soon as one is to spare', (nth) => {
    const shares = split(3, 5)
      .slice(0, 4)
      .map((share, at) => (at + 1 === nth ? forged(share) : share))
    const refusal = refusalOf(shares)
    expect([refusal.code, refusal.shares]).toEqual(['SHARES_WRONG', [nth]])
    expect(combineShares(shares.filter((_, at) => at + 1 !== nth))).toEqual(KEY)
  })

  it('name two wrong ones as well, also when their changes cancel out in the key', () => {
    // The same change at 1 and 4 does so in a choice with 5: 4·5/(5·4) = 1·5/(5·1) = 1 in this field.
    const shares = split(3, 5).map((share, at) => (at === 0 || at === 3 ? forged(share) : share))
    expect(refusalOf(shares).shares).toEqual([1, 4])
  })

  it('give up the search for wrong ones after a bounded time', () => {
    const shares = split(20, 40).map((share) => forged(share))
    expect(refusalOf(shares)).toMatchObject({ code: 'SHARES_WRONG', shares: [] })
  })

  it('are named by their place when one is malformed or damaged', () => {
    const [first, second] = split(2, 3)
    expect(refusalOf([first!, 'nonsense'])).toMatchObject({ code: 'SHARE_MALFORMED', shares: [2] })
    const damaged = second!.replace(/.(?=.{20}$)/, (char) => (char === 'a' ? 'b' : 'a'))
    expect(refusalOf([first!, damaged])).toMatchObject({ code: 'SHARE_DAMAGED', shares: [2] })
    expect(refusalOf([first!, second!.replace('LWSHARE-1', 'LWSHARE-2')])).toMatchObject({
      code: 'SHARE_UNSUPPORTED_VERSION',
      shares: [2],
    })
    expect(() => combineShares(new Array<string>(256).fill(first!))).toThrow(RangeError)
  })

  it('with numbers that do not fit together are refused, also with a proper check', () => {
    const share = parseShare(split(2, 3)[0]!, 1)
    const y = share.point.y
    for (const label of [
      { k: 1 },
      { k: 4 },
      { n: 256, k: 2 },
      { index: 4 },
      { k: 999, n: 999 },
      { setId: 'z'.repeat(25) },
    ]) {
      const text = formatShare({ label: { ...share.label, ...label }, point: { x: 1, y } })
      expect(() => describeShare(text)).toThrowCode('SHARE_MALFORMED')
    }
  })

  it('never show themselves or the key in a refusal', () => {
    const shares = split(3, 5)
    const parts = shares.map((share) => share.split('-').slice(-2)[0]!)
    const wrong = [shares[0]!, forged(shares[1]!), shares[2]!, shares[3]!]
    const refusals = [
      refusalOf(shares.slice(0, 2)),
      refusalOf([shares[0]!, shares[0]!, shares[1]!]),
      refusalOf([...shares.slice(0, 3), split(3, 5, 2)[4]!]),
      refusalOf(wrong),
      refusalOf(wrong.slice(0, 3)),
      refusalOf([shares[0]!.slice(0, -3)]),
      refusalOf([`${shares[0]!.slice(0, -1)}~`]),
      refusalOf([shares[0]!.replace('LWSHARE-1', 'LWSHARE-7')]),
    ]
    for (const refusal of refusals) {
      const seen = [refusal.message, inspect(refusal, { depth: 9, showHidden: true }), JSON.stringify(refusal)].join(
        '\n',
      )
      for (const part of parts) expect(seen).not.toContain(part.slice(0, 20))
      expect(seen).not.toContain('255, 248')
      expect(refusal.message).toMatch(/^[a-z].*;.*[^.]$/)
    }
  })
})
