import { parseJoinToken, TokenError, trustDigestOf, verifyTrustBundle } from '@leastwise/tokens'
import { systemDigest } from '@leastwise/tokens/node'
import { describe, expect, it } from 'vitest'
import { engineVectors, toHex } from './vectors.ts'

const utf8 = new TextEncoder()

describe('trustDigestOf', () => {
  it.each(engineVectors)('agrees with the Docker cluster $clusterId', ({ rootPem, rootSha256 }) => {
    expect(toHex(trustDigestOf(utf8.encode(rootPem), systemDigest))).toBe(rootSha256)
  })

  it('refuses a digest port that is no SHA-256', () => {
    expect(() => trustDigestOf(new Uint8Array(1), { sha256: () => new Uint8Array(20) })).toThrow(RangeError)
  })
})

describe('verifyTrustBundle', () => {
  it.each(engineVectors)('proves the root of $clusterId by each of its tokens', ({ rootPem, tokens }) => {
    for (const { text } of tokens) {
      const proven = verifyTrustBundle(parseJoinToken(text), utf8.encode(rootPem), systemDigest)
      expect(new TextDecoder().decode(proven)).toBe(rootPem)
    }
  })

  it('refuses the root of another cluster', () => {
    for (const cluster of engineVectors) {
      for (const other of engineVectors.filter((one) => one !== cluster)) {
        const token = parseJoinToken(cluster.tokens[0]!.text)
        expect(() => verifyTrustBundle(token, utf8.encode(other.rootPem), systemDigest)).toThrowCode(
          'CA_DIGEST_MISMATCH',
        )
      }
    }
  })

  it('refuses each flipped bit, each truncation and anything added', () => {
    const { rootPem, tokens } = engineVectors[0]!
    const token = parseJoinToken(tokens[0]!.text)
    const bundle = utf8.encode(rootPem)
    for (let at = 0; at < bundle.length; at += 1) {
      expect(() => verifyTrustBundle(token, bundle.subarray(0, at), systemDigest)).toThrowCode('CA_DIGEST_MISMATCH')
      for (let bit = 0; bit < 8; bit += 1) {
        const flipped = bundle.slice()
        flipped[at] = bundle[at]! ^ (1 << bit)
        expect(() => verifyTrustBundle(token, flipped, systemDigest)).toThrowCode('CA_DIGEST_MISMATCH')
      }
    }
    const withAnotherRoot = utf8.encode(rootPem + engineVectors[1]!.rootPem)
    expect(() => verifyTrustBundle(token, withAnotherRoot, systemDigest)).toThrowCode('CA_DIGEST_MISMATCH')
    expect(() => verifyTrustBundle(token, utf8.encode(`${rootPem}\n`), systemDigest)).toThrowCode('CA_DIGEST_MISMATCH')
  })

  it('compares every bit of the digest', () => {
    const { rootPem, tokens } = engineVectors[0]!
    const { trustDigest } = parseJoinToken(tokens[0]!.text)
    for (let bit = 0; bit < 256; bit += 1) {
      const other = trustDigest.slice()
      other[bit >> 3]! ^= 1 << (bit & 7)
      expect(() => verifyTrustBundle({ trustDigest: other }, utf8.encode(rootPem), systemDigest)).toThrowCode(
        'CA_DIGEST_MISMATCH',
      )
    }
    const short = { trustDigest: trustDigest.slice(0, 31) }
    expect(() => verifyTrustBundle(short, utf8.encode(rootPem), systemDigest)).toThrowCode('CA_DIGEST_MISMATCH')
  })

  it('says which digest was expected and which was seen', () => {
    const [ours, theirs] = [engineVectors[0]!, engineVectors[1]!]
    try {
      verifyTrustBundle(parseJoinToken(ours.tokens[0]!.text), utf8.encode(theirs.rootPem), systemDigest)
      expect.unreachable()
    } catch (error) {
      expect(error).toBeInstanceOf(TokenError)
      expect(error).toMatchObject({ expectedDigest: ours.rootSha256, seenDigest: theirs.rootSha256, tokenId: null })
      expect((error as TokenError).message).toContain(ours.rootSha256)
      expect((error as TokenError).message).toContain(theirs.rootSha256)
    }
  })

  it('returns a copy that later changes do not reach', () => {
    const { rootPem, tokens } = engineVectors[0]!
    const bundle = utf8.encode(rootPem)
    const proven = verifyTrustBundle(parseJoinToken(tokens[0]!.text), bundle, systemDigest)
    bundle.fill(0)
    expect(new TextDecoder().decode(proven)).toBe(rootPem)
  })
})
