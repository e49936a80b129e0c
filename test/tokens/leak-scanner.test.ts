import { inspect } from 'node:util'
import { createLeakScanner, findLeaks, parseJoinToken, parseUnlockKey, redact } from '@leastwise/tokens'
import { describe, expect, it } from 'vitest'
import {
  DIGEST,
  KEYS,
  MARKED_KEY,
  MARKED_SECRET,
  MARKED_TOKEN,
  MARKS,
  naiveScan,
  SHARES,
  TOKENS,
} from './leak-support.ts'
import { engineVectors } from './vectors.ts'

const TOKEN = `SWMTKN-1-${DIGEST}-000avh9he7dy896m08s18udxr`
const TOKEN_2 = `SWMTKN-2-1-${DIGEST}-000avh9he7dy896m08s18udxr`
const KEY = 'SWMKEY-1-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8'
const places = (text: string) => findLeaks(text).map(({ line, column }) => [line, column])

describe('findLeaks', () => {
  it.each(TOKENS)('finds the token %s', (text) => {
    parseJoinToken(text)
    expect(findLeaks(text)).toMatchObject([{ kind: 'join-token', line: 1, column: 1, offset: 0, length: text.length }])
  })

  it.each(KEYS)('finds the key %s', (text) => {
    parseUnlockKey(text)[Symbol.dispose]()
    expect(findLeaks(text)).toEqual([
      { kind: 'unlock-key', line: 1, column: 1, offset: 0, length: 52, digestPrefix: null },
    ])
  })

  it.each(SHARES)('finds the share %s', (text) => {
    expect(findLeaks(text)).toEqual([
      { kind: 'unlock-key-share', line: 1, column: 1, offset: 0, length: text.length, digestPrefix: null },
    ])
    expect(redact(`${text}.`)).toMatch(/^LWSHARE-1-\d+of\d+-\d+-[0-9a-z]{25}-\[redacted\]\.$/)
  })

  it('tells by the digest which cluster a token of a Docker engine is of', () => {
    for (const { tokens, rootSha256 } of engineVectors) {
      for (const { text } of tokens) expect(findLeaks(text)[0]?.digestPrefix).toBe(rootSha256.slice(0, 8))
    }
  })

  it.each([
    ['double quotes', (secret: string) => `token = "${secret}"`],
    ['single quotes', (secret: string) => `TOKEN='${secret}';`],
    ['backquotes', (secret: string) => `run \`docker swarm join --token ${secret} 10.0.0.1:2377\``],
    ['an assignment', (secret: string) => `export TOKEN=${secret}`],
    ['JSON', (secret: string) => JSON.stringify({ a: [1, { secret }] })],
    ['JSON in JSON', (secret: string) => JSON.stringify(JSON.stringify({ secret }))],
    ['a URL', (secret: string) => `https://example.org/join?token=${secret}&as=worker#x`],
    ['the user part of a URL', (secret: string) => `tcp://${secret}@example.org`],
    ['a path', (secret: string) => `/srv/${secret}/x`],
    ['a sentence', (secret: string) => `The token is ${secret}. Keep it, (${secret}), safe: ${secret}!`],
    ['markup', (secret: string) => `<code>${secret}</code>`],
    ['YAML', (secret: string) => `join:\r\n  - ${secret}\r\n  - x`],
    ['letters of other scripts', (secret: string) => `привет${secret}🦭${secret}ß`],
    ['zero bytes', (secret: string) => `\0\0${secret}\0`],
    ['its own prefixes', (secret: string) => `SWMSWMTKN-1-SWMKEY-1-${secret}-SWMTKN`],
    ['its like', (secret: string) => `${secret}${secret}`],
    ['a column of its own in a file without separators', (secret: string) => `42${secret}worker`],
    ['padding', (secret: string) => `${secret}=`],
  ])('finds tokens and keys in %s', (_what, wrap) => {
    for (const secret of [TOKEN, TOKEN_2, KEY]) {
      const text = wrap(secret)
      const starts = Array.from({ length: text.length }, (_unused, at) => at).filter((at) =>
        text.startsWith(secret, at),
      )
      expect(starts.length).toBeGreaterThan(0)
      expect(findLeaks(text).map(({ offset }) => offset)).toEqual(starts)
      expect(findLeaks(text)).toEqual(naiveScan(text))
    }
  })

  it('counts lines at line feeds, and columns in code units', () => {
    expect(places(`${TOKEN}\n\n ${TOKEN}\r\n${KEY}`)).toEqual([
      [1, 1],
      [3, 2],
      [4, 1],
    ])
    expect(places(`🦭${KEY}`)).toEqual([[1, 3]])
    expect(places(`\r${KEY}`)).toEqual([[1, 2]])
  })

  it.each([
    ['nothing', ''],
    ['a placeholder', 'SWMTKN-1-xxx-yyy SWMTKN-1-<digest>-<secret> SWMKEY-1-…'],
    ['a digest one digit short', TOKEN.replace('27gwp', '7gwp')],
    ['a digest one digit long', TOKEN.replace('27gwp', '027gwp')],
    ['a secret one digit short', TOKEN.slice(0, -1)],
    ['a secret one digit short before a stop', `${TOKEN.slice(0, -1)}.`],
    ['a digest of 2^256', `SWMTKN-1-6dp5qcb22im238nr3wvp0ic7q99w035jmy2iw7i6n43d37jtog-000avh9he7dy896m08s18udxr`],
    ['a secret of 2^128', `SWMTKN-1-${DIGEST}-f5lxx1zz5pnorynqglhzmsp34`],
    ['upper case', TOKEN.toUpperCase()],
    ['lower case', TOKEN.toLowerCase()],
    ['one upper-case digit', TOKEN.replace('27gwp', '27gwP')],
    ['an underscore for a hyphen', TOKEN.replace(`${DIGEST}-`, `${DIGEST}_`)],
    ['version 0', TOKEN.replace('-1-', '-0-')],
    ['version 3', TOKEN.replace('-1-', '-3-')],
    ['version 2 without its flag', TOKEN.replace('-1-', '-2-')],
    ['version 2 with another flag', TOKEN.replace('-1-', '-2-2-')],
    ['a line break within', `${TOKEN.slice(0, 70)}\n${TOKEN.slice(70)}`],
    ['a zero byte between all letters', TOKEN.split('').join('\0')],
    ['a key one letter short', KEY.slice(0, -1)],
    ['a key with an unused bit set', KEY.replace(/8$/, '9')],
    ['a key in the url-safe alphabet', KEY.replace('AAEC', 'A_EC')],
    ['a key of version 2', KEY.replace('-1-', '-2-')],
  ])('finds nothing in %s', (_what, text) => {
    expect(findLeaks(text)).toEqual([])
    expect(redact(text)).toBe(text)
  })

  it('finds nothing in a token or key cut off at any character, at either end', () => {
    for (const secret of [TOKEN, TOKEN_2, KEY]) {
      for (let length = 1; length < secret.length; length += 1) {
        expect(findLeaks(secret.slice(0, length))).toEqual([])
        expect(findLeaks(secret.slice(length))).toEqual([])
      }
    }
  })

  it('agrees with the parsers about each flipped bit', () => {
    for (const secret of [TOKEN, TOKEN_2, KEY]) {
      for (let at = 0; at < secret.length; at += 1) {
        for (let bit = 1; bit < 256; bit <<= 1) {
          const flipped = String.fromCharCode(secret.charCodeAt(at) ^ bit)
          const text = `"${secret.slice(0, at)}${flipped}${secret.slice(at + 1)}"`
          expect(findLeaks(text)).toEqual(naiveScan(text))
        }
      }
    }
  })

  it('reports both of two that share letters', () => {
    for (const [body, next] of [
      [`${'A'.repeat(37)}SWMKEY`, KEY.slice(6)],
      [`${'A'.repeat(40)}SWM`, TOKEN.slice(3)],
    ] as const) {
      const text = `SWMKEY-1-${body}${next}`
      expect(findLeaks(text)).toHaveLength(2)
      expect(findLeaks(text)).toEqual(naiveScan(text))
      expect(findLeaks(redact(text))).toEqual([])
    }
  })

  it('holds nothing of a secret in what it returns', () => {
    const leaks = findLeaks(`${MARKED_TOKEN} ${MARKED_KEY}`)
    expect(leaks).toHaveLength(2)
    const printed = inspect(leaks, { depth: null, showHidden: true }) + JSON.stringify(leaks)
    expect(MARKS.filter((mark) => printed.includes(mark))).toEqual([])
  })

  it.each([
    ['prefixes', 'SWMTKN-1-', 0],
    ['the first letters of prefixes', 'SWM', 0],
    ['tokens that lack their last digit', TOKEN.slice(0, -1), 0],
    ['numbers too large', `SWMTKN-1-${'z'.repeat(50)}-${'z'.repeat(25)}`, 0],
    ['tokens', TOKEN, 1],
    ['keys', KEY, 1],
    ['line feeds', '\n'.repeat(64), 0],
  ])('takes time in proportion to one long line of %s', { timeout: 10_000 }, (_what, part, each) => {
    const count = Math.floor(6_000_000 / part.length)
    expect(findLeaks(part.repeat(count))).toHaveLength(count * each)
  })
})

describe('createLeakScanner', () => {
  it('finds what comes in pieces, once, with the piece that completes it', () => {
    for (const secret of [TOKEN, TOKEN_2, KEY]) {
      for (let cut = 1; cut < secret.length; cut += 1) {
        const scanner = createLeakScanner()
        expect(scanner.push(`\n ${secret.slice(0, cut)}`)).toEqual([])
        expect(scanner.push(`${secret.slice(cut)}\n`)).toMatchObject([{ line: 2, column: 2, offset: 2 }])
        expect(scanner.push('\n')).toEqual([])
        expect(scanner.push(secret)).toMatchObject([{ line: 4, column: 1, offset: secret.length + 4 }])
      }
    }
  })

  it('takes nothing for a piece', () => {
    const scanner = createLeakScanner()
    expect(scanner.push('')).toEqual([])
    expect(scanner.push(KEY)).toHaveLength(1)
    expect(scanner.push('')).toEqual([])
  })

  it('knows the place behind a very long line', () => {
    const scanner = createLeakScanner()
    const piece = 'x'.repeat(1 << 16)
    for (let count = 0; count < 256; count += 1) expect(scanner.push(piece)).toEqual([])
    expect(scanner.push(KEY)).toMatchObject([{ line: 1, column: 2 ** 24 + 1 }])
  })
})

describe('redact', () => {
  it('takes the secret out and leaves kind, version and digest', () => {
    expect(redact(`a ${TOKEN} b ${TOKEN_2}`)).toBe(`a SWMTKN-1-${DIGEST}-[redacted] b SWMTKN-2-1-${DIGEST}-[redacted]`)
    expect(redact(`{"key":"${KEY}"}`)).toBe('{"key":"SWMKEY-1-[redacted]"}')
  })

  it('leaves nothing of a marked secret', () => {
    const text = redact(`${MARKED_TOKEN}${MARKED_KEY}\n${MARKED_TOKEN}x`)
    expect(MARKS.filter((mark) => text.includes(mark))).toEqual([])
    expect(MARKED_TOKEN).toContain(MARKED_SECRET)
  })
})
