import { createHash, webcrypto } from 'node:crypto'
import { openAuthority, parseTrustBundle, verifyTrustBundleRoots } from '@leastwise/identity'
import { openSigner, systemVerifier } from '@leastwise/identity/node'
import { createRoot, DEFAULT_ROOT_LIFETIME_MS, toX509Certificate } from '@leastwise/identity/x509'
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../support/seeded-random.ts'
import { testClusterId } from '../support/test-authority.ts'
import { CN, O } from './forge.ts'

const NOW = Date.UTC(2026, 10, 21, 12, 0, 0, 500)
const serial = seededRandom(2).bytes(20)
const second = (instant: number): number => Math.floor(instant / 1000) * 1000

describe('createRoot', () => {
  it('makes a root in the profile of Docker’s', async () => {
    const { certificate, privateKey } = await createRoot({ now: NOW, serial })
    expect(certificate).toMatchObject({
      isCa: true,
      pathLength: null,
      keyType: 'p256',
      signatureAlgorithm: 'ecdsa-sha256',
      keyUsage: ['keyCertSign', 'cRLSign'],
      extKeyUsage: null,
      dnsNames: [],
      authorityKeyId: null,
      notBefore: second(NOW - 3_600_000),
      notAfter: second(NOW + DEFAULT_ROOT_LIFETIME_MS),
    })
    expect(certificate.subject.attributes).toEqual([{ type: CN, value: 'swarm-ca' }])
    expect(certificate.issuer).toEqual(certificate.subject)
    expect(Buffer.from(certificate.subjectKeyId ?? []).toString('hex')).toBe(
      createHash('sha1').update(certificate.publicKey.subarray(26)).digest('hex'),
    )
    expect(openSigner(privateKey).publicKey).toEqual(certificate.publicKey)
    expect(
      toX509Certificate(certificate)
        .extensions.filter(({ critical }) => critical)
        .map(({ type }) => type)
        .sort(),
    ).toEqual(['2.5.29.15', '2.5.29.19'])
    await verifyTrustBundleRoots(parseTrustBundle(certificate.pem), { verifier: systemVerifier, now: NOW })
  })

  it('runs on another Web Crypto provider', async () => {
    const { certificate, privateKey } = await createRoot({ now: NOW, serial }, webcrypto as unknown as Crypto)
    await expect(
      openAuthority({ certificate, signer: openSigner(privateKey) }, { verifier: systemVerifier }),
    ).resolves.toBeDefined()
  })

  it('takes name, cluster, lifetime and serial number as told', async () => {
    const clusterId = testClusterId(4)
    const { certificate } = await createRoot({
      now: NOW,
      serial: new Uint8Array(20).fill(0xff),
      commonName: 'swarm-ca-2',
      clusterId,
      lifetimeMs: 40 * 365 * 86_400_000,
    })
    expect(certificate.subject.attributes).toEqual([
      { type: O, value: clusterId },
      { type: CN, value: 'swarm-ca-2' },
    ])
    expect(certificate.serial).toBe(`7f${'ff'.repeat(19)}`)
    expect(new Date(certificate.notAfter).getUTCFullYear()).toBe(2066)
    expect((await createRoot({ now: NOW, serial: new Uint8Array(20) })).certificate.serial).toBe(`40${'00'.repeat(19)}`)
  })

  it('makes another key each time', async () => {
    const [one, other] = await Promise.all([createRoot({ now: NOW, serial }), createRoot({ now: NOW, serial })])
    expect(one.certificate.publicKey).not.toEqual(other.certificate.publicKey)
  })

  it('refuses arguments that make no root', async () => {
    await expect(createRoot({ now: NOW, serial: new Uint8Array(19) })).rejects.toThrow(RangeError)
    await expect(createRoot({ now: NOW, serial, lifetimeMs: 0 })).rejects.toThrow(RangeError)
    await expect(createRoot({ now: Number.NaN, serial })).rejects.toThrow(RangeError)
    // No certificate can name such years.
    await expect(createRoot({ now: Date.UTC(1940, 0), serial })).rejects.toThrow(RangeError)
    await expect(createRoot({ now: Date.UTC(9990, 0), serial })).rejects.toThrow(RangeError)
    const last = Date.UTC(9999, 11, 31, 23, 59, 59)
    const { certificate } = await createRoot({ now: NOW, serial, lifetimeMs: last - NOW })
    expect(certificate.notAfter).toBe(last)
    for (const commonName of ['', 'a'.repeat(65), 'é', 'a\n', 'a*'])
      await expect(createRoot({ now: NOW, serial, commonName })).rejects.toThrow(TypeError)
  })
})
