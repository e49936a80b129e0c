import { combineShares, describeShare, RaftLogError, splitUnlockKey } from '@leastwise/raftlog'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatBase36, parseBase36 } from '../../packages/raftlog/src/keepers/base36.ts'
import { invert, multiply } from '../../packages/raftlog/src/keepers/gf256.ts'
import { polynomialThrough, splitBytes } from '../../packages/raftlog/src/keepers/polynomial.ts'
import { formatShare, parseShare } from '../../packages/raftlog/src/keepers/share-text.ts'
import { subsets } from '../../packages/raftlog/src/keepers/subsets.ts'
import { seededRandom } from '../support/seeded-random.ts'

const codeOf = (run: () => unknown): string => {
  try {
    run()
    return 'none'
  } catch (error) {
    if (error instanceof RaftLogError) return error.code
    throw error
  }
}

/** Multiplication as the textbook has it: carry-less, then the remainder by the polynomial. */
function slowProduct(a: number, b: number): number {
  let product = 0
  for (let bit = 0; bit < 8; bit += 1) if ((b >> bit) % 2 === 1) product ^= a << bit
  for (let bit = 14; bit >= 8; bit -= 1) if ((product >> bit) % 2 === 1) product ^= 0x11b << (bit - 8)
  return product
}

describe('the field', () => {
  it('multiplies as the textbook says, for every pair', () => {
    let wrong = 0
    for (let a = 0; a < 256; a += 1)
      for (let b = 0; b < 256; b += 1) if (multiply(a, b) !== slowProduct(a, b)) wrong += 1
    expect(wrong).toBe(0)
  })

  it('has an inverse for everything but zero', () => {
    for (let a = 1; a < 256; a += 1) expect(multiply(a, invert(a))).toBe(1)
    expect(invert(0)).toBe(0)
  })
})

describe('fewer points than needed', () => {
  /** A random source that gives exactly these bytes. */
  const fixed = (...values: number[]) => ({ bytes: () => Uint8Array.from(values) })

  it('of two: each value of one point stands for each secret exactly once (all 65,536 cases)', () => {
    for (let secret = 0; secret < 256; secret += 1) {
      const seen = new Set<number>()
      for (let drawn = 0; drawn < 256; drawn += 1) {
        seen.add(splitBytes(Uint8Array.of(secret), { k: 2, n: 3, random: fixed(drawn) })[2]!.y[0]!)
      }
      expect(seen.size).toBe(256)
    }
  })

  it('of three: each pair of values stands for each of some secrets exactly once (65,536 cases each)', () => {
    for (const secret of [0, 1, 0xa7]) {
      const seen = new Uint8Array(65_536)
      for (let drawn = 0; drawn < 65_536; drawn += 1) {
        const random = fixed(drawn & 0xff, drawn >> 8)
        const points = splitBytes(Uint8Array.of(secret), { k: 3, n: 2, random })
        seen[points[0]!.y[0]! * 256 + points[1]!.y[0]!]! += 1
      }
      expect(seen.every((count) => count === 1)).toBe(true)
    }
  })

  it('look alike for two very different keys (chi-square over 20,000 bytes, 255 degrees)', () => {
    const random = seededRandom(99)
    for (const fill of [0x00, 0xff]) {
      const counts = new Array<number>(256).fill(0)
      for (let round = 0; round < 625; round += 1) {
        const [, second] = splitBytes(new Uint8Array(32).fill(fill), { k: 3, n: 3, random })
        for (const byte of second!.y) counts[byte]! += 1
      }
      const expected = 20_000 / 256
      const chi = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
      // Beyond these once in far more than a million samples.
      expect(chi).toBeGreaterThan(150)
      expect(chi).toBeLessThan(380)
    }
  })
})

const splits = fc
  .record({
    key: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    n: fc.integer({ min: 2, max: 9 }),
    seed: fc.integer({ min: 1, max: 1e6 }),
    order: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 9, maxLength: 9 }),
  })
  .chain((parts) => fc.integer({ min: 2, max: parts.n }).map((k) => ({ ...parts, k })))

describe('shares', () => {
  it('law: any k of n give the key, fewer never do', () => {
    fc.assert(
      fc.property(splits, ({ key, k, n, seed, order }) => {
        const shuffled = splitUnlockKey(key, { k, n, random: seededRandom(seed) })
          .map((share, at) => ({ share, rank: order[at]! }))
          .sort((a, b) => a.rank - b.rank)
          .map(({ share }) => share)
        expect(combineShares(shuffled.slice(0, k))).toEqual(new Uint8Array(key))
        expect(combineShares(shuffled)).toEqual(new Uint8Array(key))
        expect(codeOf(() => combineShares(shuffled.slice(0, k - 1)))).toBe('SHARES_TOO_FEW')
      }),
      { numRuns: 60 },
    )
  })

  it('law: one changed byte of any value is noticed, whatever the check says', () => {
    fc.assert(
      fc.property(
        splits,
        fc.nat(31),
        fc.integer({ min: 1, max: 255 }),
        fc.nat(),
        ({ key, k, n, seed }, at, mask, who) => {
          const shares = [...splitUnlockKey(key, { k, n, random: seededRandom(seed) })]
          const nth = who % n
          const share = parseShare(shares[nth]!, 1)
          share.point.y[at]! ^= mask
          shares[nth] = formatShare(share)
          expect(codeOf(() => combineShares(shares))).toBe('SHARES_WRONG')
        },
      ),
      { numRuns: 60 },
    )
  })

  it('law: with k good shares exactly the others are named, whatever they agreed on', () => {
    fc.assert(
      fc.property(
        splits,
        fc.array(fc.boolean(), { minLength: 9, maxLength: 9 }),
        fc.array(fc.uint8Array({ minLength: 32, maxLength: 32 }), { minLength: 1, maxLength: 2 }),
        ({ key, k, n, seed }, choice, changes) => {
          const shares = splitUnlockKey(key, { k, n, random: seededRandom(seed) })
          const forged = shares.flatMap((_, at) => (choice[at] === true ? [at + 1] : [])).slice(0, n - k)
          const given = shares.map((text, at) => {
            const share = parseShare(text, 1)
            if (!forged.includes(at + 1)) return text
            const change = changes[at % changes.length]!
            const y = share.point.y.map((byte, nth) => byte ^ change[nth]! ^ (nth === 0 && change[0] === 0 ? 1 : 0))
            return formatShare({ ...share, point: { ...share.point, y } })
          })
          try {
            expect(combineShares(given)).toEqual(new Uint8Array(key))
            expect(forged).toEqual([])
          } catch (error) {
            if (!(error instanceof RaftLogError)) throw error
            expect([error.code, error.shares]).toEqual(['SHARES_WRONG', forged])
          }
        },
      ),
      { numRuns: 100 },
    )
  })

  const [first, second] = splitUnlockKey(new Uint8Array(32).fill(9), { k: 2, n: 3, random: seededRandom(3) })
  const CODES = ['SHARE_MALFORMED', 'SHARE_UNSUPPORTED_VERSION', 'SHARE_DAMAGED']

  it('law: each flipped bit is noticed before anything is combined', () => {
    const bytes = Buffer.from(first!)
    for (let at = 0; at < bytes.length; at += 1) {
      for (let bit = 0; bit < 8; bit += 1) {
        const flipped = Buffer.from(bytes)
        flipped[at]! ^= 1 << bit
        expect(CODES, `bit ${bit} of ${at}`).toContain(
          codeOf(() => combineShares([flipped.toString('latin1'), second!])),
        )
      }
    }
  })

  it('law: each exchange of two neighbours is noticed', () => {
    for (let at = 0; at + 1 < first!.length; at += 1) {
      const swapped = first!.slice(0, at) + first![at + 1]! + first![at]! + first!.slice(at + 2)
      if (swapped !== first) expect(CODES).toContain(codeOf(() => describeShare(swapped)))
    }
  })

  it('law: each cut is refused, at either end', () => {
    for (let at = 0; at < first!.length; at += 1) {
      expect(CODES).toContain(codeOf(() => describeShare(first!.slice(0, at))))
      if (at > 0) expect(CODES).toContain(codeOf(() => describeShare(first!.slice(at))))
    }
    for (const around of [` ${first!}`, `${first!}\n`, `${first!} `, first!.toUpperCase(), first!.repeat(20)]) {
      expect(codeOf(() => describeShare(around))).toBe('SHARE_MALFORMED')
    }
  })

  it('law: garbage is refused with a code; what is read is written back alike', () => {
    const near = fc
      .tuple(fc.nat(first!.length - 1), fc.constantFrom('0', 'a', 'z', '-', '1', 'A', '~', '\n', '\u0660'))
      .map(([at, char]) => {
        return first!.slice(0, at) + char + first!.slice(at + 1)
      })
    fc.assert(
      fc.property(fc.oneof(fc.string({ maxLength: 2000 }), near, fc.constant(second!)), (text) => {
        const code = codeOf(() => {
          expect(formatShare(parseShare(text, 1))).toBe(text)
        })
        expect(['none', ...CODES]).toContain(code)
      }),
      { numRuns: 500 },
    )
  })
})

describe('the parts', () => {
  it('law: base 36 gives back its bytes, and refuses what is too large', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 8, maxLength: 8 }), (bytes) => {
        expect(parseBase36(formatBase36(bytes, 13), 8)).toEqual(new Uint8Array(bytes))
      }),
    )
    expect(parseBase36('3w5e11264sgsf', 8)).toEqual(new Uint8Array(8).fill(0xff))
    expect(parseBase36('3w5e11264sgsg', 8)).toBeNull()
  })

  it('law: a polynomial passes through all of its points', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 3, maxLength: 3 }), fc.integer({ min: 1, max: 9 }), (secret, seed) => {
        const points = splitBytes(secret, { k: 4, n: 9, random: seededRandom(seed) })
        const through = polynomialThrough(points.slice(2, 6))
        expect(through(0)).toEqual(new Uint8Array(secret))
        for (const point of points) expect(through(point.x)).toEqual(point.y)
      }),
      { numRuns: 30 },
    )
  })

  it('choices come each once, in order, and never more than asked for', () => {
    expect([...subsets([1, 2, 3, 4], 2, 99)]).toEqual([
      [1, 2],
      [1, 3],
      [1, 4],
      [2, 3],
      [2, 4],
      [3, 4],
    ])
    expect([...subsets([1, 2, 3], 3, 99)]).toEqual([[1, 2, 3]])
    expect([...subsets([1, 2, 3, 4], 2, 2)]).toHaveLength(2)
  })
})
