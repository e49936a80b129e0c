import { createSecureServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { type ClusterId, createCsr, formatCertificateChain, issueCertificate, type Role } from '@leastwise/identity'
import {
  createNodeKey,
  exportPrivateKey,
  serverContextOptions,
  systemDigest,
  systemRandom,
  systemVerifier,
} from '@leastwise/identity/node'
import { onTestFinished } from 'vitest'
import { type TestCluster, testNodeId } from '../support/test-authority.ts'

/** A server with a certificate of the cluster's root, for any role and cluster, that counts what it is asked. */
export async function serveAs(
  { authority, root, now }: TestCluster,
  grant: { readonly role: Role; readonly clusterId: ClusterId },
): Promise<{ readonly address: string; readonly calls: () => number }> {
  const key = createNodeKey()
  const certificate = await issueCertificate(
    authority,
    await createCsr(key),
    { nodeId: testNodeId(500), lifetimeMs: 86_400_000, ...grant },
    { random: systemRandom, now, verifier: systemVerifier, digest: systemDigest },
  )
  const identity = {
    privateKey: exportPrivateKey(key),
    certificateChain: formatCertificateChain([certificate]),
    trustBundle: root.pem,
  }
  let calls = 0
  const server = createSecureServer(serverContextOptions(identity))
  server.on('stream', (stream) => {
    calls += 1
    stream.close()
  })
  server.on('sessionError', () => undefined)
  server.on('tlsClientError', () => undefined)
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  onTestFinished(async () => {
    await new Promise<void>((resolve) => {
      server.close(() => {
        resolve()
      })
    })
  })
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, calls: () => calls }
}
