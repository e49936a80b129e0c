import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { DEFAULT_LIFETIME_MS, openAuthority, parseCertificate, parseClusterId, parseNodeId } from '@leastwise/identity'
import { createIssuePool, openSigner, systemRandom, systemVerifier } from '@leastwise/identity/node'

/** What cfssl's endpoint for signing takes, as far as a node's certificate needs it. */
export interface SignRequest {
  readonly certificate_request: string
  readonly hosts: readonly string[]
  readonly subject: { readonly CN: string; readonly names: readonly [{ readonly O: string; readonly OU: string }] }
}

/** The CA, as a child process is given it: PEM, and PKCS #8 DER in base64. */
export interface ServerCa {
  readonly certificate: string
  readonly key: string
}

const { certificate, key } = JSON.parse(process.env['BENCH_CA'] ?? '{}') as ServerCa
const authority = await openAuthority(
  { certificate: parseCertificate(certificate), signer: openSigner(Buffer.from(key, 'base64')) },
  { verifier: systemVerifier },
)
// No threads: one core is what there is. What is asked for in one turn is issued together.
const pool = createIssuePool(authority, { workers: 0, random: systemRandom })
const { signal } = new AbortController()

async function sign(body: string): Promise<string> {
  const { certificate_request: csr, subject } = JSON.parse(body) as SignRequest
  const [{ O, OU }] = subject.names
  const grant = {
    nodeId: parseNodeId(subject.CN),
    clusterId: parseClusterId(O),
    role: OU === 'swarm-manager' ? 'manager' : 'worker',
    lifetimeMs: DEFAULT_LIFETIME_MS,
  } as const
  const [result] = await pool.issue([{ csr, grant }], { now: Date.now(), signal })
  if (result?.certificate === undefined) throw result?.error ?? new Error('there is no result')
  return JSON.stringify({ success: true, result: { certificate: result.certificate.pem }, errors: [], messages: [] })
}

// The same protocol as cfssl's server, in a process of its own, so that both can be given the same core.
const server = createServer((request, response) => {
  let body = ''
  request.setEncoding('utf8')
  request.on('data', (part: string) => {
    body += part
  })
  request.on('end', () => {
    sign(body).then(
      (answer) => {
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(answer) })
        response.end(answer)
      },
      () => {
        response.writeHead(400, { 'content-length': 0 })
        response.end()
      },
    )
  })
})
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`)
})
