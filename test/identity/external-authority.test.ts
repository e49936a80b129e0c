import { inspect } from 'node:util'
import {
  type Certificate,
  createCsr,
  type ExternalAuthorityOptions,
  type HttpRequest,
  IdentityError,
  localAuthority,
  openExternalAuthority,
  parseCertificate,
  parseCfsslUrl,
  parseCsr,
  verifyPeer,
} from '@leastwise/identity'
import {
  createNodeKey,
  hmacAuthenticator,
  systemDigest,
  systemRandom,
  systemVerifier as verifier,
} from '@leastwise/identity/node'
import { beforeAll, describe, expect, it } from 'vitest'
import { signingAuthorityContract } from '../contract/signing-authority.ts'
import { testCluster } from '../support/test-authority.ts'
import {
  answerOf,
  askedOf,
  asking,
  type Bend,
  DAY_MS,
  type FakeCa,
  fakeCa,
  fakeRoot,
  fakeServer,
  goodAnswer,
  grantOf,
  NOW,
  URL_1,
  URL_2,
  withExtensions,
} from './external-support.ts'
import { basicConstraints, CN, forge, forgeName, keyUsage, subjectKeyId } from './forge.ts'

/** Answers as a stock server would, with the certificate bent. */
const stock =
  (ca: FakeCa, bend?: Bend) =>
  async ({ body }: HttpRequest) => {
    const asked = askedOf(body)
    const { publicKey } = parseCsr(asked.certificate_request)
    return goodAnswer(await ca.sign(asked, publicKey, bend))
  }

const down = (retryable = true): IdentityError => new IdentityError('EXTERNAL_CA_UNREACHABLE', 'is down', { retryable })

signingAuthorityContract('a key at hand', async () => {
  const { authority, root } = await testCluster({ now: NOW })
  const deps = { random: systemRandom, verifier, digest: systemDigest }
  return { authority: localAuthority(authority, deps), roots: [root], now: NOW }
})

signingAuthorityContract('an external CA', async () => {
  const ca = await fakeCa()
  const http = fakeServer(stock(ca))
  return {
    authority: openExternalAuthority({ urls: [URL_1], http, roots: [ca.root], verifier }),
    roots: [ca.root],
    now: NOW,
  }
})

describe('an external CA', () => {
  let ca: FakeCa
  beforeAll(async () => {
    ca = await fakeCa()
  })
  const open = (more: Partial<ExternalAuthorityOptions> & Pick<ExternalAuthorityOptions, 'http'>) =>
    openExternalAuthority({ urls: [URL_1, URL_2], roots: [ca.root], verifier, ...more })
  const csr = async () => await createCsr(createNodeKey())

  it('is asked at its first address, with the deadline and the cap of Docker Swarm', async () => {
    const http = fakeServer(stock(ca))
    const { signal } = new AbortController()
    await open({ http }).issue(await csr(), grantOf(), { now: NOW, signal })
    expect(http.asked).toHaveLength(1)
    expect(http.asked[0]).toMatchObject({ url: URL_1, deadlineMs: 5000, maxAnswerBytes: 262_144, signal })
  })

  it('is told profile, label and deadline as they were set', async () => {
    const http = fakeServer(stock(ca))
    const authority = open({ http, profile: 'node', label: 'second', deadlineMs: 100 })
    await authority.issue(await csr(), grantOf(), asking())
    expect(askedOf(http.asked[0]!.body)).toMatchObject({ profile: 'node', label: 'second' })
    expect(http.asked[0]!.deadlineMs).toBe(100)
  })

  it.each([
    ['cannot be reached', async () => await Promise.reject(down())],
    ['is busy', async () => await Promise.resolve(answerOf('', 503))],
    ['refuses', async () => await Promise.resolve(answerOf({ success: false }, 400))],
    ['talks nonsense', async () => await Promise.resolve(answerOf('<html>'))],
  ] as const)('is asked at the next address when the first %s', async (_, fails) => {
    const http = fakeServer(async (request) => (request.url === URL_1 ? await fails() : await stock(ca)(request)))
    const issued = await open({ http }).issue(await csr(), grantOf(), asking())
    expect(issued.issuer.der).toEqual(ca.root.subject.der)
    expect(http.asked.map(({ url }) => url)).toEqual([URL_1, URL_2])
  })

  it('is asked no further once it signed something else than was asked for', async () => {
    const http = fakeServer(stock(ca, withExtensions(keyUsage(0xe0))))
    await expect(open({ http }).issue(await csr(), grantOf(), asking())).rejects.toThrowCode('ISSUED_USAGE_MISMATCH')
    expect(http.asked).toHaveLength(1)
  })

  it('fails as its last address does, retryable if any is, with all failures as the cause', async () => {
    const http = fakeServer(async ({ url }) => {
      if (url === URL_1) throw down()
      return await Promise.resolve(answerOf({ success: false }, 400))
    })
    const error: unknown = await open({ http })
      .issue(await csr(), grantOf(), asking())
      .catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'EXTERNAL_CA_REFUSED', retryable: true })
    const { errors } = (error as IdentityError).cause as AggregateError
    expect((errors as readonly IdentityError[]).map(({ code }) => code)).toEqual([
      'EXTERNAL_CA_UNREACHABLE',
      'EXTERNAL_CA_REFUSED',
    ])
  })

  it('fails for good when every address does, and as the only one where there is one', async () => {
    const http = fakeServer(async () => await Promise.resolve(answerOf({ success: false }, 400)))
    await expect(open({ http }).issue(await csr(), grantOf(), asking())).rejects.toMatchObject({ retryable: false })
    const single = fakeServer(async () => await Promise.reject(down()))
    const error: unknown = await open({ http: single, urls: [URL_1] })
      .issue(await csr(), grantOf(), asking())
      .catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ message: 'is down', retryable: true })
  })

  it.each([
    ['another address is left', [URL_1, URL_2]],
    ['none is left', [URL_1]],
  ])('is asked no further when the caller gives up and %s, and he gets his reason', async (_, urls) => {
    const controller = new AbortController()
    const reason = new IdentityError('EXTERNAL_CA_TIMEOUT', 'a reason that looks like a failure of the server')
    const http = fakeServer(async () => {
      controller.abort(reason)
      return await Promise.reject(down())
    })
    const issued = open({ http, urls }).issue(await csr(), grantOf(), asking({ signal: controller.signal }))
    await expect(issued).rejects.toBe(reason)
    expect(http.asked).toHaveLength(1)
  })

  it('hides no fault of the transport behind another address', async () => {
    const fault = new TypeError('a mistake in the host')
    const http = fakeServer(async () => await Promise.reject(fault))
    await expect(open({ http }).issue(await csr(), grantOf(), asking())).rejects.toBe(fault)
    expect(http.asked).toHaveLength(1)
  })

  it('hears nothing of a request that is refused here', async () => {
    const http = fakeServer(stock(ca))
    const { der } = await csr()
    der[der.length - 1] = (der[der.length - 1] ?? 0) ^ 1
    await expect(open({ http }).issue(parseCsr(der), grantOf(), asking())).rejects.toThrowCode('CSR_SIGNATURE_INVALID')
    await expect(open({ http }).issue(await csr(), grantOf({ lifetimeMs: 1 }), asking())).rejects.toThrowCode(
      'LIFETIME_TOO_SHORT',
    )
    const beyond = grantOf({ lifetimeMs: ca.root.notAfter - NOW + DAY_MS })
    await expect(open({ http }).issue(await csr(), beyond, asking())).rejects.toThrowCode('LIFETIME_EXCEEDS_ISSUER')
    expect(http.asked).toHaveLength(0)
  })

  it('gets a token with each request at the addresses that want one', async () => {
    const key = new Uint8Array(16).fill(7)
    const authenticator = hmacAuthenticator(key)
    const http = fakeServer(async ({ body, ...rest }) => {
      const outer = JSON.parse(Buffer.from(body).toString()) as { readonly token: string; readonly request: string }
      const inner = Uint8Array.from(Buffer.from(outer.request, 'base64'))
      expect(outer.token).toBe(Buffer.from(await authenticator.authenticate(inner)).toString('base64'))
      return await stock(ca)({ ...rest, body: inner })
    })
    const urls = [parseCfsslUrl('https://ca.example/api/v1/cfssl/authsign')]
    const issued = await open({ http, urls, authenticator }).issue(await csr(), grantOf(), asking())
    expect(issued.isCa).toBe(false)
  })

  it('is not opened with a key that would not be used, nor without one that is wanted', () => {
    const http = fakeServer(stock(ca))
    const authsign = parseCfsslUrl('https://ca.example/api/v1/cfssl/authsign')
    const authenticator = hmacAuthenticator(new Uint8Array(16))
    expect(() => open({ http, urls: [authsign] })).toThrowCode('EXTERNAL_CA_URL_INVALID')
    expect(() => open({ http, urls: [URL_1], authenticator })).toThrowCode('EXTERNAL_CA_URL_INVALID')
    expect(() => open({ http, urls: [authsign, URL_1], authenticator })).toThrowCode('EXTERNAL_CA_URL_INVALID')
  })

  it('is not opened without an address, a root or a deadline', () => {
    const http = fakeServer(stock(ca))
    expect(() => open({ http, urls: [] })).toThrow(RangeError)
    expect(() => open({ http, roots: [] })).toThrow(RangeError)
    for (const deadlineMs of [0, -1, Number.NaN]) expect(() => open({ http, deadlineMs })).toThrow(RangeError)
  })

  it('holds no key: what is printed of it has no part of one', () => {
    const authenticator = hmacAuthenticator(Uint8Array.from(Buffer.from('marked-secret-key-of-tokens')))
    const urls = [parseCfsslUrl('https://ca.example/authsign')]
    const authority = open({ http: fakeServer(stock(ca)), urls, authenticator })
    expect(inspect(authority, { depth: 9, showHidden: true })).not.toMatch(/marked|6d 61 72 6b/)
  })
})

describe('a dry run', () => {
  let ca: FakeCa
  beforeAll(async () => {
    ca = await fakeCa()
  })
  const open = (http: ExternalAuthorityOptions['http']) =>
    openExternalAuthority({ urls: [URL_1, URL_2], roots: [ca.root], verifier, http })

  it('lets every address sign, and gives what they did', async () => {
    const http = fakeServer(stock(ca))
    const key = createNodeKey()
    const issued = await open(http).dryRun(key, grantOf(), asking())
    expect(http.asked.map(({ url }) => url)).toEqual([URL_1, URL_2])
    expect(issued.map(({ publicKey }) => publicKey)).toEqual([key.publicKey, key.publicKey])
  })

  it('fails as soon as one address does, the second as well', async () => {
    const refuses = fakeServer(async (request) =>
      request.url === URL_1 ? await stock(ca)(request) : answerOf({ success: false }, 400),
    )
    await expect(open(refuses).dryRun(createNodeKey(), grantOf(), asking())).rejects.toThrowCode('EXTERNAL_CA_REFUSED')
    const bends = fakeServer(
      async (request) =>
        await stock(ca, request.url === URL_1 ? undefined : withExtensions(basicConstraints(true)))(request),
    )
    await expect(open(bends).dryRun(createNodeKey(), grantOf(), asking())).rejects.toThrowCode(
      'ISSUED_CONSTRAINTS_MISMATCH',
    )
  })

  it('finds a server whose key is under another root', async () => {
    const stranger = await fakeCa({ number: 4 })
    const http = fakeServer(stock(stranger))
    await expect(open(http).dryRun(createNodeKey(), grantOf(), asking())).rejects.toThrowCode('ISSUED_ISSUER_UNTRUSTED')
  })

  it('asks nobody for a caller who gave up', async () => {
    const http = fakeServer(stock(ca))
    const reason = new Error('enough')
    const run = open(http).dryRun(createNodeKey(), grantOf(), asking({ signal: AbortSignal.abort(reason) }))
    await expect(run).rejects.toBe(reason)
    expect(http.asked).toHaveLength(0)
  })
})

describe('cross-signing by an external CA', () => {
  let old: FakeCa
  const key = createNodeKey()
  let next: Certificate
  beforeAll(async () => {
    old = await fakeCa()
    next = await fakeRoot(2, key)
  })
  const open = (http: ExternalAuthorityOptions['http'], more: Partial<ExternalAuthorityOptions> = {}) =>
    openExternalAuthority({ urls: [URL_1], roots: [old.root], verifier, http, ...more })

  it('gives the intermediate with which who trusts the old root trusts leaves of the new one', async () => {
    const http = fakeServer(stock(old))
    const cross = await open(http).crossSign(next, key, asking())
    expect(askedOf(http.asked[0]!.body)).toMatchObject({ profile: 'CA', hosts: [] })
    const issuer = await fakeCa({ number: 2 })
    const grant = grantOf()
    const request = await createCsr(createNodeKey())
    const signs = fakeServer(stock(issuer, (forgery) => ({ ...forgery, signer: key, issuer: next.subject.der })))
    const during = openExternalAuthority({
      urls: [URL_2],
      roots: [old.root],
      intermediates: [cross],
      verifier,
      http: signs,
    })
    const leaf = await during.issue(request, grant, asking())
    for (const roots of [[old.root], [next], [old.root, next]]) {
      const chain = [leaf, ...during.intermediates]
      const peer = await verifyPeer(chain, { roots, now: NOW, clusterId: grant.clusterId, verifier })
      expect(peer.nodeId).toBe(grant.nodeId)
    }
  })

  it('is asked of the profile that was set', async () => {
    const http = fakeServer(stock(old))
    const signed = open(http, { crossSignProfile: 'roots', label: 'old' }).crossSign(next, key, asking())
    // The server knows no such profile and takes its default, which is for leaves.
    await expect(signed).rejects.toThrowCode('ISSUED_CONSTRAINTS_MISMATCH')
    expect(askedOf(http.asked[0]!.body)).toMatchObject({ profile: 'roots', label: 'old' })
  })

  it('is not asked for a root without its key, nor for one that cannot stand beside the old one', async () => {
    const http = fakeServer(stock(old))
    const authority = open(http)
    await expect(authority.crossSign(next, createNodeKey(), asking())).rejects.toThrowCode('AUTHORITY_KEY_MISMATCH')
    const twin = await fakeRoot(1, key)
    await expect(authority.crossSign(twin, key, asking())).rejects.toThrowCode('AUTHORITY_UNFIT')
    const subject = forgeName([CN, 'ca-6'])
    const base = {
      issuer: subject,
      subject,
      publicKey: key.publicKey,
      signer: key,
      notBefore: NOW,
      notAfter: NOW + DAY_MS,
    }
    for (const extensions of [
      [keyUsage(0x06), basicConstraints(true)],
      [keyUsage(0x06), basicConstraints(false), subjectKeyId(new Uint8Array(20))],
      [keyUsage(0x02), basicConstraints(true), subjectKeyId(new Uint8Array(20))],
    ]) {
      const unfit = parseCertificate(await forge({ ...base, extensions }))
      await expect(authority.crossSign(unfit, key, asking())).rejects.toThrowCode('AUTHORITY_UNFIT')
    }
    const reason = new Error('enough')
    await expect(authority.crossSign(next, key, asking({ signal: AbortSignal.abort(reason) }))).rejects.toBe(reason)
    expect(http.asked).toHaveLength(0)
  })
})
