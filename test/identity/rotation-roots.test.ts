import {
  type Certificate,
  crossSignRoot,
  DEFAULT_LIFETIME_MS,
  importAuthority,
  parseCertificate,
} from '@leastwise/identity'
import { openSigner, systemRandom, systemVerifier } from '@leastwise/identity/node'
import { beforeAll, describe, expect, it } from 'vitest'
import { type TestCluster, testCluster } from '../support/test-authority.ts'
import {
  authorityKeyId,
  basicConstraints,
  CA,
  type Forgery,
  forge,
  keyUsage,
  OPENSSL,
  subjectKeyId,
  twinOf,
} from './forge.ts'
import { crossed, DAY_MS, HOUR_MS, rootOfCluster, type TestRoot, testRoot } from './rotation-support.ts'

const NOW = Date.UTC(2026, 11, 1)
const SKI = subjectKeyId(new Uint8Array(20).fill(7))

let cluster: TestCluster
let old: TestRoot
let next: TestRoot
beforeAll(async () => {
  cluster = await testCluster({ now: NOW })
  old = rootOfCluster(cluster)
  next = await testRoot('swarm-ca-2', NOW)
})

/** The root `next` once more, with whatever differs. */
const variant = async (change: Partial<Forgery>): Promise<Certificate> => {
  const signer = openSigner(next.privateKey)
  const subject = next.certificate.subject.der
  const made = await forge({
    ...twinOf(next.certificate),
    issuer: subject,
    signer,
    extensions: [...CA, SKI],
    ...change,
  })
  return parseCertificate(made)
}

describe('a cross-signed root', () => {
  it('has name, key and rights of the new root, and key identifiers of both', async () => {
    const made = await crossed(next, old, NOW)
    expect(made.subject.der).toEqual(next.certificate.subject.der)
    expect(made.publicKey).toEqual(next.certificate.publicKey)
    expect(made.issuer.der).toEqual(old.certificate.subject.der)
    expect(made.subjectKeyId).toEqual(next.certificate.subjectKeyId)
    expect(made.authorityKeyId).toEqual(old.certificate.subjectKeyId)
    expect(made).toMatchObject({ isCa: true, pathLength: null, keyUsage: ['keyCertSign', 'cRLSign'], dnsNames: [] })
    expect(made.notBefore).toBeLessThanOrEqual(NOW)
    expect(made.notAfter).toBe(NOW + 400 * DAY_MS)
  })

  it('keeps the path length of the new root', async () => {
    const short = await variant({ extensions: [keyUsage(0x06), basicConstraints(true, 1), SKI] })
    const made = await crossed({ certificate: short, privateKey: next.privateKey }, old, NOW)
    expect(made.pathLength).toBe(1)
  })

  it('ends with either root at the latest', async () => {
    const brief = await variant({ notAfter: NOW + DAY_MS })
    const made = await crossed({ certificate: brief, privateKey: next.privateKey }, old, NOW)
    expect(made.notAfter).toBe(NOW + DAY_MS)
  })

  it('is made of two different roots, with the key of the one in force', async () => {
    const options = { serial: systemRandom.bytes(20), now: NOW, verifier: systemVerifier, issuer: old.certificate }
    const sign = async (root: Certificate, key = old.privateKey): Promise<unknown> =>
      await crossSignRoot({ ...options, root, signer: openSigner(key) })
    await expect(sign(old.certificate)).rejects.toThrowCode('AUTHORITY_UNFIT')
    await expect(sign((await testRoot('swarm-ca', NOW)).certificate)).rejects.toThrowCode('AUTHORITY_UNFIT')
    await expect(sign((await cluster.issue()).certificate)).rejects.toThrowCode('AUTHORITY_UNFIT')
    await expect(sign(await variant({ extensions: CA }))).rejects.toThrowCode('AUTHORITY_UNFIT')
    await expect(sign(next.certificate, next.privateKey)).rejects.toThrowCode('AUTHORITY_KEY_MISMATCH')
    await expect(
      crossSignRoot({
        ...options,
        serial: new Uint8Array(19),
        root: next.certificate,
        signer: openSigner(old.privateKey),
      }),
    ).rejects.toThrow(RangeError)
    await expect(crossed(next, old, NOW + 8000 * DAY_MS)).rejects.toThrowCode('ISSUED_LIFETIME_MISMATCH')
  })
})

describe('an import', () => {
  const take = async (chain: readonly Certificate[], key = next.privateKey, lifetimeMs = DEFAULT_LIFETIME_MS) =>
    await importAuthority({
      chain: chain.map(({ pem }) => pem),
      signer: openSigner(key),
      privateKey: key,
      now: NOW,
      lifetimeMs,
      verifier: systemVerifier,
    })

  it('of a root gives it with a copy of its key', async () => {
    const key = next.privateKey.slice()
    const taken = await take([next.certificate], key)
    key.fill(0)
    expect(taken).toEqual({ certificate: next.certificate.pem, privateKey: next.privateKey })
  })

  it('of a key that stays where it is gives none', async () => {
    const { pem } = next.certificate
    const signer = openSigner(next.privateKey)
    const options = { now: NOW, lifetimeMs: HOUR_MS, verifier: systemVerifier }
    const taken = await importAuthority({ chain: [pem], signer, privateKey: null, ...options })
    expect(taken).toEqual({ certificate: pem, privateKey: null })
  })

  it('takes each kind of root that is strong enough, and refuses the others', async () => {
    const signer = openSigner(next.privateKey)
    const options = { signer, privateKey: null, now: NOW, lifetimeMs: HOUR_MS, verifier: systemVerifier }
    for (const { pem } of OPENSSL.roots.unsupported)
      await expect(importAuthority({ chain: [pem], ...options })).rejects.toThrowCode('CERTIFICATE_UNSUPPORTED')
    // All well but for the key, which is that of another one.
    for (const { pem } of OPENSSL.roots.accepted)
      await expect(importAuthority({ chain: [pem], ...options })).rejects.toThrowCode('AUTHORITY_KEY_MISMATCH')
  })

  it('of an intermediate gives the root that nodes trust, and what stands below', async () => {
    const company = await testRoot('Company Root', NOW)
    const below = async (change: Partial<Forgery> = {}): Promise<Certificate> =>
      await variant({
        issuer: company.certificate.subject.der,
        signer: openSigner(company.privateKey),
        extensions: [...CA, SKI, authorityKeyId(company.certificate.subjectKeyId!)],
        ...change,
      })
    const intermediate = await below()
    expect(await take([intermediate, company.certificate])).toEqual({
      certificate: company.certificate.pem,
      privateKey: next.privateKey,
      intermediates: [intermediate.pem],
    })
    await expect(take([intermediate, old.certificate])).rejects.toThrowCode('AUTHORITY_CHAIN_INVALID')
    await expect(take([intermediate])).rejects.toThrowCode('TRUST_BUNDLE_ROOT_INVALID')
    await expect(take([])).rejects.toThrowCode('AUTHORITY_CHAIN_INVALID')
    await expect(take([intermediate, company.certificate, company.certificate])).rejects.toThrowCode(
      'AUTHORITY_CHAIN_INVALID',
    )
    // The signature decides, not the name.
    const forged = await below({ signer: openSigner(next.privateKey) })
    await expect(take([forged, company.certificate])).rejects.toThrowCode('AUTHORITY_CHAIN_INVALID')
    const brief = await below({ notAfter: NOW + DAY_MS })
    await expect(take([brief, company.certificate])).rejects.toThrowCode('AUTHORITY_ENDS_SOON')
    const narrow = await testRoot('Narrow Root', NOW)
    const root = parseCertificate(
      await forge({
        ...twinOf(narrow.certificate),
        issuer: narrow.certificate.subject.der,
        signer: openSigner(narrow.privateKey),
        extensions: [keyUsage(0x06), basicConstraints(true, 0), SKI],
      }),
    )
    await expect(take([intermediate, root])).rejects.toThrowCode('AUTHORITY_UNFIT')
  })

  it('refuses what may not issue, what TLS could not tell apart, what is not understood, and what ends', async () => {
    const node = await cluster.issue()
    await expect(take([node.certificate])).rejects.toThrowCode('AUTHORITY_UNFIT')
    const unfit: readonly (readonly Forgery['extensions'][number][])[] = [
      CA,
      [basicConstraints(true), SKI],
      [keyUsage(0x80), basicConstraints(true), SKI],
      [...CA, SKI, { type: '1.2.3.4', critical: true, value: Uint8Array.of(5, 0) }],
    ]
    for (const extensions of unfit)
      await expect(take([await variant({ extensions })])).rejects.toThrowCode('AUTHORITY_UNFIT')
    await expect(take([await variant({ signer: openSigner(old.privateKey) })])).rejects.toThrowCode(
      'TRUST_BUNDLE_ROOT_INVALID',
    )
    await expect(take([await variant({ notBefore: NOW + HOUR_MS })])).rejects.toThrowCode('TRUST_BUNDLE_ROOT_INVALID')
    await expect(take([await variant({ notAfter: NOW + DAY_MS })])).rejects.toThrowCode('AUTHORITY_ENDS_SOON')
    await expect(take([next.certificate], old.privateKey)).rejects.toThrowCode('AUTHORITY_KEY_MISMATCH')
  })
})
