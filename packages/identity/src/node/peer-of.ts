import type { DetailedPeerCertificate, TLSSocket } from 'node:tls'
import { type Certificate, parseCertificate } from '../certificate/certificate.ts'
import { IdentityError } from '../errors.ts'
import type { ClusterId } from '../membership/node-identity.ts'
import type { Digest, SyncSignatureVerifier } from '../ports.ts'
import type { TrustDomain } from '../spiffe/spiffe-id.ts'
import { type PeerIdentity, verifyPeerSync } from '../verifying/verify.ts'
import { systemVerifier } from './signer.ts'
import { systemDigest } from './system.ts'

/** Against what the peer of a connection is verified. */
export interface PeerTrust {
  /** The trusted roots. Pass the same array for as long as trust stays the same: another array is another epoch of trust. */
  readonly roots: readonly Certificate[]
  readonly clusterId: ClusterId
  /** The cluster's own trust domain, for its SPIFFE IDs; see {@link VerifyPeerOptions}. */
  readonly trustDomain?: TrustDomain
  /** The present, epoch milliseconds. */
  readonly now: number
  readonly verifier?: SyncSignatureVerifier
  readonly digest?: Digest
  /** True for an issuing intermediate that was withdrawn; see {@link VerifyPeerOptions}. It is asked at each call, also of what was proven before. */
  readonly isRevokedIssuer?: (issuer: Certificate) => boolean
}

interface Bound {
  readonly chain: readonly Certificate[]
  readonly roots: readonly Certificate[]
  readonly clusterId: ClusterId
  readonly trustDomain: TrustDomain | undefined
  readonly from: number
  readonly to: number
  readonly peer: PeerIdentity
}

const bound = new WeakMap<TLSSocket, Bound>()

/** Leaf, two intermediates and the root, which TLS adds; what comes after belongs to no chain of ours. */
const MAX_PRESENTED = 4

/** The chain as it was presented, leaf first. */
export function presentedChain(first: DetailedPeerCertificate): readonly Certificate[] {
  const chain: Certificate[] = []
  const seen = new Set<object>()
  // A root is its own issuer.
  for (let at: DetailedPeerCertificate | undefined = first; at !== undefined && !seen.has(at); at = issuerOf(at)) {
    if (chain.length === MAX_PRESENTED) {
      throw new IdentityError(
        'PEER_CHAIN_INVALID',
        'peer presents more certificates than a chain of this cluster has; present the chain that was issued',
      )
    }
    seen.add(at)
    chain.push(parseCertificate(at.raw))
  }
  return chain
}

/** Absent at the end of an incomplete chain, whatever the types say. */
const issuerOf = (certificate: DetailedPeerCertificate): DetailedPeerCertificate | undefined =>
  certificate.issuerCertificate

/** `null` without a certificate: Node gives an empty object then, and nothing at all once the connection is gone. */
export function certificateOf(socket: TLSSocket): DetailedPeerCertificate | null {
  const certificate = socket.getPeerCertificate(true) as Partial<DetailedPeerCertificate> | null | undefined
  if (certificate === null || certificate === undefined) {
    throw new IdentityError(
      'PEER_DISCONNECTED',
      'the connection is closed, so who was there cannot be asked any more; drop it',
    )
  }
  return 'raw' in certificate ? (certificate as DetailedPeerCertificate) : null
}

/**
 * Who is at the other end of a TLS connection.
 *
 * Both our own verification of the presented chain and that of TLS must hold. What was proven is bound to the socket, and is given again without
 * work as long as trust is the same and the certificates are valid; an expiry or a changed trust is seen at the next call.
 * Whether the peer may do something is for an {@link Authorizer}.
 *
 * @param socket - A connection whose handshake is complete, of a server made with {@link serverContextOptions} or of a client.
 * @returns The proven identity, or `null` when the peer has shown no certificate.
 * @throws {@link IdentityError} with the codes of {@link verifyPeer} and {@link parseCertificate}, `PEER_UNTRUSTED` if only TLS refuses the chain,
 * `PEER_DISCONNECTED` if the connection is gone. Destroy the socket then.
 */
export function peerOf(socket: TLSSocket, trust: PeerTrust): PeerIdentity | null {
  const {
    roots,
    clusterId,
    trustDomain,
    now,
    verifier = systemVerifier,
    digest = systemDigest,
    isRevokedIssuer,
  } = trust
  const known = bound.get(socket)
  const same = known?.roots === roots && known.clusterId === clusterId && known.trustDomain === trustDomain
  const withdrawn = isRevokedIssuer !== undefined && known?.chain.slice(1).some(isRevokedIssuer) === true
  if (same && !withdrawn && known.from <= now && now <= known.to) return known.peer

  const certificate = certificateOf(socket)
  if (certificate === null) return null
  const chain = presentedChain(certificate)
  const peer = verifyPeerSync(chain, {
    roots,
    clusterId,
    now,
    verifier,
    digest,
    ...(trustDomain === undefined ? {} : { trustDomain }),
    ...(isRevokedIssuer === undefined ? {} : { isRevokedIssuer }),
  })
  if (!socket.authorized) {
    throw new IdentityError(
      'PEER_UNTRUSTED',
      'TLS does not vouch for the certificate of the peer; connect again with a chain to a root of this cluster',
    )
  }
  const all = [...chain, ...roots]
  const from = Math.max(...all.map(({ notBefore }) => notBefore))
  const to = Math.min(...all.map(({ notAfter }) => notAfter))
  bound.set(socket, { chain, roots, clusterId, trustDomain, from, to, peer })
  return peer
}
