import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server, type ServerOptions } from 'node:https'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { TLSSocket } from 'node:tls'
import { inspect } from 'node:util'
import { type Certificate, type HttpRequest, IdentityError, parseCertificate } from '@leastwise/identity'
import { type ClientIdentity, createNodeKey, exportPrivateKey, httpsPost } from '@leastwise/identity/node'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { encodeText } from '../../packages/identity/src/der/writer.ts'
import { connectionFailure } from '../../packages/identity/src/node/external/post-failure.ts'
import { type TestCluster, testCluster } from '../support/test-authority.ts'
import { altNames, DAY_MS, HOUR_MS, ipName, keyId } from './external-support.ts'
import {
  authorityKeyId,
  basicConstraints,
  CN,
  extKeyUsage,
  forge,
  forgeName,
  keyUsage,
  SERVER,
  subjectKeyId,
} from './forge.ts'

interface ServerIdentity {
  readonly root: Certificate
  readonly key: string
  readonly cert: string
}

const pemKey = (der: Uint8Array): string =>
  `-----BEGIN PRIVATE KEY-----\n${Buffer.from(der).toString('base64')}\n-----END PRIVATE KEY-----\n`

/** A server certificate for 127.0.0.1 and `localhost` unless told otherwise, under a root of its own. */
async function serverIdentity(name: Uint8Array = ipName(127, 0, 0, 1)): Promise<ServerIdentity> {
  const [rootKey, key] = [createNodeKey(), createNodeKey()]
  const rootName = forgeName([CN, 'servers'])
  const times = { notBefore: Date.now() - HOUR_MS, notAfter: Date.now() + DAY_MS }
  const root = parseCertificate(
    await forge({
      ...{ issuer: rootName, subject: rootName, publicKey: rootKey.publicKey, signer: rootKey, ...times },
      extensions: [keyUsage(0x06), basicConstraints(true), subjectKeyId(keyId(1))],
    }),
  )
  const names = altNames(encodeText(0x82, 'localhost'), name)
  const leaf = parseCertificate(
    await forge({
      ...{ issuer: rootName, subject: forgeName([CN, 'server']), publicKey: key.publicKey, signer: rootKey, ...times },
      extensions: [keyUsage(0x80), extKeyUsage(SERVER), basicConstraints(false), authorityKeyId(keyId(1)), names],
    }),
  )
  return { root, key: pemKey(exportPrivateKey(key)), cert: leaf.pem }
}

type Handler = (request: IncomingMessage, response: ServerResponse, body: string) => void

async function listen(server: Server | ReturnType<typeof createTcpServer>): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

async function serve(options: ServerOptions, handle: Handler): Promise<string> {
  const server = createServer(options, (request, response) => {
    let body = ''
    request.setEncoding('utf8')
    request.on('data', (part: string) => {
      body += part
    })
    request.on('end', () => {
      handle(request, response, body)
    })
  })
  const sockets = new Set<TLSSocket>()
  server.on('secureConnection', (socket) => sockets.add(socket))
  server.on('tlsClientError', () => undefined)
  const port = await listen(server)
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return `https://127.0.0.1:${port}/api/v1/cfssl/sign`
}

/** The server's side of the connection that a request came over. */
function socketOf({ socket }: IncomingMessage): TLSSocket {
  if (socket instanceof TLSSocket) return socket
  throw new Error('not over TLS')
}

const asked = (url: string, more: Partial<HttpRequest> = {}): HttpRequest => ({
  url,
  body: new TextEncoder().encode('{"a":"ü"}'),
  deadlineMs: 10_000,
  maxAnswerBytes: 100,
  signal: new AbortController().signal,
  ...more,
})
const textOf = (body: Uint8Array): string => new TextDecoder().decode(body)

async function refusal(promise: Promise<unknown>): Promise<IdentityError> {
  const error: unknown = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  )
  if (error instanceof IdentityError) return error
  throw error instanceof Error ? error : new Error('no refusal')
}

describe('a POST over HTTPS', () => {
  let own: ServerIdentity
  let cluster: TestCluster
  let client: ClientIdentity
  beforeAll(async () => {
    own = await serverIdentity()
    cluster = await testCluster()
    client = await cluster.issue({ role: 'manager' })
  })
  const mutual = (): ServerOptions => ({
    key: own.key,
    cert: own.cert,
    ca: cluster.root.pem,
    requestCert: true,
    rejectUnauthorized: true,
  })
  const open = (): ServerOptions => ({ key: own.key, cert: own.cert })
  const posts = (identity: () => ClientIdentity | null = () => null) =>
    httpsPost({ serverRoots: own.root.pem, identity })

  it('sends JSON as the node that it is, and gives status and body', async () => {
    const seen: unknown[] = []
    const url = await serve(mutual(), (request, response, body) => {
      const socket = socketOf(request)
      const { method, url: path, headers } = request
      seen.push({ method, path, type: headers['content-type'], length: headers['content-length'], body })
      seen.push(socket.getPeerCertificate().subject.OU, socket.getProtocol())
      response.writeHead(418).end('teapot')
    })
    const answer = await posts(() => client).post(asked(url))
    expect([answer.status, textOf(answer.body)]).toEqual([418, 'teapot'])
    const sent = {
      method: 'POST',
      path: '/api/v1/cfssl/sign',
      type: 'application/json',
      length: '10',
      body: '{"a":"ü"}',
    }
    expect(seen).toEqual([sent, 'swarm-manager', 'TLSv1.3'])
  })

  it('shows the identity of the moment, or none', async () => {
    const url = await serve({ ...mutual(), rejectUnauthorized: false }, (request, response) => {
      const { subject } = socketOf(request).getPeerCertificate() as { subject?: { CN: string } }
      response.end(subject?.CN ?? 'nobody')
    })
    const nodes = [await cluster.issue(), await cluster.issue(), null]
    const shown = [...nodes]
    const { post } = posts(() => shown.shift() ?? null)
    for (const node of nodes) expect(textOf((await post(asked(url))).body)).toBe(node?.nodeId ?? 'nobody')
  })

  it('follows no redirection', async () => {
    const target = await serve(open(), (_, response) => response.end('reached'))
    const url = await serve(open(), (_, response) => response.writeHead(307, { location: target }).end())
    expect((await posts().post(asked(url))).status).toBe(307)
  })

  it('reaches a server by its name too', async () => {
    const url = (await serve(open(), (_, response) => response.end('ok'))).replace('127.0.0.1', 'localhost')
    expect((await posts().post(asked(url))).status).toBe(200)
  })

  it('refuses a server under another root, and says nothing to it', async () => {
    const other = await serverIdentity()
    let heard = 0
    const url = await serve({ key: other.key, cert: other.cert }, () => {
      heard += 1
    })
    const error = await refusal(posts().post(asked(url)))
    expect([error.code, error.retryable, heard]).toEqual(['EXTERNAL_CA_UNTRUSTED', false, 0])
  })

  it('refuses a server whose certificate is for another host, and keeps that certificate out of the error', async () => {
    const other = await serverIdentity(ipName(127, 0, 0, 2))
    const url = await serve({ key: other.key, cert: other.cert }, (_, response) => response.end())
    const error = await refusal(httpsPost({ serverRoots: other.root.pem, identity: () => null }).post(asked(url)))
    expect([error.code, error.message.includes('ERR_TLS_CERT_ALTNAME_INVALID')]).toEqual([
      'EXTERNAL_CA_UNTRUSTED',
      true,
    ])
    expect(inspect(error, { depth: 9 })).not.toMatch(/<Buffer|BEGIN/)
  })

  it('has no use for a protocol before TLS 1.2', async () => {
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL@SECLEVEL=0' } as const
    const url = await serve({ ...open(), ...old }, (_, response) => response.end())
    expect((await refusal(posts().post(asked(url)))).code).toBe('EXTERNAL_CA_UNREACHABLE')
  })

  it.each([
    ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'EXTERNAL_CA_REFUSED', false],
    ['ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE', 'EXTERNAL_CA_REFUSED', false],
    ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', 'EXTERNAL_CA_REFUSED', false],
    ['ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED', 'EXTERNAL_CA_REFUSED', false],
    ['ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR', 'EXTERNAL_CA_UNREACHABLE', true],
    ['ECONNRESET', 'EXTERNAL_CA_UNREACHABLE', true],
    [undefined, 'EXTERNAL_CA_UNREACHABLE', true],
  ])('that breaks with %s is %s', (code, expected, retryable) => {
    const broken = Object.assign(new Error('x'), code === undefined ? {} : { code })
    const error = connectionFailure(broken, null)
    expect([error.code, error.retryable, error.cause]).toEqual([expected, retryable, broken])
  })

  it('gets nothing from a server that wants a certificate and sees none', async () => {
    let heard = 0
    const url = await serve(mutual(), (_, response) => {
      heard += 1
      response.end()
    })
    // Whether the alert or the end of the connection arrives first is not for this side to say.
    expect((await refusal(posts().post(asked(url)))).code).toMatch(/^EXTERNAL_CA_(REFUSED|UNREACHABLE)$/)
    expect(heard).toBe(0)
  })

  it('waits for an answer under any deadline, also one that is longer than any timer', async () => {
    const servers = await serverIdentity()
    const url = await serve(servers, (_request, response) => {
      setImmediate(() => response.end('{}'))
    })
    const http = httpsPost({ serverRoots: servers.root.pem, identity: () => null })
    for (const deadlineMs of [2 ** 31, Number.POSITIVE_INFINITY])
      await expect(http.post(asked(url, { deadlineMs }))).resolves.toMatchObject({ status: 200 })
  })

  it('gives up a server that never answers, or never ends, after the deadline', async () => {
    const silent = await serve(open(), () => undefined)
    const endless = await serve(open(), (_, response) => response.write('{'))
    const tcp = createTcpServer()
    const deaf = `https://127.0.0.1:${await listen(tcp)}/sign`
    onTestFinished(() => {
      tcp.close()
    })
    for (const url of [silent, endless, deaf]) {
      const error = await refusal(posts().post(asked(url, { deadlineMs: 150 })))
      expect([error.code, error.retryable]).toEqual(['EXTERNAL_CA_TIMEOUT', true])
    }
  })

  it('gives up when its caller does, with his reason', async () => {
    const controller = new AbortController()
    const reason = { not: 'an error' }
    const url = await serve(open(), () => {
      controller.abort(reason)
    })
    await expect(posts().post(asked(url, { signal: controller.signal }))).rejects.toBe(reason)
    await expect(posts().post(asked(url, { signal: controller.signal }))).rejects.toBe(reason)
  })

  it('reads an answer up to its size, and nothing after it', async () => {
    const url = await serve(open(), (request, response) => {
      const more = (): void => {
        while (response.write('x'.repeat(1000)));
        response.once('drain', more)
      }
      if (request.headers['content-length'] === '0') response.end('x'.repeat(100))
      else more()
    })
    expect((await posts().post(asked(url, { body: new Uint8Array() }))).body).toHaveLength(100)
    const error = await refusal(posts().post(asked(url)))
    expect([error.code, error.retryable]).toEqual(['EXTERNAL_CA_ANSWER_TOO_LARGE', false])
  })

  it('takes no half answer', async () => {
    const url = await serve(open(), (_, response) => {
      response.writeHead(200, { 'content-length': 10 })
      response.write('{}', () => response.socket?.destroy())
    })
    const error = await refusal(posts().post(asked(url)))
    expect([error.code, error.retryable]).toEqual(['EXTERNAL_CA_UNREACHABLE', true])
  })

  it('says of a server that is not there that it may come back', async () => {
    const tcp = createTcpServer()
    const port = await listen(tcp)
    tcp.close()
    await once(tcp, 'close')
    const error = await refusal(posts().post(asked(`https://127.0.0.1:${port}/sign`)))
    expect([error.code, error.retryable]).toEqual(['EXTERNAL_CA_UNREACHABLE', true])
    expect(error.message).toContain('ECONNREFUSED')
  })

  it.each(['http://127.0.0.1:1/sign', 'https://999.1.1.1/sign', 'sign'])('is not sent to %s', async (url) => {
    await expect(posts().post(asked(url))).rejects.toThrowCode('EXTERNAL_CA_URL_INVALID')
  })

  it('keeps a private key that TLS refuses out of the error', async () => {
    const privateKey = Uint8Array.from(Buffer.from('marked-secret-private-key'))
    const broken = posts(() => ({ privateKey, certificateChain: client.certificateChain }))
    const error = await refusal(broken.post(asked('https://127.0.0.1:1/sign')))
    expect(error.code).toBe('PRIVATE_KEY_MALFORMED')
    expect(inspect(error, { depth: 9 })).not.toMatch(/marked|6d 61 72 6b/)
  })
})
