import { type Certificate, openAuthority, parseCertificate, type Signer } from '@leastwise/identity'
import { createNodeKey, openSigner, systemVerifier } from '@leastwise/identity/node'
import { beforeAll, describe, expect, it } from 'vitest'
import { type TestCluster, testCluster } from '../support/test-authority.ts'
import { basicConstraints, CA, CN, type Forgery, forge, forgeName, keyUsage, subjectKeyId, twinOf } from './forge.ts'

const verifier = systemVerifier
const id = subjectKeyId(new Uint8Array(20).fill(3))
let old: TestCluster
let next: TestCluster
beforeAll(async () => {
  old = await testCluster()
  next = await testCluster({ commonName: 'swarm-ca-2' })
})

/** The next root's twin under the old root. */
const twin = async (changes: Partial<Forgery> = {}): Promise<Certificate> =>
  parseCertificate(
    await forge({
      ...twinOf(next.root),
      issuer: old.root.subject.der,
      signer: openSigner(old.rootKey),
      extensions: [...CA, id],
      ...changes,
    }),
  )

describe('openAuthority', () => {
  it('refuses a key that is not the certificate’s', async () => {
    const parts = { certificate: old.root, signer: openSigner(next.rootKey) }
    await expect(openAuthority(parts, { verifier })).rejects.toThrowCode('AUTHORITY_KEY_MISMATCH')
  })

  it('refuses a signer that shows the right public key and holds another private one', async () => {
    const liar: Signer = { keyType: 'p256', publicKey: old.root.publicKey, sign: createNodeKey().sign }
    await expect(openAuthority({ certificate: old.root, signer: liar }, { verifier })).rejects.toThrowCode(
      'AUTHORITY_KEY_MISMATCH',
    )
    const otherType: Signer = { ...openSigner(old.rootKey), keyType: 'p384' }
    await expect(openAuthority({ certificate: old.root, signer: otherType }, { verifier })).rejects.toThrowCode(
      'AUTHORITY_KEY_MISMATCH',
    )
  })

  it('refuses a certificate that may not issue', async () => {
    const signer = createNodeKey()
    const body = {
      issuer: forgeName([CN, 'a']),
      subject: forgeName([CN, 'a']),
      publicKey: signer.publicKey,
      signer,
      notBefore: old.root.notBefore,
      notAfter: old.root.notAfter,
    }
    const unfit = [
      [keyUsage(0x06), basicConstraints(false), id],
      [keyUsage(0x80), basicConstraints(true), id],
      [basicConstraints(true), id],
      [keyUsage(0x06), basicConstraints(true)],
      [...CA, id, { type: '1.2.3', critical: true, value: Uint8Array.of(5, 0) } as const],
    ]
    for (const extensions of unfit) {
      const certificate = parseCertificate(await forge({ ...body, extensions }))
      await expect(openAuthority({ certificate, signer }, { verifier })).rejects.toThrowCode('AUTHORITY_UNFIT')
    }
    const node = await old.issue()
    await expect(
      openAuthority({ certificate: node.certificate, signer: openSigner(node.privateKey) }, { verifier }),
    ).rejects.toThrowCode('AUTHORITY_UNFIT')
  })

  it('takes a chain that continues it', async () => {
    const cross = await twin()
    const parts = { certificate: next.root, signer: openSigner(next.rootKey), intermediates: [cross] }
    expect((await openAuthority(parts, { verifier })).intermediates).toEqual([cross])
    const withRoot = { ...parts, intermediates: [cross, old.root] }
    expect((await openAuthority(withRoot, { verifier })).intermediates).toHaveLength(2)
  })

  it('refuses a chain of another name, another key, no CA, a false signature, or too great length', async () => {
    const cross = await twin()
    const stranger = await testCluster()
    const chains = [
      [old.root],
      [await twin({ publicKey: createNodeKey().publicKey })],
      [await twin({ extensions: [keyUsage(0x06), basicConstraints(false)] })],
      [cross, stranger.root],
      [cross, next.root],
      [cross, old.root, old.root],
    ]
    for (const intermediates of chains) {
      await expect(
        openAuthority({ certificate: next.root, signer: openSigner(next.rootKey), intermediates }, { verifier }),
      ).rejects.toThrowCode('AUTHORITY_CHAIN_INVALID')
    }
  })
})
