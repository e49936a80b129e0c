import {
  allOf,
  allowSpiffeIds,
  inTrustDomain,
  MAX_SPIFFE_ID_BYTES,
  parseSpiffeId,
  parseTrustDomain,
  type SpiffePeer,
  spiffeIdOf,
  spiffePathOf,
  trustDomainOf,
  underSpiffePath,
} from '@leastwise/identity'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

describe('a spiffe id', () => {
  it.each([
    ['spiffe://example.com', 'example.com', ''],
    ['spiffe://example.com/one', 'example.com', '/one'],
    ['spiffe://staging.example.com/payments/web-fe', 'staging.example.com', '/payments/web-fe'],
    ['spiffe://a/B.c_d-E/9', 'a', '/B.c_d-E/9'],
    ['spiffe://10.0.0.1/x', '10.0.0.1', '/x'],
    ['spiffe://trust_domain/.../..x', 'trust_domain', '/.../..x'],
  ])('%s has a trust domain and a path', (text, domain, path) => {
    const id = parseSpiffeId(text)
    expect(id).toBe(text)
    expect(trustDomainOf(id)).toBe(domain)
    expect(spiffePathOf(id)).toBe(path)
    expect(spiffeIdOf(parseTrustDomain(domain))).toBe(`spiffe://${domain}`)
  })

  it.each([
    ['nothing', ''],
    ['the scheme alone', 'spiffe://'],
    ['one slash', 'spiffe:/example.com/x'],
    ['another scheme', 'https://example.com/x'],
    ['a scheme in capitals', 'SPIFFE://example.com/x'],
    ['a trust domain in capitals', 'spiffe://Example.com/x'],
    ['a user', 'spiffe://me@example.com/x'],
    ['a port', 'spiffe://example.com:80/x'],
    ['an empty port', 'spiffe://example.com:/x'],
    ['an IPv6 address', 'spiffe://[::1]/x'],
    ['a query', 'spiffe://example.com/x?y'],
    ['an empty query', 'spiffe://example.com/x?'],
    ['a fragment', 'spiffe://example.com/x#y'],
    ['a query without a path', 'spiffe://example.com?y'],
    ['a percent sign', 'spiffe://example.com/%41'],
    ['a percent sign in the trust domain', 'spiffe://ex%61mple.com/x'],
    ['a slash at the end', 'spiffe://example.com/x/'],
    ['a path of a slash', 'spiffe://example.com/'],
    ['an empty segment', 'spiffe://example.com/x//y'],
    ['a dot segment', 'spiffe://example.com/x/./y'],
    ['a dot-dot segment', 'spiffe://example.com/x/..'],
    ['no trust domain', 'spiffe:///x'],
    ['a letter beyond ASCII', 'spiffe://example.com/ä'],
    ['a line break at the end', 'spiffe://example.com/x\n'],
    ['a zero byte', 'spiffe://example.com/x\u0000'],
    ['a space before it', ' spiffe://example.com/x'],
    ['a backslash', 'spiffe://example.com/x\\y'],
    ['a trust domain that is too long', `spiffe://${'a'.repeat(256)}/x`],
  ])('is not %s', (_, text) => {
    expect(() => parseSpiffeId(text)).toThrowCode('SPIFFE_ID_MALFORMED')
  })

  it('has at most 2048 bytes, and its trust domain 255', () => {
    const longest = `spiffe://${'a'.repeat(255)}/`
    expect(parseSpiffeId(longest + 'x'.repeat(MAX_SPIFFE_ID_BYTES - longest.length))).toHaveLength(2048)
    expect(() => parseSpiffeId(longest + 'x'.repeat(MAX_SPIFFE_ID_BYTES + 1 - longest.length))).toThrowCode(
      'SPIFFE_ID_MALFORMED',
    )
    expect(parseTrustDomain('a'.repeat(255))).toHaveLength(255)
    for (const text of ['', 'a'.repeat(256), 'A', 'a/b', 'a:1', 'spiffe://a', 'ä', 'a b', 'a\n'])
      expect(() => parseTrustDomain(text)).toThrowCode('TRUST_DOMAIN_MALFORMED')
  })

  it('is not shown when it is refused', () => {
    expect(() => parseSpiffeId('spiffe://marked@secret')).toThrow(/^(?!.*marked).*$/)
    expect(() => parseTrustDomain('MARKED')).toThrow(/^(?!.*MARKED).*$/)
  })

  it('law: whatever is read is its own only text, and is made of its parts', () => {
    const letters = fc.constantFrom(...Array.from('abzAZ09.-_/%:@?#\\ \n'))
    fc.assert(
      fc.property(fc.string({ unit: letters, maxLength: 24 }), (rest) => {
        const text = `spiffe://${rest}`
        let id: ReturnType<typeof parseSpiffeId>
        try {
          id = parseSpiffeId(text)
        } catch (error) {
          expect(error).toMatchObject({ code: 'SPIFFE_ID_MALFORMED' })
          return
        }
        expect(id).toBe(text)
        const domain = trustDomainOf(id)
        expect(`spiffe://${parseTrustDomain(domain)}${spiffePathOf(id)}`).toBe(text)
        // What another reader of URIs makes of it is the same.
        const url = new URL(text)
        expect([url.protocol, url.host, url.pathname]).toEqual(['spiffe:', domain, spiffePathOf(id)])
      }),
      { numRuns: 2000 },
    )
  })
})

describe('authorizers of spiffe ids', () => {
  const one = parseSpiffeId('spiffe://one.test/ns/prod/web')
  const peer = (spiffeId: string): SpiffePeer => ({ spiffeId: parseSpiffeId(spiffeId) })

  it('know the trust domain', () => {
    const authorize = inTrustDomain(parseTrustDomain('one.test'))
    authorize({ spiffeId: one })
    for (const other of ['spiffe://two.test/ns/prod/web', 'spiffe://one.test.evil/x', 'spiffe://one.tes/x'])
      expect(() => {
        authorize(peer(other))
      }).toThrowCode('PEER_WRONG_TRUST_DOMAIN')
  })

  it('know exact ids', () => {
    const authorize = allowSpiffeIds(one, parseSpiffeId('spiffe://two.test/x'))
    authorize({ spiffeId: one })
    authorize(peer('spiffe://two.test/x'))
    for (const other of ['spiffe://one.test/ns/prod/web/x', 'spiffe://one.test/ns/prod', 'spiffe://two.test/X'])
      expect(() => {
        authorize(peer(other))
      }).toThrowCode('PEER_WRONG_SPIFFE_ID')
    expect(() => allowSpiffeIds()).toThrow(RangeError)
  })

  it('know paths by whole segments', () => {
    const authorize = underSpiffePath(parseSpiffeId('spiffe://one.test/ns/prod'))
    authorize({ spiffeId: one })
    authorize(peer('spiffe://one.test/ns/prod'))
    for (const other of ['spiffe://one.test/ns/production', 'spiffe://one.test/ns', 'spiffe://two.test/ns/prod/web'])
      expect(() => {
        authorize(peer(other))
      }).toThrowCode('PEER_WRONG_SPIFFE_ID')
    expect(() => underSpiffePath(parseSpiffeId('spiffe://one.test'))).toThrow(RangeError)
  })

  it('let nobody pass without an id, and stand beside the others', () => {
    for (const authorize of [
      inTrustDomain(parseTrustDomain('one.test')),
      allowSpiffeIds(one),
      underSpiffePath(one),
      allOf(underSpiffePath(one)),
    ])
      expect(() => {
        authorize({} as never)
      }).toThrowCode('PEER_WRONG_SPIFFE_ID')
  })
})
