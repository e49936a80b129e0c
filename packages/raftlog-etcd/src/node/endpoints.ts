import type { SecureClientSessionOptions } from 'node:http2'
import { type Client, createClient } from '@connectrpc/connect'
import { createGrpcTransport } from '@connectrpc/connect-node'
import { EtcdLogError } from '../errors.ts'
import { KV, Lease, Watch } from '../gen/etcdserverpb/rpc_pb.ts'
import { ClientSession } from './client-session.ts'
import { connectWithin } from './connecting.ts'

/** Allows addresses that begin with `http:`. */
export const allowClearText: unique symbol = Symbol('leastwise: allow clear text')

/** How to reach etcd. */
export interface EtcdClientOptions {
  /** Addresses of its members, `https://host:port`, asked in this order. */
  readonly endpoints: readonly string[]
  /** Certificates, as PEM. */
  readonly tls?: {
    /** Roots that the members' certificates must chain to. */
    readonly trustBundle: string
    /** This manager's certificate, with what leads to the root that etcd trusts. */
    readonly certificateChain: string
    readonly privateKey: string
    /** Name that the members' certificates must bear, the host of each address unless given. */
    readonly serverName?: string
  }
  /** Time for one call at one member, 2 s unless given. */
  readonly callTimeoutMs?: number
  /** **Warning**: without TLS everybody on the way can keep managers from writing, and choose what they read of the past. */
  readonly [allowClearText]?: true
}

/** One member of etcd; connected to at the first call. */
export interface Endpoint extends Disposable {
  readonly kv: Client<typeof KV>
  readonly watch: Client<typeof Watch>
  readonly lease: Client<typeof Lease>
}

/** Largest answer: some of the largest frames, or four chunks of a snapshot. */
const MAX_ANSWER_BYTES: number = 16 * 1024 * 1024
/** Time for one call, or to connect, unless something else is asked for. */
export const CALL_TIMEOUT_MS = 2000
// etcd cuts off clients that ask more often than every 5 s whether it is there.
const PING_INTERVAL_MS = 6000
const PING_TIMEOUT_MS = 3000

function checkedUrl(text: string, options: EtcdClientOptions): string {
  let url: URL
  try {
    url = new URL(text)
  } catch {
    throw new TypeError('an endpoint must be an address like https://host:2379')
  }
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && options[allowClearText] === true)) {
    throw new TypeError('an endpoint must begin with https')
  }
  if (url.protocol === 'https:' && options.tls === undefined) throw new TypeError('tls must be given')
  return url.origin
}

function session({ tls, callTimeoutMs }: EtcdClientOptions, https: boolean): SecureClientSessionOptions {
  const limitMs = callTimeoutMs ?? CALL_TIMEOUT_MS
  const secured = https && tls !== undefined ? secure(tls) : {}
  return { ...secured, createConnection: connectWithin(limitMs, secured) }
}

function secure(tls: NonNullable<EtcdClientOptions['tls']>): SecureClientSessionOptions {
  const { trustBundle, certificateChain, privateKey, serverName } = tls
  return {
    ca: trustBundle,
    cert: certificateChain,
    key: privateKey,
    minVersion: 'TLSv1.2',
    ALPNProtocols: ['h2'],
    ...(serverName === undefined ? {} : { servername: serverName }),
  }
}

/**
 * @throws TypeError if an address is none, or if it is not protected.
 */
export function openEndpoints(options: EtcdClientOptions): readonly Endpoint[] {
  if (options.endpoints.length === 0) throw new TypeError('endpoints must name at least one member of etcd')
  return options.endpoints.map((text) => {
    const baseUrl = checkedUrl(text, options)
    const sessionManager = new ClientSession(
      baseUrl,
      { pingIntervalMs: PING_INTERVAL_MS, pingTimeoutMs: PING_TIMEOUT_MS },
      session(options, baseUrl.startsWith('https:')),
    )
    const transport = createGrpcTransport({
      baseUrl,
      sessionManager,
      acceptCompression: [],
      readMaxBytes: MAX_ANSWER_BYTES,
    })
    return {
      kv: createClient(KV, transport),
      watch: createClient(Watch, transport),
      lease: createClient(Lease, transport),
      [Symbol.dispose]: () => {
        sessionManager.abort(new EtcdLogError('ETCD_UNREACHABLE', 'this manager closed the connection'))
      },
    }
  })
}
