import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { TLSSocket } from 'node:tls'
import {
  type Certificate,
  issueCertificate,
  issueOperatorCertificate,
  OPERATOR_PROFILE,
  parseCertificate,
  parseClusterId,
  parseCsr,
  parseNodeId,
  type Role,
} from '@leastwise/identity'
import {
  createNodeKey,
  exportPrivateKey,
  openSigner,
  systemDigest,
  systemRandom,
  systemVerifier,
} from '@leastwise/identity/node'
import { altNames, ipName } from '../identity/external-support.ts'
import {
  authorityKeyId,
  basicConstraints,
  CN,
  extKeyUsage,
  forge,
  forgeName,
  keyUsage,
  SERVER,
} from '../identity/forge.ts'
import { type TestCluster, testCluster } from '../support/test-authority.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/** How the server behaves: it signs, has gone away, signs another role than was asked for, or turns everything down. */
export type CaMood = 'away' | 'refusing' | 'signing' | 'widening'

interface Asked {
  readonly profile: string
  readonly certificate_request: string
  readonly subject: { readonly CN: string; readonly names: readonly { readonly O: string; readonly OU: string }[] }
}

export interface FakeCaOptions {
  /** What requests are authenticated with, in hexadecimal; none by default. */
  readonly tokenKey?: string
}

const pemKey = (der: Uint8Array): string =>
  `-----BEGIN PRIVATE KEY-----\n${Buffer.from(der).toString('base64')}\n-----END PRIVATE KEY-----\n`

/** Its own certificate, under the root that it signs with. */
async function serverCertificate({
  root,
  rootKey,
}: TestCluster): Promise<{ readonly key: string; readonly cert: string }> {
  const key = createNodeKey()
  const cert = await forge({
    issuer: root.subject.der,
    subject: forgeName([CN, 'ca']),
    publicKey: key.publicKey,
    signer: openSigner(rootKey),
    notBefore: Date.now() - HOUR_MS,
    notAfter: Date.now() + DAY_MS,
    extensions: [
      keyUsage(0x80),
      extKeyUsage(SERVER),
      basicConstraints(false),
      authorityKeyId(root.subjectKeyId ?? new Uint8Array()),
      altNames(ipName(127, 0, 0, 1)),
    ],
  })
  return { key: pemKey(exportPrivateKey(key)), cert: parseCertificate(cert).pem }
}

/** An external CA on loopback that signs with a root of its own. */
export class FakeExternalCa {
  mood: CaMood = 'signing'
  /** Common names that certificates were asked for, in order. */
  readonly asked: string[] = []
  /** The common names of the clients that asked; `null` for one without a certificate. */
  readonly clients: (string | null)[] = []
  readonly root: Certificate
  readonly #cluster: TestCluster
  readonly #server: Server
  readonly #tokenKey: string | undefined

  private constructor(cluster: TestCluster, server: Server, { tokenKey }: FakeCaOptions) {
    this.#cluster = cluster
    this.root = cluster.root
    this.#server = server
    this.#tokenKey = tokenKey
  }

  static async start(options: FakeCaOptions = {}): Promise<FakeExternalCa> {
    const cluster = await testCluster({ commonName: 'outside' })
    const tls = await serverCertificate(cluster)
    const server = createServer({ ...tls, requestCert: true, rejectUnauthorized: false })
    const ca = new FakeExternalCa(cluster, server, options)
    server.on('tlsClientError', () => undefined)
    server.on('request', (request, response) => {
      void (async () => {
        if (ca.mood === 'away') {
          request.socket.destroy()
          return
        }
        let body = ''
        for await (const part of request.setEncoding('utf8') as AsyncIterable<string>) body += part
        const { socket } = request
        const shown =
          socket instanceof TLSSocket ? (socket.getPeerCertificate().subject as { CN?: string } | undefined) : {}
        ca.clients.push(shown?.CN ?? null)
        const certificate = await ca.#answer(request.url ?? '', body)
        const errors = certificate === null ? [{ code: 5100, message: 'no' }] : []
        const result = certificate === null ? null : { certificate: certificate.pem }
        response.writeHead(200, { 'content-type': 'application/json' })
        response.end(JSON.stringify({ success: certificate !== null, result, errors, messages: [] }))
      })()
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return ca
  }

  get address(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Writes the root where a manager can be told to find it. */
  rootFile(directory: string): string {
    const path = join(directory, `root-${(this.#server.address() as AddressInfo).port}.pem`)
    writeFileSync(path, this.root.pem)
    return path
  }

  async #answer(url: string, body: string): Promise<Certificate | null> {
    if (this.mood === 'refusing') return null
    const asked = this.#authenticated(url, body)
    if (asked === null) return null
    const names = asked.subject.names[0]
    const role: Role = names?.OU === 'swarm-manager' || this.mood === 'widening' ? 'manager' : 'worker'
    this.asked.push(asked.subject.CN)
    const needs = { now: Date.now(), random: systemRandom, verifier: systemVerifier, digest: systemDigest }
    const clusterId = parseClusterId(names?.O ?? '')
    if (asked.profile === OPERATOR_PROFILE && this.mood !== 'widening') {
      const grant = { operatorId: parseNodeId(asked.subject.CN), clusterId }
      return await issueOperatorCertificate(this.#cluster.authority, parseCsr(asked.certificate_request), grant, needs)
    }
    return await issueCertificate(
      this.#cluster.authority,
      parseCsr(asked.certificate_request),
      {
        nodeId: parseNodeId(asked.subject.CN),
        clusterId,
        role,
        lifetimeMs: 90 * DAY_MS,
      },
      needs,
    )
  }

  #authenticated(url: string, body: string): Asked | null {
    if (this.#tokenKey === undefined) return url === '/api/v1/cfssl/sign' ? (JSON.parse(body) as Asked) : null
    if (url !== '/api/v1/cfssl/authsign') return null
    const { token, request } = JSON.parse(body) as { readonly token: string; readonly request: string }
    const plain = Buffer.from(request, 'base64')
    const right = createHmac('sha256', Buffer.from(this.#tokenKey, 'hex')).update(plain).digest('base64')
    return token === right ? (JSON.parse(plain.toString('utf8')) as Asked) : null
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }
}
