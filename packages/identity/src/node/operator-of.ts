import type { TLSSocket, TlsOptions } from 'node:tls'
import type { Certificate } from '../certificate/certificate.ts'
import { IdentityError } from '../errors.ts'
import type { ClusterId } from '../membership/node-identity.ts'
import { type OperatorIdentity, verifyOperator } from '../operator/verify-operator.ts'
import { certificateOf, presentedChain } from './peer-of.ts'
import { systemVerifier } from './signer.ts'
import { systemDigest } from './system.ts'
import { serverContextOptions, type TlsIdentity } from './tls-options.ts'

/** Against what the operator on a connection is verified. */
export interface OperatorTrust {
  readonly roots: readonly Certificate[]
  readonly clusterId: ClusterId
  /** The present, epoch milliseconds. */
  readonly now: number
}

/**
 * Options of a manager's server for operators: TLS ends the handshake of whoever shows no certificate under the roots. That the one shown is an
 * operator's is for {@link operatorOf} to say. An operator's client takes `clientContextOptions`.
 *
 * @throws {@link IdentityError} `PRIVATE_KEY_MALFORMED`, or `TLS_IDENTITY_INVALID` when TLS refuses the parts or the chain is for another key.
 */
export const operatorServerOptions = (identity: TlsIdentity): TlsOptions => ({
  ...serverContextOptions(identity),
  rejectUnauthorized: true,
})

/**
 * Which operator is at the other end of a TLS connection.
 *
 * @param socket - A connection whose handshake is complete, of a server made with {@link operatorServerOptions}.
 * @throws {@link IdentityError} with the codes of {@link verifyOperator} and {@link parseCertificate}, `PEER_CHAIN_INVALID` without a certificate,
 * `PEER_UNTRUSTED` if only TLS refuses the chain, `PEER_DISCONNECTED` if the connection is gone. Destroy the socket then.
 */
export function operatorOf(socket: TLSSocket, { roots, clusterId, now }: OperatorTrust): OperatorIdentity {
  const certificate = certificateOf(socket)
  const chain = certificate === null ? [] : presentedChain(certificate)
  const operator = verifyOperator(chain, { roots, clusterId, now, verifier: systemVerifier, digest: systemDigest })
  if (!socket.authorized) {
    throw new IdentityError(
      'PEER_UNTRUSTED',
      'TLS does not vouch for the certificate of the peer; connect again with a chain to a root of this cluster',
    )
  }
  return operator
}
