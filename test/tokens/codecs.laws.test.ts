import {
  createId,
  formatJoinToken,
  formatUnlockKey,
  parseId,
  parseJoinToken,
  parseUnlockKey,
  TokenError,
  TokenSecret,
  UnlockKey,
} from '@leastwise/tokens'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeBase36, encodeBase36 } from '../../packages/tokens/src/base36.ts'
import { decodeBase64, encodeBase64 } from '../../packages/tokens/src/base64.ts'
import { engineVectors, joinTokenVectors, toHex } from './vectors.ts'

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const oneOf = (letters: string) => fc.nat(letters.length - 1).map((at) => letters.charAt(at))
const digits = (length: number) =>
  fc.string({ unit: oneOf('0123456789abcdefghijklmnopqrstuvwxyz'), minLength: length, maxLength: length })

/** The value again as text, or `null` for a refusal with one of the codes; anything else that is thrown fails the law. */
function attempt(codes: readonly string[], parse: () => string): string | null {
  try {
    return parse()
  } catch (error) {
    if (error instanceof TokenError && codes.includes(error.code)) return null
    throw error
  }
}
const readToken = (text: string) =>
  attempt(['TOKEN_MALFORMED', 'TOKEN_UNSUPPORTED_VERSION'], () => parseJoinToken(text).token)
const readKey = (text: string) => attempt(['UNLOCK_KEY_MALFORMED'], () => formatUnlockKey(parseUnlockKey(text)))
const readId = (text: string) => attempt(['ID_MALFORMED'], () => parseId(text))

const tokenLike = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc
    .tuple(fc.constantFrom('1', '2-0', '2-1', '2-2', '3', '', '0'), digits(50), digits(25))
    .map(([head, digest, secret]) => `SWMTKN-${head}-${digest}-${secret}`),
  fc.tuple(digits(50), digits(24)).map(([digest, secret]) => `SWMTKN-1-0${digest.slice(1)}-0${secret}`),
)
const mangled = (text: string) =>
  fc
    .tuple(fc.nat(text.length), fc.nat(3), fc.string({ unit: 'binary', maxLength: 3 }))
    .map(([at, cut, put]) => text.slice(0, at) + put + text.slice(at + cut))

describe('join tokens', () => {
  it('parse undoes format', () => {
    fc.assert(
      fc.property(bytes(32), bytes(16), (trustDigest, secret) => {
        const text = formatJoinToken({ trustDigest, secret: new TokenSecret(secret) })
        const parsed = parseJoinToken(text)
        expect([parsed.token, toHex(parsed.trustDigest), parsed.secret.expose(toHex)]).toEqual([
          text,
          toHex(trustDigest),
          toHex(secret),
        ])
      }),
    )
  })

  it('whatever parses is its own only text, and everything else is refused with a code', () => {
    const inputs = fc.oneof(
      tokenLike,
      mangled(engineVectors[0]!.tokens[0]!.text),
      mangled(joinTokenVectors.at(-1)!.text),
    )
    fc.assert(
      fc.property(inputs, (text) => [text, null].includes(readToken(text))),
      { numRuns: 2000 },
    )
  })

  it('two different texts never have the same parts', () => {
    const parts = (text: string) => {
      const { version, fips, trustDigest, secret } = parseJoinToken(text)
      return JSON.stringify([version, fips, toHex(trustDigest), secret.expose(toHex)])
    }
    const texts = [...joinTokenVectors, ...engineVectors.flatMap(({ tokens }) => tokens)].map(({ text }) => text)
    expect(new Set(texts.map(parts)).size).toBe(new Set(texts).size)
  })
})

describe('unlock keys', () => {
  it('parse undoes format', () => {
    fc.assert(
      fc.property(bytes(32), (key) => parseUnlockKey(formatUnlockKey(new UnlockKey(key))).expose(toHex) === toHex(key)),
    )
  })

  it('whatever parses is its own only text, and everything else is refused with a code', () => {
    const letters = fc.string({ unit: oneOf('ABCDwxyz0189+/=-_ \n'), maxLength: 50 })
    const inputs = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 100 }),
      letters.map((text) => `SWMKEY-1-${text}`),
      mangled('SWMKEY-1-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8'),
    )
    fc.assert(
      fc.property(inputs, (text) => [text, null].includes(readKey(text))),
      { numRuns: 2000 },
    )
  })
})

describe('ids', () => {
  it('are accepted as made', () => {
    fc.assert(
      fc.property(bytes(17), (random) => {
        const id = createId({ bytes: () => Uint8Array.from(random) })
        return parseId(id) === id
      }),
    )
  })

  it('everything else is refused with a code', () => {
    const inputs = fc.oneof(fc.string({ unit: 'binary', maxLength: 40 }), mangled('hvy0lj3x0b883f8e30fyp2172'))
    fc.assert(
      fc.property(inputs, (text) => [text, null].includes(readId(text))),
      { numRuns: 2000 },
    )
  })
})

describe('number formats', () => {
  it('base 36 agrees with BigInt and is undone by its decoder', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 32 }), (data) => {
        const text = encodeBase36(data, 50)
        expect(text).toBe(
          BigInt(`0x0${toHex(data)}`)
            .toString(36)
            .padStart(50, '0'),
        )
        expect(toHex(decodeBase36(text, data.length)!)).toBe(toHex(data))
      }),
    )
  })

  it('base 36 knows lower-case digits and the width of the number, and nothing else', () => {
    for (const text of ['A', '-', ' ', '_', '0.1', 'é', '/', ':', '`', '{']) expect(decodeBase36(text, 8)).toBeNull()
    expect(decodeBase36('73', 1)).toEqual(Uint8Array.of(255))
    expect(decodeBase36('74', 1)).toBeNull()
  })

  it('base 64 agrees with Buffer, which is laxer, and is undone by its decoder', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), (data) => {
        const text = encodeBase64(data)
        expect(text).toBe(Buffer.from(data).toString('base64').replace(/=+$/, ''))
        expect(toHex(decodeBase64(text)!)).toBe(toHex(data))
      }),
    )
    const letters = fc.string({ unit: oneOf('AQgw/+89z'), maxLength: 12 })
    fc.assert(
      fc.property(letters, (text) => {
        const data = decodeBase64(text)
        return data === null || encodeBase64(data) === text
      }),
    )
  })
})
