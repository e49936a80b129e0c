import {
  createJoinToken,
  formatJoinToken,
  MAX_JOIN_TOKEN_CHARS,
  parseJoinToken,
  TokenError,
  TokenSecret,
} from '@leastwise/tokens'
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../support/seeded-random.ts'
import { engineVectors, fromHex, joinTokenVectors, toHex } from './vectors.ts'

const V1 = joinTokenVectors[0]!.text
const V2 = joinTokenVectors.find((vector) => vector.version === 2 && vector.fips)!.text
const DIGEST = V1.slice(9, 59)
const SECRET = V1.slice(60)
const hexOf = (secret: TokenSecret): string => secret.expose(toHex)
const messageOf = (text: string): string => {
  try {
    parseJoinToken(text)
  } catch (error) {
    if (error instanceof TokenError) return error.message
  }
  return 'accepted'
}

describe('parseJoinToken', () => {
  it.each(joinTokenVectors)('reads $text', ({ text, version, fips, digestHex, secretHex }) => {
    const parsed = parseJoinToken(text)
    expect(parsed.version).toBe(version)
    expect(parsed.fips).toBe(fips)
    expect(toHex(parsed.trustDigest)).toBe(digestHex)
    expect(hexOf(parsed.secret)).toBe(secretHex)
    expect(parsed.token).toBe(text)
  })

  it.each(engineVectors)('reads the tokens of the Docker cluster $clusterId', ({ tokens, rootSha256 }) => {
    for (const { text, secretHex } of tokens) {
      const parsed = parseJoinToken(text)
      expect(toHex(parsed.trustDigest)).toBe(rootSha256)
      expect(hexOf(parsed.secret)).toBe(secretHex)
      expect(parsed.token).toBe(text)
    }
  })

  it.each([
    ['nothing', ''],
    ['another prefix', `swmtkn-1-${DIGEST}-${SECRET}`],
    ['an unlock key', 'SWMKEY-1-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8'],
    ['a leading space', ` ${V1}`],
    ['a trailing newline', `${V1}\n`],
    ['two tokens', `${V1}${V1}`],
    ['an upper-case digest', `SWMTKN-1-${DIGEST.toUpperCase()}-${SECRET}`],
    ['an upper-case secret', `SWMTKN-1-${DIGEST}-${SECRET.toUpperCase()}`],
    ['a hyphen too many', `SWMTKN-1--${DIGEST}-${SECRET.slice(1)}`],
    ['the secret before the digest', `SWMTKN-1-${SECRET}-${DIGEST}`],
    ['a digest one digit short', `SWMTKN-1-${DIGEST.slice(1)}-${SECRET}`],
    ['a secret one digit long', `SWMTKN-1-${DIGEST}-0${SECRET}`],
    ['a letter beyond ASCII', `SWMTKN-1-${DIGEST}-é${SECRET.slice(1)}`],
    ['a digit of another script', `SWMTKN-1-${DIGEST}-٣${SECRET.slice(1)}`],
    ['version 1 with a FIPS flag', `SWMTKN-1-0-${DIGEST}-${SECRET}`],
    ['version 2 without a FIPS flag', `SWMTKN-2-${DIGEST}-${SECRET}`],
    ['version 2 with flag 2', V2.replace('SWMTKN-2-1', 'SWMTKN-2-2')],
    ['version 2 with a flag of two characters', V2.replace('SWMTKN-2-1', 'SWMTKN-2-01')],
    ['version 01', `SWMTKN-01-${DIGEST}-${SECRET}`],
    ['a digest of 2^256', `SWMTKN-1-6dp5qcb22im238nr3wvp0ic7q99w035jmy2iw7i6n43d37jtog-${SECRET}`],
    ['the largest digest digits', `SWMTKN-1-${'z'.repeat(50)}-${SECRET}`],
    ['a secret of 2^128', `SWMTKN-1-${DIGEST}-f5lxx1zz5pnorynqglhzmsp34`],
    ['a NUL at the end', `${V1}\0`],
    ['a megabyte', 'SWMTKN-1-'.padEnd(1 << 20, '0')],
  ])('refuses %s', (_what, text) => {
    expect(() => parseJoinToken(text)).toThrowCode('TOKEN_MALFORMED')
  })

  it.each(['3', '10', '9999'])('says so when the version is %s', (version) => {
    expect(() => parseJoinToken(`SWMTKN-${version}-${DIGEST}-${SECRET}`)).toThrowCode('TOKEN_UNSUPPORTED_VERSION')
  })

  it.each([V1, V2])('refuses %s cut off at each character', (text) => {
    for (let length = 0; length < text.length; length += 1) {
      expect(() => parseJoinToken(text.slice(0, length))).toThrowCode('TOKEN_MALFORMED')
    }
  })

  it('takes a flipped bit in any character as another token or as none, and never as the same', () => {
    for (const text of [V1, V2]) {
      for (let at = 0; at < text.length; at += 1) {
        for (let bit = 0; bit < 16; bit += 1) {
          const flipped = text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) ^ (1 << bit)) + text.slice(at + 1)
          try {
            expect(parseJoinToken(flipped).token).toBe(flipped)
          } catch (error) {
            expect(['TOKEN_MALFORMED', 'TOKEN_UNSUPPORTED_VERSION']).toContain((error as TokenError).code)
          }
        }
      }
    }
  })

  it('tells the operator what is wrong', () => {
    expect(messageOf(`${V1}\n`)).toContain('white space')
    expect(messageOf(V1.slice(0, 80))).toContain('80 characters instead of 85')
    expect(messageOf(V2.slice(0, 80))).toContain('80 characters instead of 87')
    expect(messageOf('docker swarm join')).toContain('does not start with SWMTKN-')
    expect(messageOf(`${V1}${V1}`)).toContain(`more than ${MAX_JOIN_TOKEN_CHARS}`)
    expect(messageOf(V1.toUpperCase())).toContain('0-9 and a-z')
  })
})

describe('createJoinToken', () => {
  it('makes a version 1 token from one draw of 16 bytes', () => {
    const random = seededRandom(7)
    const trustDigest = fromHex(joinTokenVectors[0]!.digestHex)
    const made = createJoinToken({ trustDigest, random })
    expect(random.draws.map((draw) => draw.length)).toEqual([16])
    expect(hexOf(made.secret)).toBe(toHex(random.draws[0]!))
    expect(made.version).toBe(1)
    expect(made.fips).toBe(false)
    expect(made.token).toMatch(/^SWMTKN-1-[0-9a-z]{50}-[0-9a-z]{25}$/)
    expect(parseJoinToken(made.token)).toEqual(made)
  })

  it('keeps a digest of its own', () => {
    const trustDigest = fromHex(joinTokenVectors[0]!.digestHex)
    const made = createJoinToken({ trustDigest, random: seededRandom(1) })
    const { token } = made
    trustDigest.fill(0)
    expect(made.token).toBe(token)
  })

  it('refuses a digest of another length and a random source that gives too little', () => {
    expect(() => createJoinToken({ trustDigest: new Uint8Array(31), random: seededRandom(1) })).toThrow(RangeError)
    const short = { bytes: () => new Uint8Array(8) }
    expect(() => createJoinToken({ trustDigest: new Uint8Array(32), random: short })).toThrow(RangeError)
  })

  it('no longer gives its text once the secret is wiped', () => {
    const made = createJoinToken({ trustDigest: new Uint8Array(32), random: seededRandom(1) })
    made.secret[Symbol.dispose]()
    expect(() => made.token).toThrow(TypeError)
  })
})

describe('formatJoinToken', () => {
  it.each(joinTokenVectors.filter(({ version }) => version === 1))('writes $text', ({ text, digestHex, secretHex }) => {
    const secret = new TokenSecret(fromHex(secretHex))
    expect(formatJoinToken({ trustDigest: fromHex(digestHex), secret })).toBe(text)
  })

  it('refuses a digest of another length', () => {
    const secret = new TokenSecret(new Uint8Array(16))
    expect(() => formatJoinToken({ trustDigest: new Uint8Array(33), secret })).toThrow(RangeError)
  })
})
