import {
  MAX_TRUST_BUNDLE_BYTES,
  MAX_TRUST_BUNDLE_ROOTS,
  parseCertificate,
  parseTrustBundle,
  verifyTrustBundleRoots,
} from '@leastwise/identity'
import { createNodeKey, systemVerifier } from '@leastwise/identity/node'
import { describe, expect, it } from 'vitest'
import { formatPem } from '../../packages/identity/src/pem.ts'
import {
  basicConstraints,
  CA,
  CFSSL,
  CN,
  ENGINES,
  type Forgery,
  forge,
  forgeName,
  keyUsage,
  OPENSSL,
  VECTOR_NOW,
} from './forge.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const verify = async (pem: string, now: number = VECTOR_NOW): Promise<void> => {
  await verifyTrustBundleRoots(parseTrustBundle(pem), { verifier: systemVerifier, now })
}
const root = async (changes: Partial<Forgery> = {}): Promise<string> => {
  const signer = createNodeKey()
  const der = await forge({
    issuer: forgeName([CN, 'root']),
    subject: forgeName([CN, 'root']),
    publicKey: signer.publicKey,
    signer,
    notBefore: VECTOR_NOW - 1000,
    notAfter: VECTOR_NOW + 1000,
    extensions: CA,
    ...changes,
  })
  return formatPem('CERTIFICATE', der)
}

describe('parseTrustBundle', () => {
  it('keeps the bytes as they came and the roots in their order', () => {
    const pem = ENGINES.map((engine) => engine.root).join('')
    const given = bytes(pem)
    const bundle = parseTrustBundle(given)
    given.fill(0)
    expect(new TextDecoder().decode(bundle.pem)).toBe(pem)
    expect(bundle.roots.map((certificate) => certificate.pem)).toEqual(ENGINES.map((engine) => engine.root))
    expect(parseTrustBundle(pem)).toEqual(bundle)
  })

  it('refuses what is around, between or in place of the blocks', () => {
    const pem = ENGINES[0]!.root
    for (const bad of [
      '',
      '\n',
      ` ${pem}`,
      `${pem}\n`,
      `${pem}\n${ENGINES[1]!.root}`,
      pem.slice(0, -1),
      pem.replaceAll('\n', '\r\n'),
      CFSSL.csr,
    ]) {
      expect(() => parseTrustBundle(bad)).toThrowCode('TRUST_BUNDLE_MALFORMED')
    }
    expect(() => parseTrustBundle(pem + pem)).toThrowCode('TRUST_BUNDLE_MALFORMED')
    expect(() => parseTrustBundle(formatPem('CERTIFICATE', Uint8Array.of(0x30, 0)))).toThrowCode(
      'CERTIFICATE_MALFORMED',
    )
    expect(() => parseTrustBundle(pem + OPENSSL.roots.unsupported[0]!.pem)).toThrowCode('CERTIFICATE_UNSUPPORTED')
  })

  it('refuses a bundle cut at any byte', () => {
    const pem = ENGINES[0]!.root + ENGINES[1]!.root
    for (let length = 0; length < pem.length; length += 1) {
      // A cut between two blocks leaves one whole bundle; the digest in a join token is what notices that.
      if (length === ENGINES[0]!.root.length) continue
      expect(() => parseTrustBundle(pem.slice(0, length)), `cut at ${length}`).toThrowCode('TRUST_BUNDLE_MALFORMED')
    }
  })

  it('refuses too many roots and too many bytes', async () => {
    const roots = await Promise.all(Array.from({ length: MAX_TRUST_BUNDLE_ROOTS + 1 }, async () => await root()))
    expect(parseTrustBundle(roots.slice(1).join('')).roots).toHaveLength(MAX_TRUST_BUNDLE_ROOTS)
    expect(() => parseTrustBundle(roots.join(''))).toThrowCode('TRUST_BUNDLE_TOO_LARGE')
    expect(() => parseTrustBundle('-'.repeat(MAX_TRUST_BUNDLE_BYTES + 1))).toThrowCode('TRUST_BUNDLE_TOO_LARGE')
    expect(() => parseTrustBundle(formatPem('CERTIFICATE', new Uint8Array(20_000)))).toThrowCode(
      'CERTIFICATE_TOO_LARGE',
    )
  })
})

describe('verifyTrustBundleRoots', () => {
  it.each(
    [...ENGINES.map((engine) => engine.root), CFSSL.root, ...OPENSSL.roots.accepted.map(({ pem }) => pem)].map(
      (pem, index) => ({ pem, index }),
    ),
  )('accepts a root of the vectors ($index)', async ({ pem }) => {
    await expect(verify(pem)).resolves.toBeUndefined()
  })

  it('counts both ends of the validity in', async () => {
    const pem = await root()
    const { notBefore, notAfter } = parseCertificate(pem)
    await verify(pem, notBefore)
    await verify(pem, notAfter)
    await expect(verify(pem, notBefore - 1)).rejects.toThrowCode('TRUST_BUNDLE_ROOT_INVALID')
    await expect(verify(pem, notAfter + 1)).rejects.toThrowCode('TRUST_BUNDLE_ROOT_INVALID')
  })

  it('refuses the whole bundle for one certificate that is no root', async () => {
    const unfit = [
      ENGINES[0]!.leaf,
      await root({ signer: createNodeKey() }),
      await root({ issuer: forgeName([CN, 'other']) }),
      await root({ extensions: [keyUsage(0x06), basicConstraints(false)] }),
      await root({ extensions: [keyUsage(0x80), basicConstraints(true)] }),
      await root({ extensions: [...CA, { type: '1.2.3', critical: true, value: Uint8Array.of(5, 0) }] }),
    ]
    for (const pem of unfit) {
      await expect(verify(pem)).rejects.toThrowCode('TRUST_BUNDLE_ROOT_INVALID')
      await expect(verify(ENGINES[1]!.root + pem)).rejects.toThrowCode('TRUST_BUNDLE_ROOT_INVALID')
    }
  })
})
