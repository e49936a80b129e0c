import type { TLSSocket } from 'node:tls'
import type { Certificate } from '../certificate/certificate.ts'
import { IdentityError } from '../errors.ts'
import type { Digest, SyncSignatureVerifier } from '../ports.ts'
import { type SvidIdentity, type TrustDomainRoots, verifySvidSync } from '../spiffe/verify-svid.ts'
import { certificateOf, presentedChain } from './peer-of.ts'
import { systemVerifier } from './signer.ts'
import { systemDigest } from './system.ts'

/** Against what the workload at the other end of a connection is verified. */
export interface SvidTrust {
  readonly domains: TrustDomainRoots
  /** The present, epoch milliseconds. */
  readonly now: number
  readonly verifier?: SyncSignatureVerifier
  readonly digest?: Digest
  /** True for an issuing intermediate that was withdrawn; see {@link VerifyPeerOptions}. */
  readonly isRevokedIssuer?: (issuer: Certificate) => boolean
}

/**
 * Which workload is at the other end of a TLS connection, by its X509-SVID.
 *
 * TLS itself believes every root that it was given, for every name; give it those of all trust domains. Here the trust domain that the peer names
 * chooses among them. Both must hold. The whole chain is verified at each call, so keep the result with the connection for as long as trust is the same.
 *
 * @param socket - A connection whose handshake is complete.
 * @returns The proven identity, or `null` when the peer has shown no certificate.
 * @throws {@link IdentityError} with the codes of {@link verifySvid} and {@link parseCertificate}, `PEER_UNTRUSTED` if only TLS refuses the chain,
 * `PEER_DISCONNECTED` if the connection is gone. Destroy the socket then.
 */
export function svidOf(socket: TLSSocket, trust: SvidTrust): SvidIdentity | null {
  const { domains, now, verifier = systemVerifier, digest = systemDigest, isRevokedIssuer } = trust
  const presented = certificateOf(socket)
  if (presented === null) return null
  const chain: readonly Certificate[] = presentedChain(presented)
  const identity = verifySvidSync(chain, {
    domains,
    now,
    verifier,
    digest,
    ...(isRevokedIssuer === undefined ? {} : { isRevokedIssuer }),
  })
  if (!socket.authorized) {
    throw new IdentityError(
      'PEER_UNTRUSTED',
      'TLS does not vouch for the certificate of the peer; connect again with a chain to a root of its trust domain',
    )
  }
  return identity
}
