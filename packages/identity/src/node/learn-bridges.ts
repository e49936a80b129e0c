import { once } from 'node:events'
import { connect } from 'node:tls'
import type { Certificate } from '../certificate/certificate.ts'
import { IdentityError } from '../errors.ts'
import { type ClusterId, parseNodeSubject } from '../membership/node-identity.ts'
import { selfIssuedBridges } from '../rotation/self-issued-bridges.ts'
import { verifyPeerSync } from '../verifying/verify.ts'
import { certificateOf, presentedChain } from './peer-of.ts'
import { systemVerifier } from './signer.ts'
import { anonymousContextOptions, type ManagerServerName } from './tls-options.ts'

/** Whom to ask, and what is believed already. */
export interface LearnBridgesOptions {
  readonly host: string
  readonly port: number
  readonly servername: ManagerServerName
  /** PEM of the trusted roots. */
  readonly trustBundle: string
  readonly roots: readonly Certificate[]
  /** `null` for a node that joins and will learn it. */
  readonly clusterId: ClusterId | null
  /** The present, epoch milliseconds. */
  readonly now: number
  /** Ends the attempt; there is no other deadline. */
  readonly signal: AbortSignal
}

/**
 * Looks at the chain of a manager that TLS refuses, and gives the cross-signed roots in it that a trusted root has signed: {@link selfIssuedBridges}.
 *
 * The connection carries nothing in either direction and is closed after the handshake; nothing is believed of it but signatures of trusted roots. Whoever answers, a later connection has to pass
 * TLS with what was learned.
 *
 * @returns None when TLS refuses the chain for any other reason.
 * @throws {@link IdentityError} with the codes of {@link verifyPeer} when our own verification refuses it, too, `PEER_WRONG_ROLE` for a peer that is no manager.
 * @throws the reason of `signal`, or the error of the connection.
 */
export async function learnBridges(options: LearnBridgesOptions): Promise<readonly Certificate[]> {
  const { host, port, servername, trustBundle, roots, clusterId, now, signal } = options
  signal.throwIfAborted()
  const socket = connect({
    ...anonymousContextOptions(trustBundle, servername),
    host,
    port,
    // Judged below, before anything is sent.
    rejectUnauthorized: false,
  })
  // Errors after the handshake end nothing that is still wanted.
  socket.on('error', () => undefined)
  try {
    await once(socket, 'secureConnect', { signal })
    const presented = certificateOf(socket)
    const chain = presented === null ? [] : presentedChain(presented)
    const [leaf] = chain
    const peer = verifyPeerSync(chain, {
      roots,
      now,
      clusterId: clusterId ?? parseNodeSubject(leafOf(leaf).subject).clusterId,
      verifier: systemVerifier,
    })
    if (peer.role !== 'manager')
      throw new IdentityError('PEER_WRONG_ROLE', 'the peer is no manager; connect to a manager of the cluster')
    return selfIssuedBridges(chain, { roots, now, verifier: systemVerifier })
  } catch (error) {
    signal.throwIfAborted()
    throw error
  } finally {
    socket.destroy()
  }
}

function leafOf(leaf: Certificate | undefined): Certificate {
  if (leaf === undefined)
    throw new IdentityError('PEER_CHAIN_INVALID', 'the peer presents no certificate; connect to a manager')
  return leaf
}
