import { constants, createPrivateKey } from 'node:crypto'
import { type ConnectionOptions, createSecureContext, type SecureContextOptions, type TlsOptions } from 'node:tls'
import { IdentityError } from '../errors.ts'

/** What a node shows in TLS and what it believes there. */
export interface TlsIdentity {
  /** PKCS #8 DER. */
  readonly privateKey: Uint8Array
  /** PEM, leaf first. */
  readonly certificateChain: string
  /** PEM of the roots. */
  readonly trustBundle: string
}

/** The name under which a client expects a manager: `swarm-ca` before it has an identity, `swarm-manager` afterwards (Docker Swarm). */
export type ManagerServerName = 'swarm-ca' | 'swarm-manager'

/** Of TLS 1.2 only what has forward secrecy and authenticates what it encrypts; all of TLS 1.3 has, and goes first. */
const CIPHERS = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_GCM_SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-RSA-CHACHA20-POLY1305',
  'ECDHE-RSA-AES128-GCM-SHA256',
].join(':')

// No session tickets: each connection proves its key and shows its chain afresh, so an eviction needs no ticket keys to be changed,
// and the presented chain (which a ticket does not keep) is always there to be verified.
const SECURE_OPTIONS = constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION

const PROTOCOLS = { minVersion: 'TLSv1.2', ciphers: CIPHERS, secureOptions: SECURE_OPTIONS } as const

/** What is spoken over TLS: HTTP/2 or HTTP/1.1. */
export type AlpnProtocol = 'h2' | 'http/1.1'

/** Only HTTP/2 is spoken, unless the host says otherwise. */
const ALPN_PROTOCOLS: readonly AlpnProtocol[] = ['h2']

function contextOptions({ privateKey, certificateChain, trustBundle }: TlsIdentity): SecureContextOptions {
  let key: string
  try {
    key = createPrivateKey({ key: Buffer.from(privateKey), format: 'der', type: 'pkcs8' })
      .export({ format: 'pem', type: 'pkcs8' })
      .toString()
  } catch {
    throw new IdentityError(
      'PRIVATE_KEY_MALFORMED',
      'private key is not PKCS #8 DER without a password; restore it or make a new one',
    )
  }
  const options: SecureContextOptions = {
    ...PROTOCOLS,
    honorCipherOrder: true,
    key,
    cert: certificateChain,
    ca: trustBundle,
  }
  try {
    createSecureContext(options)
  } catch {
    // No cause: what the library says may quote its input.
    throw new IdentityError(
      'TLS_IDENTITY_INVALID',
      'key, chain and trust bundle do not go together; pass those of one saved identity',
    )
  }
  return options
}

/**
 * Context of a TLS server: what {@link Server.setSecureContext} takes.
 *
 * @throws {@link IdentityError} `PRIVATE_KEY_MALFORMED`, or `TLS_IDENTITY_INVALID` when TLS refuses the parts or the chain is for another key.
 */
export const secureContextOptions = (identity: TlsIdentity): SecureContextOptions => contextOptions(identity)

/**
 * Options of a node's TLS (or secure HTTP/2) server.
 *
 * TLS asks for a client certificate and lets a connection without a good one pass, because a node that joins has none yet: who is there is for
 * {@link peerOf} to say, and a connection for which it throws must be destroyed.
 *
 * @throws {@link IdentityError} `PRIVATE_KEY_MALFORMED`, or `TLS_IDENTITY_INVALID` when TLS refuses the parts or the chain is for another key.
 */
export function serverContextOptions(identity: TlsIdentity): TlsOptions {
  return { ...contextOptions(identity), ...serverChecks() }
}

/**
 * Options of a node's TLS (or HTTP/2) client: the server must show a chain to the trust bundle for `servername`.
 *
 * @throws {@link IdentityError} `PRIVATE_KEY_MALFORMED`, or `TLS_IDENTITY_INVALID` when TLS refuses the parts or the chain is for another key.
 */
export function clientContextOptions(
  identity: TlsIdentity,
  servername: ManagerServerName = 'swarm-manager',
): ConnectionOptions {
  return { ...contextOptions(identity), ...clientChecks(servername) }
}

/**
 * The same for a client that has no identity yet, such as a node that joins.
 *
 * @param trustBundle - PEM of the roots, proven by the join token's digest.
 */
export function anonymousContextOptions(
  trustBundle: string,
  servername: ManagerServerName = 'swarm-ca',
): ConnectionOptions {
  return { ...PROTOCOLS, ca: trustBundle, ...clientChecks(servername) }
}

/** What a server asks for, whatever its identity. */
export const serverChecks = (protocols: readonly AlpnProtocol[] = ALPN_PROTOCOLS): TlsOptions => ({
  requestCert: true,
  rejectUnauthorized: false,
  ALPNProtocols: [...protocols],
})

/** What a client insists on, whatever its identity. */
export const clientChecks = (
  servername: ManagerServerName = 'swarm-manager',
  protocols: readonly AlpnProtocol[] = ALPN_PROTOCOLS,
): ConnectionOptions => ({
  servername,
  rejectUnauthorized: true,
  ALPNProtocols: [...protocols],
})
