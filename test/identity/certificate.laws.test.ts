import { X509Certificate as NodeCertificate } from 'node:crypto'
import { type Certificate, parseCertificate, type Role } from '@leastwise/identity'
import { systemVerifier } from '@leastwise/identity/node'
import { toX509Certificate } from '@leastwise/identity/x509'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { type TestCluster, testCluster } from '../support/test-authority.ts'
import { CFSSL, codeOf, derOf, ENGINES, OPENSSL } from './forge.ts'

const CODES = new Set(['CERTIFICATE_MALFORMED', 'CERTIFICATE_UNSUPPORTED', 'CERTIFICATE_TOO_LARGE'])
const NOW = Date.UTC(2026, 10, 25, 12)
const PEMS = [
  ...ENGINES.flatMap(({ root, leaf }) => [root, leaf]),
  CFSSL.root,
  ...CFSSL.leaves,
  ...OPENSSL.roots.accepted.map(({ pem }) => pem),
]

const hex = (bytes: Uint8Array | ArrayBuffer): string => Buffer.from(bytes as ArrayBuffer).toString('hex')

/** Field by field against the two other readers. */
function agrees(certificate: Certificate): void {
  const node = new NodeCertificate(certificate.der)
  expect(node.serialNumber.toLowerCase()).toBe(certificate.serial)
  expect(new Date(node.validFrom).getTime()).toBe(certificate.notBefore)
  expect(new Date(node.validTo).getTime()).toBe(certificate.notAfter)
  expect(node.ca).toBe(certificate.isCa)
  expect(hex(node.publicKey.export({ format: 'der', type: 'spki' }))).toBe(hex(certificate.publicKey))
  const names = (node.subjectAltName ?? '').split(', ').filter((name) => name.startsWith('DNS:'))
  expect(names.map((name) => name.slice(4))).toEqual(certificate.dnsNames)
  const other = toX509Certificate(certificate)
  expect(other.serialNumber).toBe(certificate.serial)
  expect(other.notBefore.getTime()).toBe(certificate.notBefore)
  expect(other.notAfter.getTime()).toBe(certificate.notAfter)
  expect(hex(other.publicKey.rawData)).toBe(hex(certificate.publicKey))
  expect(hex(other.signature)).toBe(hex(certificate.signature))
  expect(hex(other.subjectName.toArrayBuffer())).toBe(hex(certificate.subject.der))
  expect(hex(other.issuerName.toArrayBuffer())).toBe(hex(certificate.issuer.der))
  const texts = other.subjectName.toJSON().flatMap((set) => Object.values(set).flat())
  expect(texts).toEqual(certificate.subject.attributes.map(({ value }) => value))
  const critical = other.extensions.filter(({ critical: flag }) => flag).map(({ type }) => type)
  expect(critical.filter((type) => !['2.5.29.15', '2.5.29.19'].includes(type))).toEqual(certificate.unknownCritical)
  const keyId = other.extensions.find(({ type }) => type === '2.5.29.14')
  expect(keyId === undefined ? null : hex(keyId.value).slice(4)).toBe(
    certificate.subjectKeyId === null ? null : hex(certificate.subjectKeyId),
  )
}

describe('every certificate', () => {
  let cluster: TestCluster
  beforeAll(async () => {
    cluster = await testCluster({ now: NOW })
  })

  it.each(PEMS.map((pem, index) => ({ pem, index })))('of the vectors reads like elsewhere ($index)', ({ pem }) => {
    agrees(parseCertificate(pem))
  })

  it('that is issued here reads like elsewhere', async () => {
    const id = fc.string({
      unit: fc.constantFrom(...'0123456789abcdefghijklmnopqrstuvwxyz'.split('')),
      minLength: 25,
      maxLength: 25,
    })
    const role = fc.constantFrom<Role>('worker', 'manager')
    await fc.assert(
      fc.asyncProperty(
        id,
        role,
        fc.integer({ min: 1, max: 10 * 365 * 86_400_000 }),
        fc.integer({ min: 0, max: 3_600_000 }),
        async (nodeId, granted, lifetimeMs, backdateMs) => {
          const { certificate, csr } = await cluster.issue({ nodeId, role: granted, lifetimeMs, backdateMs })
          agrees(certificate)
          expect(certificate.publicKey).toEqual(csr.publicKey)
          expect(parseCertificate(certificate.pem)).toEqual(certificate)
        },
      ),
      { numRuns: 100 },
    )
  })

  it('is refused when cut at any byte', () => {
    for (const pem of [ENGINES[0]!.leaf, OPENSSL.roots.accepted[3]!.pem]) {
      const der = derOf(pem)
      for (let length = 0; length < der.length; length += 1)
        expect(codeOf(() => parseCertificate(der.subarray(0, length)))).toBe('CERTIFICATE_MALFORMED')
      for (let length = 0; length < pem.length; length += 1)
        expect(codeOf(() => parseCertificate(pem.slice(0, length)))).toBe('CERTIFICATE_MALFORMED')
    }
  })

  it('is refused or not signed by its issuer when any bit is flipped', async () => {
    const { certificate } = await cluster.issue({ role: 'manager' })
    const pairs = [
      [derOf(ENGINES[0]!.leaf), parseCertificate(ENGINES[0]!.root)],
      [certificate.der, cluster.root],
    ] as const
    for (const [der, issuer] of pairs) {
      for (let bit = 0; bit < der.length * 8; bit += 1) {
        const flipped = Uint8Array.from(der)
        flipped[bit >> 3]! ^= 1 << (bit & 7)
        let signed = false
        const code = codeOf(() => {
          const read = parseCertificate(flipped)
          signed = systemVerifier.verify(issuer, read.signatureAlgorithm, read.tbs, read.signature)
        })
        expect(code === 'ok' ? !signed : CODES.has(code), `bit ${bit}: ${code}`).toBe(true)
      }
    }
  })

  it('reads to a value or a coded refusal, and what node reads too is the same, whatever comes', () => {
    const mutated = fc
      .tuple(fc.constantFrom(...PEMS.map((pem) => derOf(pem))), fc.nat(), fc.uint8Array({ maxLength: 6 }), fc.nat(3))
      .map(([der, at, patch, drop]) => {
        const start = at % der.length
        return Uint8Array.of(...der.subarray(0, start), ...patch, ...der.subarray(start + drop))
      })
    fc.assert(
      fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 600 })), (bytes) => {
        const code = codeOf(() => {
          const certificate = parseCertificate(bytes)
          expect(certificate.der).toEqual(bytes)
          expect(parseCertificate(certificate.pem).der).toEqual(bytes)
          const node = new NodeCertificate(bytes)
          expect(node.serialNumber.toLowerCase()).toBe(certificate.serial)
          expect(new Date(node.validTo).getTime()).toBe(certificate.notAfter)
        })
        expect(code === 'ok' || CODES.has(code)).toBe(true)
      }),
      { numRuns: 3000 },
    )
  })
})
