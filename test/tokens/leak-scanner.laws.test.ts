import { splitUnlockKey } from '@leastwise/raftlog'
import {
  createLeakScanner,
  findLeaks,
  formatJoinToken,
  formatUnlockKey,
  redact,
  TokenSecret,
  UnlockKey,
} from '@leastwise/tokens'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { naiveScan } from './leak-support.ts'
import { toHex } from './vectors.ts'

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const joinToken = fc.tuple(fc.boolean(), bytes(32), bytes(16)).map(([second, trustDigest, secret]) => ({
  text: formatJoinToken({ trustDigest, secret: new TokenSecret(secret) }).replace('-1-', second ? '-2-0-' : '-1-'),
  digestPrefix: toHex(trustDigest).slice(0, 8),
  kind: 'join-token' as const,
}))
const unlockKey = bytes(32).map((key) => ({
  text: formatUnlockKey(new UnlockKey(key)),
  digestPrefix: null,
  kind: 'unlock-key' as const,
}))
const share = fc.tuple(bytes(32), fc.constantFrom([2, 3], [3, 12]), bytes(32)).map(([key, [k = 2, n = 2], drawn]) => ({
  text: splitUnlockKey(key, {
    k,
    n,
    random: { bytes: (length) => Uint8Array.from({ length }, (_, at) => drawn[at % 32]!) },
  }).at(-1)!,
  digestPrefix: null,
  kind: 'unlock-key-share' as const,
}))
const planted = fc.oneof(joinToken, unlockKey, share)
const real = planted.map(({ text }) => text)
// An unlock key in whose last letters another leak begins.
const overlapping = fc
  .tuple(real, fc.constantFrom(3, 5, 6))
  .map(([next, shared]) => `SWMKEY-1-${'A'.repeat(43 - shared)}${next}`)

const noise = fc.string({ unit: 'binary', maxLength: 60 })
const letters = fc.string({ unit: fc.constantFrom(...'SWMTKNEY-120az/+\n\r "'.split('')) })
const damaged = fc
  .tuple(real, fc.nat(108), fc.constantFrom('', 'z', 'Z', '0', '-', '+', '\n', 'SWM'), fc.boolean())
  .map(([text, at, put, replace]) => text.slice(0, at) + put + text.slice(at + (replace ? 1 : 0)))
const text = fc
  .array(
    fc.oneof(
      real,
      damaged,
      overlapping,
      noise,
      letters,
      fc.constantFrom('SWM', 'SWMTKN-1-', 'LWS', 'LWSHARE-1-2of3-1-', '\n', ''),
    ),
    {
      maxLength: 8,
    },
  )
  .map((parts) => parts.join(''))

/** The text cut at the given places. */
const pieces = (whole: string, cuts: readonly number[]): readonly string[] => {
  const ends = [...cuts.map((cut) => cut % (whole.length + 1)), whole.length].toSorted((a, b) => a - b)
  return ends.map((end, at) => whole.slice(at === 0 ? 0 : ends[at - 1], end))
}

describe('the leak scanner', () => {
  it('finds what cutting out every stretch and parsing it finds', () => {
    fc.assert(
      fc.property(text, (whole) => {
        expect(findLeaks(whole)).toEqual(naiveScan(whole))
      }),
      { numRuns: 1500 },
    )
  })

  it('finds whatever is planted into any text, in its place', () => {
    fc.assert(
      fc.property(text, planted, text, (before, { text: secret, kind, digestPrefix }, after) => {
        const lines = before.split('\n')
        expect(findLeaks(before + secret + after)).toContainEqual({
          kind,
          digestPrefix,
          line: lines.length,
          column: lines.at(-1)!.length + 1,
          offset: before.length,
          length: secret.length,
        })
      }),
      { numRuns: 1000 },
    )
  })

  it('finds the same however the text is cut', () => {
    fc.assert(
      fc.property(text, fc.array(fc.nat(1000), { maxLength: 12 }), (whole, cuts) => {
        const scanner = createLeakScanner()
        expect(pieces(whole, cuts).flatMap((piece) => scanner.push(piece))).toEqual(findLeaks(whole))
      }),
      { numRuns: 1000 },
    )
  })

  it('finds the same character by character, and each leak with its last one', () => {
    fc.assert(
      fc.property(text, (whole) => {
        const scanner = createLeakScanner()
        const told = whole.split('').flatMap((unit, at) => scanner.push(unit).map((leak) => ({ leak, at })))
        expect(told.map(({ leak }) => leak)).toEqual(findLeaks(whole))
        for (const { leak, at } of told) expect(at).toBe(leak.offset + leak.length - 1)
      }),
      { numRuns: 300 },
    )
  })
})

describe('redact', () => {
  it('leaves no leak, and nothing to do for a second time', () => {
    fc.assert(
      fc.property(text, (whole) => {
        const clean = redact(whole)
        expect(naiveScan(clean)).toEqual([])
        expect(redact(clean)).toBe(clean)
      }),
      { numRuns: 1000 },
    )
  })

  it('replaces the secrets and nothing else', () => {
    fc.assert(
      fc.property(text, (whole) => {
        const secret = new Set<number>()
        for (const { kind, offset, length } of naiveScan(whole)) {
          const from = length - { 'join-token': 25, 'unlock-key': 43, 'unlock-key-share': 59 }[kind]
          for (let at = from; at < length; at += 1) secret.add(offset + at)
        }
        const expected = whole
          .split('')
          .map((unit, at) => (!secret.has(at) ? unit : secret.has(at - 1) ? '' : '[redacted]'))
        expect(redact(whole)).toBe(expected.join(''))
      }),
      { numRuns: 1000 },
    )
  })
})
