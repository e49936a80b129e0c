import { execFileSync, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  type Authority,
  allowShortLifetime,
  type Certificate,
  createCsr,
  DEFAULT_LIFETIME_MS,
  type Grant,
  issueCertificate,
  longestLifetimeMs,
  MAX_BACKDATE_MS,
  MIN_LIFETIME_MS,
  openAuthority,
  parseCsr,
  type Signer,
} from '@leastwise/identity'
import { createNodeKey, openSigner, systemDigest, systemVerifier } from '@leastwise/identity/node'
import { createRoot } from '@leastwise/identity/x509'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  encodeBitString,
  encodeElement,
  encodeSequence,
  encodeUnsigned,
} from '../../packages/identity/src/der/writer.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { tempDir } from '../support/temp-dir.ts'
import { testClusterId, testNodeId } from '../support/test-authority.ts'
import { CA, CFSSL, CLIENT, forge, OPENSSL, SERVER, subjectKeyId } from './forge.ts'

const NOW = Date.UTC(2026, 10, 21, 12, 30, 15, 250)
const HOUR = 3_600_000
const DAY = 24 * HOUR
const worker: Grant = {
  nodeId: testNodeId(7),
  role: 'worker',
  clusterId: testClusterId(3),
  lifetimeMs: DEFAULT_LIFETIME_MS,
}
const second = (instant: number): number => Math.floor(instant / 1000) * 1000
const hasOpenssl = spawnSync('openssl', ['version']).status === 0

const deps = (seed = 1): Parameters<typeof issueCertificate>[3] => ({
  random: seededRandom(seed),
  now: NOW,
  verifier: systemVerifier,
  digest: systemDigest,
})

let authority: Authority
let root: Certificate
let rootSigner: Signer
beforeAll(async () => {
  const made = await createRoot({ now: NOW, serial: seededRandom(9).bytes(20) })
  root = made.certificate
  rootSigner = openSigner(made.privateKey)
  authority = await openAuthority({ certificate: root, signer: rootSigner }, { verifier: systemVerifier })
})

describe('issueCertificate', () => {
  it('writes the profile of a Docker worker', async () => {
    const csr = await createCsr(createNodeKey())
    const leaf = await issueCertificate(authority, csr, worker, deps())
    expect(leaf.subject.attributes.map(({ value }) => value)).toEqual([worker.clusterId, 'swarm-worker', worker.nodeId])
    expect(leaf.issuer).toEqual(root.subject)
    expect(leaf.publicKey).toEqual(csr.publicKey)
    expect(leaf).toMatchObject({
      isCa: false,
      pathLength: null,
      keyUsage: ['digitalSignature', 'keyEncipherment'],
      extKeyUsage: [SERVER, CLIENT],
      dnsNames: ['swarm-worker', worker.nodeId],
      unknownCritical: [],
      notBefore: second(NOW - HOUR),
      notAfter: second(NOW + DEFAULT_LIFETIME_MS),
    })
    expect(leaf.subjectKeyId).toEqual(systemDigest.sha256(csr.keyBits).subarray(0, 20))
    expect(leaf.authorityKeyId).toEqual(root.subjectKeyId)
    expect(systemVerifier.verify(root, leaf.signatureAlgorithm, leaf.tbs, leaf.signature)).toBe(true)
  })

  it('lets no key encipher that can only sign (RFC 9295 section 3)', async () => {
    for (const [keyType, usage] of [
      ['ed25519', ['digitalSignature']],
      ['p384', ['digitalSignature', 'keyEncipherment']],
      ['ed25519', ['digitalSignature']],
    ] as const) {
      const leaf = await issueCertificate(authority, await createCsr(createNodeKey(keyType)), worker, deps())
      expect(leaf.keyUsage).toEqual(usage)
    }
  })

  it('lets a manager answer for the CA too', async () => {
    const leaf = await issueCertificate(
      authority,
      await createCsr(createNodeKey()),
      { ...worker, role: 'manager' },
      deps(),
    )
    expect(leaf.dnsNames).toEqual(['swarm-manager', worker.nodeId, 'swarm-ca'])
    expect(leaf.subject.attributes[1]?.value).toBe('swarm-manager')
  })

  it.each([...OPENSSL.requests.accepted.slice(3), { keyType: 'p256', pem: CFSSL.csr }])(
    'takes the key of a request and nothing of its wishes ($keyType)',
    async ({ keyType, pem }) => {
      const csr = parseCsr(pem)
      const asked = await issueCertificate(authority, csr, worker, deps())
      expect(asked).toMatchObject({
        isCa: false,
        keyUsage: keyType === 'ed25519' ? ['digitalSignature'] : ['digitalSignature', 'keyEncipherment'],
        dnsNames: ['swarm-worker', worker.nodeId],
      })
      const text = Buffer.from(asked.der).toString('latin1')
      for (const wish of ['marked', 'foreign', 'challenge', 'cluster1', 'node1']) expect(text).not.toContain(wish)
    },
  )

  it('gives the same certificate for a request with wishes as for one without, but for the key', async () => {
    const signer = createNodeKey('ed25519')
    const plain = await createCsr(signer)
    const name = encodeSequence(
      encodeElement(
        0x31,
        encodeSequence(Uint8Array.of(6, 3, 85, 4, 3), encodeElement(0x0c, new TextEncoder().encode('marked'))),
      ),
    )
    const tbs = encodeSequence(encodeUnsigned(Uint8Array.of(0)), name, signer.publicKey, encodeElement(0xa0))
    const wishful = parseCsr(
      encodeSequence(tbs, Uint8Array.of(0x30, 5, 6, 3, 43, 101, 112), encodeBitString(signer.sign(tbs))),
    )
    const [one, other] = [
      await issueCertificate(authority, plain, worker, deps(5)),
      await issueCertificate(authority, wishful, worker, deps(5)),
    ]
    expect(one.tbs).toEqual(other.tbs)
  })

  it('refuses a request without proof of its key, before anything is drawn or signed', async () => {
    const good = await createCsr(createNodeKey())
    const signature = Uint8Array.from((await createCsr(createNodeKey())).signature)
    const algorithm = Uint8Array.of(0x30, 10, 6, 8, 42, 134, 72, 206, 61, 4, 3, 2)
    const stolen = parseCsr(encodeSequence(good.tbs, algorithm, encodeBitString(signature)))
    const random = seededRandom(1)
    await expect(issueCertificate(authority, stolen, worker, { ...deps(), random })).rejects.toThrowCode(
      'CSR_SIGNATURE_INVALID',
    )
    expect(random.draws).toEqual([])
  })

  it('draws 20 bytes once; the serial number is positive and of full length whatever they are', async () => {
    const csr = await createCsr(createNodeKey())
    for (const byte of [0x00, 0x7f, 0x80, 0xff]) {
      const draws: number[] = []
      const random = {
        bytes: (length: number) => {
          draws.push(length)
          return new Uint8Array(length).fill(byte)
        },
      }
      const { serial } = await issueCertificate(authority, csr, worker, { ...deps(), random })
      expect(draws).toEqual([20])
      expect(serial).toMatch(/^[4-7][0-9a-f]{39}$/u)
    }
    const short = { bytes: () => new Uint8Array(8) }
    await expect(issueCertificate(authority, csr, worker, { ...deps(), random: short })).rejects.toThrow(RangeError)
  })

  it('holds lifetimes between one hour and the end of the issuer', async () => {
    const csr = await createCsr(createNodeKey())
    const issue = async (grant: Partial<Grant>): Promise<Certificate> =>
      await issueCertificate(authority, csr, { ...worker, ...grant }, deps())
    expect((await issue({ lifetimeMs: MIN_LIFETIME_MS })).notAfter).toBe(second(NOW + HOUR))
    await expect(issue({ lifetimeMs: MIN_LIFETIME_MS - 1 })).rejects.toThrowCode('LIFETIME_TOO_SHORT')
    expect((await issue({ lifetimeMs: 5000, [allowShortLifetime]: true })).notAfter).toBe(second(NOW + 5000))
    const longest = longestLifetimeMs(authority, NOW)
    expect((await issue({ lifetimeMs: longest })).notAfter).toBe(root.notAfter)
    await expect(issue({ lifetimeMs: longest + 1000 })).rejects.toThrowCode('LIFETIME_EXCEEDS_ISSUER')
    expect(longestLifetimeMs(authority, root.notAfter + 1)).toBe(0)
    await expect(issueCertificate(authority, csr, worker, { ...deps(), now: root.notAfter })).rejects.toThrowCode(
      'LIFETIME_EXCEEDS_ISSUER',
    )
  })

  it('takes the start back by an hour, less for short lives, or as told', async () => {
    const csr = await createCsr(createNodeKey())
    const backdateOf = async (grant: Partial<Grant>): Promise<number> =>
      second(NOW) -
      (await issueCertificate(authority, csr, { ...worker, ...grant }, { ...deps(), now: second(NOW) })).notBefore
    expect(await backdateOf({})).toBe(HOUR)
    expect(await backdateOf({ lifetimeMs: 4 * HOUR })).toBe(HOUR)
    expect(await backdateOf({ lifetimeMs: HOUR })).toBe(HOUR / 4)
    expect(await backdateOf({ backdateMs: 0 })).toBe(0)
    expect(await backdateOf({ backdateMs: MAX_BACKDATE_MS })).toBe(HOUR)
  })

  it('refuses durations and instants that are no numbers', async () => {
    const csr = await createCsr(createNodeKey())
    const bad: readonly Partial<Grant>[] = [
      { lifetimeMs: Number.NaN },
      { lifetimeMs: 0 },
      { lifetimeMs: -1 },
      { lifetimeMs: Infinity },
      { backdateMs: -1 },
      { backdateMs: MAX_BACKDATE_MS + 1 },
      { backdateMs: Number.NaN },
    ]
    for (const grant of bad)
      await expect(issueCertificate(authority, csr, { ...worker, ...grant }, deps())).rejects.toThrow(RangeError)
    await expect(issueCertificate(authority, csr, worker, { ...deps(), now: Number.NaN })).rejects.toThrow(RangeError)
    await expect(issueCertificate({ ...authority }, csr, worker, deps())).rejects.toThrow(TypeError)
  })

  it('leaves frozen inputs alone and works with a signer and a verifier that take their time', async () => {
    const slow: Signer = {
      keyType: 'p256',
      publicKey: rootSigner.publicKey,
      sign: async (data) => await rootSigner.sign(data),
    }
    const verifier = {
      verify: async (...args: Parameters<typeof systemVerifier.verify>) => systemVerifier.verify(...args),
    }
    const opened = await openAuthority(Object.freeze({ certificate: root, signer: slow }), { verifier })
    const leaf = await issueCertificate(
      opened,
      await createCsr(createNodeKey()),
      Object.freeze({ ...worker }),
      Object.freeze({ ...deps(), verifier }),
    )
    expect(systemVerifier.verify(root, leaf.signatureAlgorithm, leaf.tbs, leaf.signature)).toBe(true)
  })

  it('issues under any kind of authority key', async () => {
    for (const signer of [createNodeKey('p384'), createNodeKey('ed25519')]) {
      const certificate = await parseForged(signer)
      const opened = await openAuthority({ certificate, signer }, { verifier: systemVerifier })
      const leaf = await issueCertificate(opened, await createCsr(createNodeKey()), worker, deps())
      expect(systemVerifier.verify(certificate, leaf.signatureAlgorithm, leaf.tbs, leaf.signature)).toBe(true)
    }
  })

  it('never reaches past the issuer and always covers the present, whatever is granted', async () => {
    const csr = await createCsr(createNodeKey())
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: MIN_LIFETIME_MS, max: 30 * 365 * DAY }),
        fc.integer({ min: -DAY, max: 25 * 365 * DAY }),
        async (lifetimeMs, offset) => {
          const now = NOW + offset
          const leaf = await issueCertificate(authority, csr, { ...worker, lifetimeMs }, { ...deps(), now }).catch(
            (error: unknown) => error as { code: string },
          )
          if ('code' in leaf)
            expect([leaf.code, now + lifetimeMs > root.notAfter]).toEqual(['LIFETIME_EXCEEDS_ISSUER', true])
          else expect(leaf.notBefore <= now && now <= leaf.notAfter && leaf.notAfter <= root.notAfter).toBe(true)
        },
      ),
      { numRuns: 100 },
    )
  })
})

const parseForged = async (signer: Signer): Promise<Certificate> => {
  const { parseCertificate } = await import('@leastwise/identity')
  return parseCertificate(
    await forge({
      issuer: root.subject.der,
      subject: root.subject.der,
      publicKey: signer.publicKey,
      signer,
      notBefore: root.notBefore,
      notAfter: root.notAfter,
      extensions: [...CA, subjectKeyId(Uint8Array.of(1, 2, 3))],
    }),
  )
}

describe.skipIf(!hasOpenssl)('OpenSSL (skipped when it is not on the path)', () => {
  it('accepts what is issued, strictly, as server and as client', async () => {
    const dir = tempDir()
    const now = Date.now()
    const made = await createRoot({ now, serial: seededRandom(4).bytes(20) })
    const opened = await openAuthority(
      { certificate: made.certificate, signer: openSigner(made.privateKey) },
      { verifier: systemVerifier },
    )
    writeFileSync(join(dir, 'root.pem'), made.certificate.pem)
    const verify = (...args: readonly string[]): string =>
      execFileSync('openssl', ['verify', '-x509_strict', '-CAfile', join(dir, 'root.pem'), ...args], {
        encoding: 'utf8',
      })
    expect(verify(join(dir, 'root.pem'))).toContain('OK')
    for (const keyType of ['p256', 'p384', 'ed25519'] as const) {
      for (const role of ['worker', 'manager'] as const) {
        const leaf = await issueCertificate(
          opened,
          await createCsr(createNodeKey(keyType)),
          { ...worker, role },
          { ...deps(), now },
        )
        const file = join(dir, `${keyType}-${role}.pem`)
        writeFileSync(file, leaf.pem)
        expect(verify('-purpose', 'sslserver', '-verify_hostname', `swarm-${role}`, file)).toContain('OK')
        expect(verify('-purpose', 'sslclient', file)).toContain('OK')
      }
    }
  })

  it('reads our requests', async () => {
    const file = join(tempDir(), 'csr.pem')
    for (const keyType of ['p256', 'p384', 'ed25519'] as const) {
      writeFileSync(file, (await createCsr(createNodeKey(keyType))).pem)
      const read = spawnSync('openssl', ['req', '-in', file, '-verify', '-noout', '-subject'], { encoding: 'utf8' })
      expect(read.stdout + read.stderr).toMatch(/verify OK/u)
    }
  })
})
