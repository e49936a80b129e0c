import { createPublicKey } from 'node:crypto'
import {
  type Certificate,
  createCsr,
  DEFAULT_LIFETIME_MS,
  issueCertificate,
  openAuthority,
  parseCertificate,
  parseClusterId,
  parseCsr,
  parseNodeId,
  parseNodeSubject,
  type Role,
} from '@leastwise/identity'
import { createNodeKey, openSigner, systemDigest, systemVerifier } from '@leastwise/identity/node'
import { createRoot } from '@leastwise/identity/x509'
import { beforeAll, describe, expect, it } from 'vitest'
import { seededRandom } from '../support/seeded-random.ts'

// What is remembered, put off or copied from a template must never show: these are the ways on which it could.

const NOW = Date.UTC(2026, 10, 25, 12)

describe('a compiled authority', () => {
  let root: Certificate
  let issue: (clusterId: string, role: Role, nodeId: string, now?: number) => Promise<Certificate>
  beforeAll(async () => {
    const made = await createRoot({ now: NOW, serial: seededRandom(1).bytes(20), lifetimeMs: 60 * 365 * 86_400_000 })
    root = made.certificate
    const parts = { certificate: root, signer: openSigner(made.privateKey) }
    const authority = await openAuthority(parts, { verifier: systemVerifier })
    const csr = await createCsr(createNodeKey())
    issue = async (clusterId, role, nodeId, now = NOW) =>
      await issueCertificate(
        authority,
        csr,
        { clusterId: parseClusterId(clusterId), role, nodeId: parseNodeId(nodeId), lifetimeMs: DEFAULT_LIFETIME_MS },
        { random: seededRandom(2), now, verifier: systemVerifier, digest: systemDigest },
      )
  })

  it('serves clusters, roles, nodes and both forms of time in any order', async () => {
    const clusters = ['c'.repeat(25), `FIPS.${'c'.repeat(25)}`, 'd'.repeat(25)]
    const orders = [clusters, clusters.toReversed(), clusters]
    for (const order of orders) {
      for (const clusterId of order) {
        for (const role of ['worker', 'manager', 'worker'] as const) {
          for (const now of [NOW, Date.UTC(2049, 11, 1), Date.UTC(2060, 0, 1)]) {
            const nodeId = (now % 7).toString().repeat(25)
            const leaf = parseCertificate((await issue(clusterId, role, nodeId, now)).der)
            expect(parseNodeSubject(leaf.subject)).toEqual({ clusterId, role, nodeId })
            expect(leaf.dnsNames).toEqual([`swarm-${role}`, nodeId, ...(role === 'manager' ? ['swarm-ca'] : [])])
            expect(leaf.notAfter).toBe(now + DEFAULT_LIFETIME_MS)
            expect(systemVerifier.verify(root, leaf.signatureAlgorithm, leaf.tbs, leaf.signature)).toBe(true)
          }
        }
      }
    }
  })

  it('gives a certificate that says the same as when it is read', async () => {
    const leaf = await issue('c'.repeat(25), 'manager', 'n'.repeat(25))
    const read = parseCertificate(leaf.pem)
    const fields: readonly Extract<keyof Certificate, string>[] = [
      'der',
      'pem',
      'serial',
      'issuer',
      'subject',
      'notBefore',
      'notAfter',
      'keyType',
      'publicKey',
      'signatureAlgorithm',
      'tbs',
      'signature',
      'isCa',
      'pathLength',
      'keyUsage',
      'extKeyUsage',
      'dnsNames',
      'subjectKeyId',
      'authorityKeyId',
      'unknownCritical',
    ]
    for (const field of fields) {
      expect(leaf[field], field).toBeDefined()
      expect(leaf[field], field).toEqual(read[field])
    }
    expect(leaf.publicKey).toBe(leaf.publicKey)
    expect(leaf.authorityKeyId).toEqual(root.subjectKeyId)
  })

  it('takes no node id of another length than its template has room for', async () => {
    const made = await createRoot({ now: NOW, serial: seededRandom(1).bytes(20) })
    const parts = { certificate: made.certificate, signer: openSigner(made.privateKey) }
    const authority = await openAuthority(parts, { verifier: systemVerifier })
    const options = { random: seededRandom(2), now: NOW, verifier: systemVerifier, digest: systemDigest }
    const grant = {
      clusterId: parseClusterId('c'.repeat(25)),
      role: 'worker',
      lifetimeMs: DEFAULT_LIFETIME_MS,
    } as const
    const csr = await createCsr(createNodeKey())
    for (const nodeId of ['n'.repeat(25), 'n'.repeat(24), 'n'.repeat(26)]) {
      const issued = issueCertificate(
        authority,
        csr,
        { ...grant, nodeId: nodeId as ReturnType<typeof parseNodeId> },
        options,
      )
      if (nodeId.length === 25) await expect(issued).resolves.toBeDefined()
      else await expect(issued).rejects.toThrow(TypeError)
    }
  })
})

describe('keys', () => {
  it.each(['p256', 'p384', 'ed25519'] as const)('are written as the platform writes them (%s)', (keyType) => {
    for (let round = 0; round < 20; round += 1) {
      const { publicKey } = createNodeKey(keyType)
      const key = createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' })
      expect(Buffer.from(publicKey)).toEqual(key.export({ format: 'der', type: 'spki' }))
    }
  })

  it('that a verifier remembers answer as at the first time', () => {
    const data = Uint8Array.of(1, 2, 3)
    const signers = Array.from({ length: 40 }, () => createNodeKey())
    const signatures = signers.map((signer) => signer.sign(data))
    for (let round = 0; round < 3; round += 1) {
      for (const [index, signer] of signers.entries()) {
        for (let use = 0; use < 3; use += 1) {
          const other = signatures[(index + 1) % signers.length]!
          expect(systemVerifier.verify(signer, 'ecdsa-sha256', data, signatures[index]!)).toBe(true)
          expect(systemVerifier.verify(signer, 'ecdsa-sha256', data, other)).toBe(false)
        }
      }
    }
  })

  it('that are no point of their curve verify nothing, however often they are tried', () => {
    const signer = createNodeKey()
    const publicKey = Uint8Array.from(signer.publicKey).fill(0x55, 27)
    const signature = signer.sign(Uint8Array.of(1))
    for (let use = 0; use < 3; use += 1)
      expect(systemVerifier.verify({ keyType: 'p256', publicKey }, 'ecdsa-sha256', Uint8Array.of(1), signature)).toBe(
        false,
      )
  })
})

describe('PEM of whole lines', () => {
  it('has no empty line before its end', async () => {
    const { pem } = await createCsr(createNodeKey())
    const lines = pem.split('\n')
    const whole = [lines[0], lines[1], '', lines.at(-2), ''].join('\n')
    expect(() => parseCsr(whole)).toThrowCode('CSR_MALFORMED')
    const later = [...lines.slice(0, -2), '', ...lines.slice(-2)].join('\n')
    expect(() => parseCsr(later)).toThrowCode('CSR_MALFORMED')
  })
})
