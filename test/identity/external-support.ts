import { generateKeyPairSync } from 'node:crypto'
import {
  type Certificate,
  type Grant,
  type HttpPost,
  type HttpRequest,
  parseCertificate,
  parseCfsslUrl,
  type Signer,
  type SigningOptions,
} from '@leastwise/identity'
import { createNodeKey, openSigner } from '@leastwise/identity/node'
import { encodeElement, encodeSequence, encodeText } from '../../packages/identity/src/der/writer.ts'
import { testClusterId, testNodeId } from '../support/test-authority.ts'
import {
  authorityKeyId,
  basicConstraints,
  CLIENT,
  CN,
  extKeyUsage,
  type ForgedExtension,
  type Forgery,
  forge,
  forgeName,
  keyUsage,
  O,
  OU,
  SERVER,
  subjectKeyId,
} from './forge.ts'

export const NOW = Date.UTC(2026, 10, 21, 12, 0, 20)
export const MINUTE_MS = 60_000
export const HOUR_MS = 60 * MINUTE_MS
export const DAY_MS = 24 * HOUR_MS

export const URL_1 = parseCfsslUrl('https://ca-1.example:8888/api/v1/cfssl/sign')
export const URL_2 = parseCfsslUrl('https://ca-2.example:8888/api/v1/cfssl/sign')

export const grantOf = (more: Partial<Grant> = {}): Grant => ({
  nodeId: testNodeId(7),
  clusterId: testClusterId(3),
  role: 'worker',
  lifetimeMs: 90 * DAY_MS,
  ...more,
})

export const asking = (more: Partial<SigningOptions> = {}): SigningOptions => ({
  now: NOW,
  signal: new AbortController().signal,
  ...more,
})

/** What the protocol's request says. */
export interface Asked {
  readonly hosts: readonly string[]
  readonly certificate_request: string
  readonly subject: { readonly CN: string; readonly names: readonly Readonly<Record<string, string>>[] }
  readonly profile: string
  readonly label: string
  readonly NotBefore: string
  readonly NotAfter: string
  readonly extensions?: readonly { readonly id: string; readonly critical: boolean; readonly value: string }[]
}

/** The members of a subject alternative name: DNS names, or whole elements of another kind. */
export const altNames = (...names: readonly (string | Uint8Array)[]): ForgedExtension => ({
  type: '2.5.29.17',
  value: encodeSequence(...names.map((name) => (typeof name === 'string' ? encodeText(0x82, name) : name))),
})
export const ipName = (...address: readonly number[]): Uint8Array => encodeElement(0x87, Uint8Array.from(address))
export const uriName = (uri: string): Uint8Array => encodeText(0x86, uri)

const TYPES: Readonly<Record<string, string>> = { O, OU, CN, C: '2.5.4.6', ST: '2.5.4.8', L: '2.5.4.7' }

export const keyId = (number: number): Uint8Array => new Uint8Array(20).fill(number)

/** An external CA in memory: a root, its key, and how it signs. */
export interface FakeCa {
  readonly root: Certificate
  readonly signer: Signer
  /** Signs as a stock server would; `bend` changes what it signs. */
  readonly sign: (asked: Asked, publicKey: Uint8Array, bend?: Bend) => Promise<Certificate>
}

export type Bend = (forgery: Forgery, asked: Asked) => Forgery

export interface FakeCaOptions {
  readonly number?: number
  readonly keys?: 'p256' | 'rsa'
  readonly lifetimeMs?: number
}

export const rsaSigner = (): Signer =>
  openSigner(
    generateKeyPairSync('rsa', {
      modulusLength: 2048,
      publicKeyEncoding: { format: 'der', type: 'spki' },
      privateKeyEncoding: { format: 'der', type: 'pkcs8' },
    }).privateKey,
  )

/** A self-signed root named `ca-NUMBER`, whose key identifier is filled with the number. */
export async function fakeRoot(number: number, signer: Signer, lifetimeMs = 20 * 365 * DAY_MS): Promise<Certificate> {
  const name = forgeName([CN, `ca-${number}`])
  return parseCertificate(
    await forge({
      issuer: name,
      subject: name,
      publicKey: signer.publicKey,
      signer,
      notBefore: NOW - HOUR_MS,
      notAfter: NOW + lifetimeMs,
      extensions: [keyUsage(0x06), basicConstraints(true), subjectKeyId(keyId(number))],
    }),
  )
}

/** Rounded to the minute and five minutes back, as the stock server does it. */
const begins = (): number => Math.round(NOW / MINUTE_MS) * MINUTE_MS - 5 * MINUTE_MS

export async function fakeCa(options: FakeCaOptions = {}): Promise<FakeCa> {
  const { number = 1, keys = 'p256' } = options
  let issued = 0
  const signer = keys === 'rsa' ? rsaSigner() : createNodeKey()
  const root = await fakeRoot(number, signer, options.lifetimeMs)
  return {
    root,
    signer,
    sign: async (asked, publicKey, bend = (forgery) => forgery) => {
      const ca = asked.profile === 'CA'
      const names = asked.subject.names.flatMap((name) => Object.entries(name))
      const common = [...names, ['CN', asked.subject.CN]] as const
      issued += 1
      const forgery: Forgery = {
        serial: Uint8Array.of(0x4a, issued),
        issuer: root.subject.der,
        subject: forgeName(...common.map(([field, value]) => [TYPES[field]!, value] as const)),
        publicKey,
        signer,
        notBefore: begins(),
        notAfter: begins() + 90 * DAY_MS,
        extensions: [
          ...(ca
            ? [keyUsage(0x06), basicConstraints(true)]
            : [keyUsage(0xa0), extKeyUsage(SERVER, CLIENT), basicConstraints(false)]),
          ...(asked.hosts.length > 0 ? [altNames(...asked.hosts)] : []),
          subjectKeyId(keyId(ca ? 2 : 9)),
          authorityKeyId(keyId(number)),
        ],
      }
      return parseCertificate(await forge(bend(forgery, asked)))
    },
  }
}

/** Replaces or adds extensions of the same types. */
export const withExtensions =
  (...extensions: readonly ForgedExtension[]): Bend =>
  (forgery) => ({
    ...forgery,
    extensions: [
      ...forgery.extensions.filter(({ type }) => !extensions.some((one) => one.type === type)),
      ...extensions,
    ],
  })

export const withoutExtension =
  (type: string): Bend =>
  (forgery) => ({ ...forgery, extensions: forgery.extensions.filter((one) => one.type !== type) })

export const answerOf = (value: unknown, status = 200) => ({
  status,
  body: new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value)),
})

export const goodAnswer = (certificate: Certificate) =>
  answerOf({ success: true, result: { certificate: certificate.pem }, errors: [], messages: [] })

export const askedOf = (body: Uint8Array): Asked => JSON.parse(new TextDecoder().decode(body)) as Asked

/** A server in memory that remembers what it was asked. */
export interface FakeServer extends HttpPost {
  readonly asked: HttpRequest[]
}

export function fakeServer(reply: (request: HttpRequest) => ReturnType<HttpPost['post']>): FakeServer {
  const asked: HttpRequest[] = []
  return {
    asked,
    post: async (request) => {
      asked.push(request)
      return await reply(request)
    },
  }
}
