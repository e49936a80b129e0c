import { createPublicKey, webcrypto } from 'node:crypto'
import { inspect } from 'node:util'
import {
  createCsr,
  IdentityError,
  issueCertificate,
  openAuthority,
  parseTrustDomain,
  type SelfSignedRootOptions,
  type Signer,
  type SubtleSigning,
  selfSignedRoot,
  verifyPeer,
  webCryptoSigner,
} from '@leastwise/identity'
import { createNodeKey, systemDigest, systemRandom, systemVerifier } from '@leastwise/identity/node'
import { createRoot } from '@leastwise/identity/x509'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { signatureAlgorithmOf } from '../../packages/identity/src/algorithms.ts'
import { encodeEcdsaSignature } from '../../packages/identity/src/certificate/ecdsa-signature.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { testClusterId, testNodeId } from '../support/test-authority.ts'

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5)
const DATA = new TextEncoder().encode('signed')
const RSA = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', publicExponent: Uint8Array.of(1, 0, 1) }

async function pairOf(algorithm: webcrypto.RsaHashedKeyGenParams | webcrypto.EcKeyGenParams | 'Ed25519'): Promise<{
  readonly privateKey: webcrypto.CryptoKey
  readonly publicKey: Uint8Array
}> {
  const pair = (await webcrypto.subtle.generateKey(algorithm as 'Ed25519', false, [
    'sign',
    'verify',
  ])) as webcrypto.CryptoKeyPair
  const publicKey = new Uint8Array(await webcrypto.subtle.exportKey('spki', pair.publicKey))
  return { privateKey: pair.privateKey, publicKey }
}

const p256 = { name: 'ECDSA', namedCurve: 'P-256' }
const rootOptions = (changes: Partial<SelfSignedRootOptions> = {}): SelfSignedRootOptions => ({
  ...{ now: NOW, random: seededRandom(3), digest: systemDigest, verifier: systemVerifier },
  ...changes,
})

const KINDS = [
  ['p256', p256],
  ['p384', { name: 'ECDSA', namedCurve: 'P-384' }],
  ['p521', { name: 'ECDSA', namedCurve: 'P-521' }],
  ['ed25519', 'Ed25519'],
  ['rsa', { ...RSA, modulusLength: 2048 }],
] as const

describe('a signer over web crypto', () => {
  it.each(KINDS)('signs with a key of %s that cannot be exported', async (keyType, algorithm) => {
    const signer = webCryptoSigner({ subtle: webcrypto.subtle, ...(await pairOf(algorithm)) })
    expect(signer.keyType).toBe(keyType)
    for (let round = 0; round < 8; round += 1) {
      const signature = await signer.sign(DATA)
      expect(systemVerifier.verify(signer, signatureAlgorithmOf(keyType), DATA, signature)).toBe(true)
    }
  })

  it.each(KINDS)('is the key of a root and an authority with %s', async (_, algorithm) => {
    const signer = webCryptoSigner({ subtle: webcrypto.subtle, ...(await pairOf(algorithm)) })
    const root = await selfSignedRoot(signer, rootOptions())
    const authority = await openAuthority({ certificate: root, signer }, { verifier: systemVerifier })
    const grant = { nodeId: testNodeId(1), role: 'worker', clusterId: testClusterId(1), lifetimeMs: 3_600_000 } as const
    const needs = { random: systemRandom, now: NOW, verifier: systemVerifier, digest: systemDigest }
    const leaf = await issueCertificate(authority, await createCsr(createNodeKey()), grant, needs)
    const peer = await verifyPeer([leaf], { ...needs, roots: [root], clusterId: grant.clusterId })
    expect(peer).toMatchObject({ nodeId: grant.nodeId, role: 'worker' })
  })

  it('does not belong to a certificate of another key', async () => {
    const own = await pairOf(p256)
    const root = await selfSignedRoot(webCryptoSigner({ subtle: webcrypto.subtle, ...own }), rootOptions())
    const { privateKey } = await pairOf(p256)
    const mixed = webCryptoSigner({ subtle: webcrypto.subtle, privateKey, publicKey: own.publicKey })
    await expect(openAuthority({ certificate: root, signer: mixed }, { verifier: systemVerifier })).rejects.toThrowCode(
      'AUTHORITY_KEY_MISMATCH',
    )
    await expect(selfSignedRoot(mixed, rootOptions())).rejects.toThrowCode('AUTHORITY_KEY_MISMATCH')
  })

  it('takes its bytes when it is asked, and keeps its own public key', async () => {
    const pair = await pairOf(p256)
    let finish: (() => void) | null = null
    const slow: SubtleSigning<webcrypto.CryptoKey> = {
      sign: async (algorithm, key, data) => {
        await new Promise<void>((resolve) => {
          finish = resolve
        })
        return await webcrypto.subtle.sign(algorithm, key, data)
      },
    }
    const before = pair.publicKey.slice()
    const signer = webCryptoSigner({ subtle: slow, ...pair })
    pair.publicKey.fill(0)
    expect(signer.publicKey).toEqual(before)
    const data = DATA.slice()
    const signature = signer.sign(data)
    data.fill(0)
    finish!()
    expect(systemVerifier.verify(signer, 'ecdsa-sha256', DATA, await signature)).toBe(true)
  })

  it.each([
    ['nothing', 0],
    ['one byte less', 63],
    ['one byte more', 65],
    ['a signature of a longer key', 96],
  ])('takes %s for no signature', async (_, length) => {
    const { publicKey } = await pairOf(p256)
    const answers = (bytes: Uint8Array): Signer =>
      webCryptoSigner({
        subtle: { sign: async () => await Promise.resolve(bytes.slice().buffer) },
        privateKey: 0,
        publicKey,
      })
    await expect(answers(new Uint8Array(length).fill(1)).sign(DATA)).rejects.toThrowCode('SIGNER_FAILED')
    const half = new Uint8Array(64).fill(1, 0, 32)
    await expect(answers(half).sign(DATA)).rejects.toThrowCode('SIGNER_FAILED')
    await expect(answers(half.reverse()).sign(DATA)).rejects.toThrowCode('SIGNER_FAILED')
  })

  it('says that its holder failed, with the cause, and passes coded refusals on', async () => {
    const { publicKey } = await pairOf(p256)
    const fails = (error: Error): Signer =>
      webCryptoSigner({ subtle: { sign: async () => await Promise.reject(error) }, privateKey: 0, publicKey })
    const cause = new Error('gone')
    await expect(fails(cause).sign(DATA)).rejects.toMatchObject({ code: 'SIGNER_FAILED', cause })
    const coded = new IdentityError('HSM_CLOSED', 'closed')
    await expect(fails(coded).sign(DATA)).rejects.toBe(coded)
  })

  it('refuses public keys of other kinds and forms', async () => {
    const open = (publicKey: Uint8Array): Signer =>
      webCryptoSigner({ subtle: webcrypto.subtle, privateKey: {} as webcrypto.CryptoKey, publicKey })
    const { publicKey } = await pairOf(p256)
    expect(() => open(publicKey.subarray(1))).toThrowCode('PRIVATE_KEY_MALFORMED')
    expect(() => open(new Uint8Array([...publicKey, 0]))).toThrowCode('PRIVATE_KEY_MALFORMED')
    for (let length = 0; length < publicKey.length; length += 1)
      expect(() => open(publicKey.subarray(0, length))).toThrowCode('PRIVATE_KEY_MALFORMED')
    const small = await pairOf({ ...RSA, modulusLength: 1024 })
    expect(() => open(small.publicKey)).toThrowCode('PRIVATE_KEY_UNSUPPORTED')
  })

  it('holds nothing that can be printed', async () => {
    const privateKey = { marked: 'secret' }
    const { publicKey } = await pairOf(p256)
    const signer = webCryptoSigner({
      subtle: { sign: async () => await Promise.resolve(new ArrayBuffer(0)) },
      privateKey,
      publicKey,
    })
    expect(inspect(signer, { depth: 9, showHidden: true, getters: true })).not.toContain('marked')
  })
})

describe('law: signatures of two halves', () => {
  it('become DER that another reader takes for the same numbers', async () => {
    const { privateKey, publicKey } = await pairOf(p256)
    const key = createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' })
    expect(key.asymmetricKeyDetails?.namedCurve).toBe('prime256v1')
    const lengths = new Set<number>()
    for (let round = 0; round < 64; round += 1) {
      const raw = new Uint8Array(await webcrypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, privateKey, DATA))
      const der = encodeEcdsaSignature(raw)!
      lengths.add(der.length)
      expect(systemVerifier.verify({ keyType: 'p256', publicKey }, 'ecdsa-sha256', DATA, der)).toBe(true)
    }
    expect(lengths.size).toBeGreaterThan(1)
  })

  it('are positive integers in the fewest bytes, and read back to the halves', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(32, 48, 66),
        fc.infiniteStream(fc.constantFrom(0, 0, 1, 0x7f, 0x80, 0xff)),
        (size, bytes) => {
          const raw = Uint8Array.from(bytes.take(2 * size))
          const der = encodeEcdsaSignature(raw)
          const zero = [raw.subarray(0, size), raw.subarray(size)].some((half) => half.every((byte) => byte === 0))
          if (zero) {
            expect(der).toBeNull()
            return
          }
          const content = der![1] === 0x81 ? der!.subarray(3) : der!.subarray(2)
          const first = content.subarray(2, 2 + content[1]!)
          const second = content.subarray(4 + first.length)
          for (const [number, half] of [
            [first, raw.subarray(0, size)],
            [second, raw.subarray(size)],
          ] as const) {
            expect(number[0]! < 0x80).toBe(true)
            expect(number[0] !== 0 || number[1]! >= 0x80).toBe(true)
            const padded = new Uint8Array(size)
            const magnitude = number[0] === 0 ? number.subarray(1) : number
            padded.set(magnitude, size - magnitude.length)
            expect(padded).toEqual(half)
          }
        },
      ),
    )
  })
})

describe('a root for a key that exists', () => {
  const signerOf = async (): Promise<Signer> => webCryptoSigner({ subtle: webcrypto.subtle, ...(await pairOf(p256)) })

  it('is like one with a fresh key, but for its key identifier', async () => {
    const mine = await selfSignedRoot(await signerOf(), rootOptions({ clusterId: testClusterId(1) }))
    const fresh = await createRoot({ now: NOW, serial: seededRandom(3).bytes(20), clusterId: testClusterId(1) })
    const said = ({ certificate }: { readonly certificate: typeof mine }): unknown => {
      const { serial, issuer, subject, notBefore, notAfter, keyType, isCa, pathLength, keyUsage, critical, altNames } =
        certificate
      return { serial, issuer, subject, notBefore, notAfter, keyType, isCa, pathLength, keyUsage, critical, altNames }
    }
    expect(said({ certificate: mine })).toEqual(said(fresh))
    expect(mine.subjectKeyId).toHaveLength(20)
  })

  it('may be the root of a trust domain', async () => {
    const root = await selfSignedRoot(await signerOf(), rootOptions({ trustDomain: parseTrustDomain('one.test') }))
    expect(root.altNames).toEqual([{ kind: 'uri', value: 'spiffe://one.test' }])
  })

  it('has a lifetime and a name within bounds', async () => {
    const signer = await signerOf()
    for (const lifetimeMs of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, Date.UTC(9999, 11, 31) - NOW + 86_400_000])
      await expect(selfSignedRoot(signer, rootOptions({ lifetimeMs }))).rejects.toThrow(RangeError)
    await expect(selfSignedRoot(signer, rootOptions({ now: Number.NaN }))).rejects.toThrow(RangeError)
    for (const commonName of ['', 'x'.repeat(65), 'ä', 'a_b'])
      await expect(selfSignedRoot(signer, rootOptions({ commonName }))).rejects.toThrow(TypeError)
    const random = { bytes: () => new Uint8Array(4) }
    await expect(selfSignedRoot(signer, rootOptions({ random }))).rejects.toThrow(RangeError)
  })
})
