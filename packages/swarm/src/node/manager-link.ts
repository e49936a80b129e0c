import type { SecureClientSessionOptions } from 'node:http2'
import { isIP } from 'node:net'
import { checkServerIdentity, connect, type PeerCertificate } from 'node:tls'
import { type Client, createClient, type Transport } from '@connectrpc/connect'
import { createGrpcTransport } from '@connectrpc/connect-node'
import { anonymousContextOptions, clientContextOptions } from '@leastwise/identity/node'
import { linkSignals } from '../abortable.ts'
import { formatManagerAddress, parseManagerAddress } from '../agent/address.ts'
import type { NodeCredentials } from '../agent/events.ts'
import { SwarmError } from '../errors.ts'
import { Dispatcher } from '../gen/docker/swarmkit/v1/dispatcher_pb.ts'
import { CA, NodeCA } from '../gen/docker/swarmkit/v1/identity_pb.ts'
import { Evictions } from '../gen/leastwise/v1/evictions_pb.ts'
import { Recovery } from '../gen/leastwise/v1/recovery_pb.ts'
import { answerError } from '../wire/answer.ts'
import { MAX_ANSWER_BYTES, MAX_BOOTSTRAP_ANSWER_BYTES } from '../wire/limits.ts'
import { ClientSession } from './client-session.ts'
import { keptAlive } from './keep-alive.ts'

/** Deadline of a short call, in milliseconds; Docker's nodes wait as long. */
export const CALL_TIMEOUT_MS = 5000

/**
 * What a connection to a manager rests on: nothing yet (only to fetch the bundle whose digest is then checked), the trust
 * bundle, or the node's own identity. `bridges` are cross-signed roots in PEM, proven already, which TLS could not walk by itself.
 */
export type LinkTrust =
  | {
      readonly kind: 'bundle'
      readonly trustBundle: Uint8Array
      readonly bridges?: readonly string[]
      /** When set, the manager must be one of this cluster. */
      readonly clusterId?: string
    }
  | { readonly kind: 'identity'; readonly credentials: NodeCredentials; readonly bridges?: readonly string[] }
  | { readonly kind: 'unverified' }

/** One connection to one manager, opened at the first call. */
export interface ManagerLink extends Disposable {
  readonly ca: Client<typeof CA>
  readonly nodeCa: Client<typeof NodeCA>
  readonly dispatcher: Client<typeof Dispatcher>
  readonly recovery: Client<typeof Recovery>
  readonly evictions: Client<typeof Evictions>
}

/** A chain that verifies may still be that of a node which is no manager, or of another cluster under the same root. */
function checkManager(clusterId: string) {
  return (servername: string, certificate: PeerCertificate): Error | undefined => {
    const mismatch = checkServerIdentity(servername, certificate)
    if (mismatch !== undefined) return mismatch
    const subject = certificate.subject as PeerCertificate['subject'] | undefined
    if (subject?.O === clusterId && subject.OU === 'swarm-manager') return undefined
    return Object.assign(new Error('peer is not a manager of this cluster'), { code: 'PEER_WRONG_CLUSTER' })
  }
}

function sessionOptions(trust: LinkTrust): SecureClientSessionOptions {
  switch (trust.kind) {
    case 'unverified':
      return { minVersion: 'TLSv1.2', ALPNProtocols: ['h2'], rejectUnauthorized: false }
    case 'bundle': {
      const trustBundle = new TextDecoder().decode(trust.trustBundle)
      return {
        ...anonymousContextOptions(trustBundle),
        ca: [trustBundle, ...(trust.bridges ?? [])],
        ...(trust.clusterId === undefined ? {} : { checkServerIdentity: checkManager(trust.clusterId) }),
      }
    }
    case 'identity': {
      const { trustBundle, privateKey, certificateChain, clusterId } = trust.credentials
      const identity = { privateKey, certificateChain, trustBundle: new TextDecoder().decode(trustBundle) }
      return {
        ...clientContextOptions(identity),
        ca: [identity.trustBundle, ...(trust.bridges ?? [])],
        checkServerIdentity: checkManager(clusterId),
      }
    }
  }
}

/**
 * Prepares a connection; nothing is sent before the first call.
 *
 * @throws {@link SwarmError} `ADDRESS_MALFORMED`
 */
export function openManagerLink(address: string, trust: LinkTrust): ManagerLink {
  const where = parseManagerAddress(address)
  const baseUrl = `https://${formatManagerAddress(where)}`
  const options = sessionOptions(trust)
  const servername = isIP(where.host) === 0 ? where.host : ''
  const createConnection = () => keptAlive(connect({ servername, ...options, ...where }))
  const sessionManager = new ClientSession(baseUrl, {}, { ...options, createConnection })
  const transport: Transport = createGrpcTransport({
    baseUrl,
    sessionManager,
    acceptCompression: [],
    readMaxBytes: trust.kind === 'unverified' ? MAX_BOOTSTRAP_ANSWER_BYTES : MAX_ANSWER_BYTES,
  })
  return {
    ca: createClient(CA, transport),
    nodeCa: createClient(NodeCA, transport),
    dispatcher: createClient(Dispatcher, transport),
    recovery: createClient(Recovery, transport),
    evictions: createClient(Evictions, transport),
    [Symbol.dispose]: () => {
      sessionManager.abort(new SwarmError('MANAGER_UNREACHABLE', 'this node closed the connection'))
    },
  }
}

/** Runs one call; a failure becomes a coded error, and an abort the caller's own reason. */
export async function call<T>(
  signal: AbortSignal,
  run: (options: { signal: AbortSignal; timeoutMs: number }) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted()
  try {
    return await run({ signal, timeoutMs: CALL_TIMEOUT_MS })
  } catch (error) {
    signal.throwIfAborted()
    throw answerError(error)
  }
}

/** Passes a stream on, with the same care for its errors. Whoever takes no more of it ends it: Connect's iterables do not, and the manager would go on sending. */
export async function* streamOf<T>(
  signal: AbortSignal,
  open: (options: { signal: AbortSignal }) => AsyncIterable<T>,
): AsyncGenerator<T, void, void> {
  signal.throwIfAborted()
  using stream = linkSignals(signal)
  try {
    yield* open({ signal: stream.signal })
  } catch (error) {
    signal.throwIfAborted()
    throw answerError(error)
  } finally {
    stream.abort(new DOMException('this node takes no more of the stream', 'AbortError'))
  }
}
