import { createSecureServer, type Http2SecureServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { createCsr, issueCertificate, openAuthority, parseClusterId, parseNodeId } from '@leastwise/identity'
import {
  createNodeKey,
  exportPrivateKey,
  openSigner,
  serverContextOptions,
  systemDigest,
  systemRandom,
  systemVerifier,
  type TlsIdentity,
} from '@leastwise/identity/node'
import { createRoot } from '@leastwise/identity/x509'
import { createId } from '@leastwise/tokens'

/** A whole cluster of its own: root, and one node's certificate under it. */
export interface OtherCluster {
  readonly trustBundle: string
  readonly identity: TlsIdentity
}

export async function otherCluster(role: 'manager' | 'worker', clusterId: string): Promise<OtherCluster> {
  const now = Date.now()
  const root = await createRoot({ now, serial: systemRandom.bytes(20) })
  const authority = await openAuthority(
    { certificate: root.certificate, signer: openSigner(root.privateKey) },
    { verifier: systemVerifier },
  )
  const key = createNodeKey()
  const certificate = await issueCertificate(
    authority,
    await createCsr(key),
    { nodeId: parseNodeId(createId(systemRandom)), role, clusterId: parseClusterId(clusterId), lifetimeMs: 3_600_000 },
    { now, random: systemRandom, verifier: systemVerifier, digest: systemDigest },
  )
  const trustBundle = root.certificate.pem
  return {
    trustBundle,
    identity: { privateKey: exportPrivateKey(key), certificateChain: certificate.pem, trustBundle },
  }
}

/** A manager with another CA, in the middle of the wire: it answers the first question, and keeps all that it hears. */
export interface Impostor {
  readonly address: string
  /** The methods that were called. */
  readonly calls: readonly string[]
  /** Every byte of every request. */
  readonly heard: () => Buffer
  readonly close: () => Promise<void>
}

/** One length-prefixed gRPC message with the bytes as field 1 (GetRootCACertificateResponse.certificate). */
function rootCaAnswer(trustBundle: string): Buffer {
  const pem = Buffer.from(trustBundle)
  const message = Buffer.concat([Buffer.from([0x0a, (pem.length & 0x7f) | 0x80, pem.length >> 7]), pem])
  const prefix = Buffer.alloc(5)
  prefix.writeUInt32BE(message.length, 1)
  return Buffer.concat([prefix, message])
}

export async function startImpostor(clusterId: string): Promise<Impostor> {
  const { trustBundle, identity } = await otherCluster('manager', clusterId)
  const calls: string[] = []
  const heard: Buffer[] = []
  const server: Http2SecureServer = createSecureServer(serverContextOptions(identity))
  server.on('stream', (stream, headers) => {
    calls.push(String(headers[':path']))
    heard.push(Buffer.from(JSON.stringify(headers)))
    stream.on('data', (chunk: Buffer) => heard.push(chunk))
    stream.on('error', () => undefined)
    stream.on('end', () => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
      stream.on('wantTrailers', () => {
        stream.sendTrailers({ 'grpc-status': '0' })
      })
      stream.end(rootCaAnswer(trustBundle))
    })
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    heard: () => Buffer.concat(heard),
    close: async () => {
      await new Promise<void>((resolve) => {
        server.close(() => {
          resolve()
        })
      })
    },
  }
}
