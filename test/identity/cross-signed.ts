import { webcrypto } from 'node:crypto'
import { type Certificate, parseCertificate } from '@leastwise/identity'
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PublicKey,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from '@peculiar/x509'
import type { TestCluster } from '../support/test-authority.ts'

/** The root of `next`, signed by the root of `old`: what a node presents behind its leaf while the root rotates. */
export async function crossSigned(next: TestCluster, old: TestCluster): Promise<Certificate> {
  const crypto = webcrypto as Crypto
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256' }
  const signingKey = await crypto.subtle.importKey('pkcs8', old.rootKey, algorithm, false, ['sign'])
  const publicKey = new PublicKey(Uint8Array.from(next.root.publicKey))
  const made = await X509CertificateGenerator.create(
    {
      publicKey,
      subject: 'CN=swarm-ca-3',
      issuer: 'CN=swarm-ca',
      serialNumber: '4001',
      notBefore: new Date(next.root.notBefore),
      notAfter: new Date(next.root.notAfter),
      signingKey,
      signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
      extensions: [
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
        new BasicConstraintsExtension(true, undefined, true),
        await SubjectKeyIdentifierExtension.create(publicKey, false, crypto),
        await AuthorityKeyIdentifierExtension.create(new PublicKey(Uint8Array.from(old.root.publicKey)), false, crypto),
      ],
    },
    crypto,
  )
  return parseCertificate(new Uint8Array(made.rawData))
}
