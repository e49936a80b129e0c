import { createPublicKey, X509Certificate } from 'node:crypto'
import {
  type Certificate,
  formatSpiffeBundle,
  MAX_SPIFFE_BUNDLE_BYTES,
  parseSpiffeBundle,
  type SpiffeBundle,
  selfSignedRoot,
} from '@leastwise/identity'
import { createNodeKey, openSigner, systemDigest, systemRandom, systemVerifier } from '@leastwise/identity/node'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { readStrictJson } from '../../packages/identity/src/spiffe/strict-json.ts'
import { testCluster } from '../support/test-authority.ts'
import { rsaKey } from './spiffe-support.ts'

type Json = Record<string, unknown>

let roots: readonly Certificate[]
let leaf: Certificate

beforeAll(async () => {
  const needs = { now: Date.now(), random: systemRandom, digest: systemDigest, verifier: systemVerifier }
  const signers = [createNodeKey(), createNodeKey('p384'), createNodeKey('ed25519'), openSigner(rsaKey())]
  roots = await Promise.all(signers.map(async (signer) => await selfSignedRoot(signer, needs)))
  leaf = (await (await testCluster()).issue()).certificate
})

const base64 = ({ der }: Certificate): string => Buffer.from(der).toString('base64')
const keyOf = (certificate: Certificate, changes: Json = {}): Json => ({
  ...createPublicKey({ key: Buffer.from(certificate.publicKey), format: 'der', type: 'spki' }).export({
    format: 'jwk',
  }),
  use: 'x509-svid',
  x5c: [base64(certificate)],
  ...changes,
})
const documentOf = (...keys: readonly unknown[]): string => JSON.stringify({ spiffe_sequence: 1, keys })
const ders = ({ roots: found }: SpiffeBundle): readonly string[] => found.map(base64)

describe('a spiffe bundle', () => {
  it('is written in one form, which any other reader understands', () => {
    const text = formatSpiffeBundle({ sequence: 7n, refreshHintMs: 300_000, roots })
    const read = JSON.parse(text) as {
      readonly spiffe_sequence: number
      readonly spiffe_refresh_hint: number
      readonly keys: readonly Json[]
    }
    expect(read.spiffe_sequence).toBe(7)
    expect(read.spiffe_refresh_hint).toBe(300)
    expect(read.keys).toEqual(roots.map((root) => keyOf(root)))
    for (const key of read.keys) {
      const [x5c] = key['x5c'] as readonly string[]
      const native = new X509Certificate(Buffer.from(x5c!, 'base64'))
      expect(createPublicKey({ key, format: 'jwk' }).equals(native.publicKey)).toBe(true)
      expect(key).not.toHaveProperty('kid')
    }
    const parsed = parseSpiffeBundle(text)
    expect(formatSpiffeBundle(parsed)).toBe(text)
    expect(ders(parsed)).toEqual(roots.map(base64))
    expect(parsed).toMatchObject({ sequence: 7n, refreshHintMs: 300_000 })
    expect(formatSpiffeBundle({ sequence: null, refreshHintMs: null, roots: [] })).toBe('{"keys":[]}')
  })

  it('keeps sequence numbers of 64 bits', () => {
    const largest = 2n ** 64n - 1n
    const text = formatSpiffeBundle({ sequence: largest, refreshHintMs: null, roots: [] })
    expect(parseSpiffeBundle(text).sequence).toBe(largest)
    expect(parseSpiffeBundle('{"spiffe_sequence":9007199254740993,"keys":[]}').sequence).toBe(9007199254740993n)
    expect(() => parseSpiffeBundle(`{"spiffe_sequence":${largest + 1n},"keys":[]}`)).toThrowCode(
      'SPIFFE_BUNDLE_MALFORMED',
    )
  })

  it('passes over what it is not about: other keys, members and roots of unknown kinds', () => {
    const document = JSON.stringify({
      other: { deep: [1, 'two', null, true, { three: -1.5e3 }] },
      keys: [
        keyOf(roots[0]!, { use: 'jwt-svid', kid: 'x' }),
        keyOf(roots[0]!, { use: undefined }),
        keyOf(roots[0]!, { use: 'X509-SVID' }),
        keyOf(roots[0]!, { kty: 'AKP' }),
        keyOf(roots[0]!, { kty: undefined }),
        keyOf(roots[0]!, { x5c: undefined }),
        keyOf(roots[0]!, { x5c: [] }),
        keyOf(roots[1]!, { alg: 'ES384', x5c: [base64(roots[1]!), 'passed over'] }),
        keyOf(roots[1]!),
      ],
    })
    const bundle = parseSpiffeBundle(` \n${document}\t`)
    expect(ders(bundle)).toEqual([base64(roots[1]!)])
    expect(bundle).toMatchObject({ sequence: null, refreshHintMs: null })
    expect(parseSpiffeBundle(new TextEncoder().encode(document)).roots).toHaveLength(1)
  })

  it('may be empty: then nothing is trusted', () => {
    expect(parseSpiffeBundle('{"keys":[]}').roots).toEqual([])
  })

  it.each<readonly [string, () => string | Uint8Array]>([
    ['nothing', () => ''],
    ['no object', () => '[]'],
    ['no keys', () => '{}'],
    ['keys that are no list', () => '{"keys":{}}'],
    ['a key that is no object', () => '{"keys":[1]}'],
    ['two values', () => '{"keys":[]}{}'],
    ['a comma too many', () => '{"keys":[],}'],
    ['a repeated name', () => '{"keys":[],"keys":[]}'],
    ['a repeated name, escaped', () => '{"keys":[],"\\u006beys":[]}'],
    ['a name repeated far inside', () => '{"keys":[],"x":[{"a":1,"a":1}]}'],
    ['a name repeated in a key', () => documentOf(keyOf(roots[0]!)).replace('"use"', '"kty":"EC","use"')],
    ['bytes that are not utf-8', () => Uint8Array.of(0x7b, 0xff, 0x7d)],
    ['a byte order mark', () => '\ufeff{"keys":[]}'],
    ['levels without end', () => `{"keys":[],"x":${'['.repeat(20)}${']'.repeat(20)}}`],
    ['a sequence that is a text', () => '{"spiffe_sequence":"1","keys":[]}'],
    ['a negative sequence', () => '{"spiffe_sequence":-1,"keys":[]}'],
    ['a broken sequence', () => '{"spiffe_sequence":1.0,"keys":[]}'],
    ['a sequence with an exponent', () => '{"spiffe_sequence":1e3,"keys":[]}'],
    ['a sequence of nothing', () => '{"spiffe_sequence":null,"keys":[]}'],
    ['a hint of a thousand years', () => '{"spiffe_refresh_hint":31536000000,"keys":[]}'],
    ['certificates that are no list', () => documentOf(keyOf(roots[0]!, { x5c: base64(roots[0]!) }))],
    ['a certificate that is no text', () => documentOf(keyOf(roots[0]!, { x5c: [1] }))],
    ['a certificate in another base64', () => documentOf(keyOf(roots[0]!, { x5c: [`${base64(roots[0]!)}\n`] }))],
    ['PEM', () => documentOf(keyOf(roots[0]!, { x5c: [Buffer.from(roots[0]!.pem).toString('base64')] }))],
    [
      'a cut certificate',
      () => documentOf(keyOf(roots[0]!, { x5c: [Buffer.from(roots[0]!.der.subarray(0, 99)).toString('base64')] })),
    ],
    ['a leaf', () => documentOf(keyOf(leaf))],
    ['the key of another certificate', () => documentOf(keyOf(roots[0]!, { x: keyOf(leaf)['x'] }))],
    ['a key that is not spelled out', () => documentOf(keyOf(roots[0]!, { y: undefined }))],
    ['a key of another curve', () => documentOf(keyOf(roots[1]!, { crv: 'P-256' }))],
    ['another RSA exponent', () => documentOf(keyOf(roots[3]!, { e: 'Aw' }))],
  ])('is not %s', (_, document) => {
    expect(() => parseSpiffeBundle(document())).toThrowCode('SPIFFE_BUNDLE_MALFORMED')
  })

  it('is bounded in bytes, keys and roots', () => {
    const key = keyOf(roots[0]!)
    expect(() => parseSpiffeBundle(' '.repeat(MAX_SPIFFE_BUNDLE_BYTES + 1))).toThrowCode('SPIFFE_BUNDLE_TOO_LARGE')
    expect(() => parseSpiffeBundle(new Uint8Array(MAX_SPIFFE_BUNDLE_BYTES + 1))).toThrowCode('SPIFFE_BUNDLE_TOO_LARGE')
    expect(() => parseSpiffeBundle(`{"keys":[${Array.from({ length: 65 }, () => '{}').join(',')}]}`)).toThrowCode(
      'SPIFFE_BUNDLE_TOO_LARGE',
    )
    expect(parseSpiffeBundle(documentOf(...Array.from({ length: 64 }, () => key))).roots).toHaveLength(1)
    const longest = `{"keys":[],"x":"${'x'.repeat(MAX_SPIFFE_BUNDLE_BYTES - 18)}"}`
    expect(longest).toHaveLength(MAX_SPIFFE_BUNDLE_BYTES)
    expect(parseSpiffeBundle(longest).roots).toEqual([])
    expect(() => formatSpiffeBundle({ sequence: -1n, refreshHintMs: null, roots: [] })).toThrow(RangeError)
    expect(() => formatSpiffeBundle({ sequence: 2n ** 64n, refreshHintMs: null, roots: [] })).toThrow(RangeError)
    for (const refreshHintMs of [1, -1000, Number.NaN, 1000 * 315_360_001])
      expect(() => formatSpiffeBundle({ sequence: null, refreshHintMs, roots: [] })).toThrow(RangeError)
    const many = Array.from({ length: 17 }, () => roots[0]!)
    expect(() => formatSpiffeBundle({ sequence: null, refreshHintMs: null, roots: many })).toThrow(RangeError)
  })

  it('has at most sixteen roots', async () => {
    const needs = { now: Date.now(), random: systemRandom, digest: systemDigest, verifier: systemVerifier }
    const signer = createNodeKey()
    const many = await Promise.all(Array.from({ length: 17 }, async () => await selfSignedRoot(signer, needs)))
    expect(parseSpiffeBundle(documentOf(...many.slice(1).map((root) => keyOf(root)))).roots).toHaveLength(16)
    expect(() => parseSpiffeBundle(documentOf(...many.map((root) => keyOf(root))))).toThrowCode(
      'SPIFFE_BUNDLE_TOO_LARGE',
    )
  })

  it('law: is read or refused, cut at every byte and with every bit turned', () => {
    const text = formatSpiffeBundle({ sequence: 7n, refreshHintMs: 300_000, roots: roots.slice(0, 1) })
    const bytes = new TextEncoder().encode(text)
    const attempt = (changed: Uint8Array): SpiffeBundle | null => {
      try {
        return parseSpiffeBundle(changed)
      } catch (error) {
        expect(error).toMatchObject({ code: 'SPIFFE_BUNDLE_MALFORMED' })
        return null
      }
    }
    for (let length = 0; length < bytes.length; length += 1) expect(attempt(bytes.subarray(0, length))).toBeNull()
    for (let bit = 0; bit < bytes.length * 8; bit += 3) {
      const changed = bytes.slice()
      changed[bit >> 3]! ^= 1 << (bit & 7)
      const bundle = attempt(changed)
      // A turned bit may make a member unknown, or another number; it never makes another root of it, unless only the signature is another.
      for (const root of bundle?.roots ?? []) expect(root.publicKey).toEqual(roots[0]!.publicKey)
    }
  })
})

describe('law: the reader of json', () => {
  const plain = (value: unknown): unknown => {
    if (value instanceof Map) return Object.fromEntries(Array.from(value, ([name, member]) => [name, plain(member)]))
    if (Array.isArray(value)) return value.map(plain)
    return typeof value === 'object' && value !== null && 'digits' in value ? Number(value.digits) : value
  }
  const native = (text: string): { readonly value: unknown } | null => {
    try {
      return { value: JSON.parse(text) as unknown }
    } catch {
      return null
    }
  }

  it('reads what the platform reads', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 6, noUnicodeString: false }), (text) => {
        const own = readStrictJson(text)
        // Repeated names cannot come out of a value.
        expect(own).not.toBeUndefined()
        expect(JSON.stringify(plain(own))).toBe(JSON.stringify(JSON.parse(text)))
      }),
    )
  })

  it('refuses what the platform refuses', () => {
    const pieces = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"a"',
      '"\\u0041"',
      '"\\x"',
      '"',
      '\\',
      '1',
      '-',
      '01',
      '1.',
      '.5',
      '1e5',
      'true',
      'nul',
      ' ',
      '\n',
      '\u0007',
      '"\u0007"',
      '\u00a0',
    )
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 12 }), (parts) => {
        const text = parts.join('')
        const own = readStrictJson(text)
        const theirs = native(text)
        if (theirs === null) expect(own).toBeUndefined()
        else if (own !== undefined) expect(JSON.stringify(plain(own))).toBe(JSON.stringify(theirs.value))
        else expect(text).toMatch(/"(?:a|\\u0041)".*"(?:a|\\u0041)"/s)
      }),
      { numRuns: 5000 },
    )
  })
})
