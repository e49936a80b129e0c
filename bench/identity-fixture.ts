import 'reflect-metadata'
import { randomBytes, webcrypto } from 'node:crypto'
import { DEFAULT_LIFETIME_MS, type Grant, parseClusterId, parseNodeId } from '@leastwise/identity'
import * as x509 from '@peculiar/x509'

/** The platform's own Web Crypto, with which the library is fastest. */
export const NATIVE: Crypto = webcrypto as unknown as Crypto
export const P256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
export const NOW: number = Date.now()
export const HOUR_MS = 3_600_000
export const CLUSTER: string = 'c'.repeat(25)
export const NODE: string = 'n'.repeat(25)
export const ROLE = 'swarm-worker'
/** Requests and certificates take turns, so that no contestant profits from having seen one just before. */
export const REQUESTS = 64

/** What every certificate of the bench is granted. */
export const WORKER: Grant = {
  nodeId: parseNodeId(NODE),
  clusterId: parseClusterId(CLUSTER),
  role: 'worker',
  lifetimeMs: DEFAULT_LIFETIME_MS,
}

/** A root that every contestant issues from. */
export async function createRoot(
  crypto: Crypto,
): Promise<{ readonly root: x509.X509Certificate; readonly keys: CryptoKeyPair }> {
  const keys = await crypto.subtle.generateKey(P256, true, ['sign', 'verify'])
  const root = await x509.X509CertificateGenerator.createSelfSigned(
    {
      name: 'CN=swarm-ca',
      serialNumber: `40${randomBytes(19).toString('hex')}`,
      notBefore: new Date(NOW - HOUR_MS),
      notAfter: new Date(NOW + 20 * 365 * 24 * HOUR_MS),
      signingAlgorithm: P256,
      keys,
      extensions: [
        new x509.BasicConstraintsExtension(true, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, crypto),
      ],
    },
    crypto,
  )
  return { root, keys }
}

/** The next of the prepared ones, round and round. */
export function turns<T>(items: readonly T[]): () => T {
  let at = 0
  return () => {
    at = (at + 1) % items.length
    return items[at]!
  }
}
