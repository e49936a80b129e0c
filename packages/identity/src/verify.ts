import { equalBytes, formatHex } from './bytes.ts'
import type { Certificate } from './certificate.ts'
import { MAX_CHAIN_CERTIFICATES } from './chain.ts'
import { IdentityError } from './errors.ts'
import { CLIENT_AUTH, SERVER_AUTH } from './extensions.ts'
import { type ClusterId, type NodeSubject, parseNodeSubject } from './node-identity.ts'
import { findPaths, type TrustPath } from './path.ts'
import type { Digest, SignatureVerifier, SyncSignatureVerifier } from './ports.ts'

/** Whom a verified certificate speaks for. */
export interface PeerIdentity extends NodeSubject {
  /** The certificate's serial number in lower-case hexadecimal. */
  readonly serial: string
  /** First instant of validity, epoch milliseconds. */
  readonly notBefore: number
  /** Last instant of validity, epoch milliseconds. */
  readonly notAfter: number
  /** SHA-256 of the certificate in lower-case hexadecimal, when a digest was passed. */
  readonly fingerprint?: string
}

/** Against what a peer is verified. */
export interface VerifyPeerOptions {
  /** The roots of the cluster's trust bundle. */
  readonly roots: readonly Certificate[]
  /** The present, epoch milliseconds. */
  readonly now: number
  /** The one cluster whose nodes are peers. */
  readonly clusterId: ClusterId
  readonly verifier: SignatureVerifier
  /** For {@link PeerIdentity} with a fingerprint. */
  readonly digest?: Digest
}

/** The same with a verifier that answers at once. */
export interface SyncVerifyPeerOptions extends VerifyPeerOptions {
  readonly verifier: SyncSignatureVerifier
}

/**
 * Proves whom a certificate chain speaks for: leaf first, up to two intermediates after it, the root itself tolerated at the end.
 *
 * The profile is closed. The leaf is no CA, may sign and may act as TLS server and client, and has exactly the subject of a node;
 * issuers are CAs that may sign certificates, valid now, within their path length; signatures hold up to one of `roots`;
 * nothing critical is left ununderstood. Validity and cluster of the leaf are judged last, so `PEER_EXPIRED` and
 * `PEER_WRONG_CLUSTER` mean that everything before is proven.
 *
 * @throws {@link IdentityError} `PEER_CHAIN_INVALID` for an empty or too long chain, `PEER_PROFILE_INVALID` if the leaf is
 * no node certificate, `PEER_SUBJECT_INVALID` if its subject is none of a node, `PEER_UNTRUSTED` if no root vouches for
 * it, `PEER_ISSUER_UNFIT` if an issuer on the only ways to a root may not vouch now, `PEER_NOT_YET_VALID` and `PEER_EXPIRED` outside its time
 * (both ends belong to it), `PEER_WRONG_CLUSTER` if it is a node of another cluster.
 * @see RFC 5280 section 6.1
 */
export async function verifyPeer(chain: readonly Certificate[], options: VerifyPeerOptions): Promise<PeerIdentity> {
  const { leaf, subject, paths } = prepare(chain, options)
  for (const path of paths) {
    let proven = true
    for (const { certificate, issuer } of path) {
      proven &&= await options.verifier.verify(
        issuer,
        certificate.signatureAlgorithm,
        certificate.tbs,
        certificate.signature,
      )
    }
    if (proven) return conclude(leaf, subject, options)
  }
  throw untrusted()
}

/**
 * {@link verifyPeer} in one go, for a verifier that answers at once.
 *
 * @throws {@link IdentityError} with the codes of {@link verifyPeer}.
 */
export function verifyPeerSync(chain: readonly Certificate[], options: SyncVerifyPeerOptions): PeerIdentity {
  const { leaf, subject, paths } = prepare(chain, options)
  const proven = paths.some((path) =>
    path.every(({ certificate, issuer }) =>
      options.verifier.verify(issuer, certificate.signatureAlgorithm, certificate.tbs, certificate.signature),
    ),
  )
  if (!proven) throw untrusted()
  return conclude(leaf, subject, options)
}

interface Prepared {
  readonly leaf: Certificate
  readonly subject: NodeSubject
  readonly paths: readonly TrustPath[]
}

function prepare(chain: readonly Certificate[], { roots, now }: VerifyPeerOptions): Prepared {
  const top = chain[chain.length - 1]
  const presented =
    chain.length > 1 && top !== undefined && roots.some(({ der }) => equalBytes(der, top.der))
      ? chain.slice(0, -1)
      : chain
  const leaf = presented[0]
  if (leaf === undefined || presented.length > MAX_CHAIN_CERTIFICATES) {
    throw new IdentityError(
      'PEER_CHAIN_INVALID',
      'peer presents no certificate or more than a leaf and two intermediates; present the chain that was issued',
    )
  }
  checkLeaf(leaf)
  return { leaf, subject: parseNodeSubject(leaf.subject), paths: findPaths(presented, roots, now) }
}

function checkLeaf(leaf: Certificate): void {
  const problem = leaf.isCa
    ? 'is of a CA'
    : leaf.unknownCritical.length > 0
      ? 'has a critical extension that is not understood'
      : leaf.keyUsage?.includes('digitalSignature') !== true || leaf.keyUsage.includes('keyCertSign')
        ? 'has other key usages than a node needs'
        : leaf.extKeyUsage?.includes(CLIENT_AUTH) !== true || !leaf.extKeyUsage.includes(SERVER_AUTH)
          ? 'is not for TLS servers and clients'
          : null
  if (problem !== null) {
    throw new IdentityError(
      'PEER_PROFILE_INVALID',
      `peer certificate ${problem}; present a certificate that the cluster issued to a node`,
    )
  }
}

const untrusted = (): IdentityError =>
  new IdentityError(
    'PEER_UNTRUSTED',
    'no root of the trust bundle vouches for the peer certificate; present a chain that ends at a root of this cluster',
  )

function conclude(
  leaf: Certificate,
  subject: NodeSubject,
  { now, clusterId, digest }: VerifyPeerOptions,
): PeerIdentity {
  if (now < leaf.notBefore)
    throw new IdentityError('PEER_NOT_YET_VALID', 'peer certificate is not valid yet; compare the clocks of both sides')
  if (now > leaf.notAfter) throw new IdentityError('PEER_EXPIRED', 'peer certificate has expired; renew it')
  if (subject.clusterId !== clusterId)
    throw new IdentityError(
      'PEER_WRONG_CLUSTER',
      'peer belongs to another cluster; join this one to get an identity here',
    )
  const { serial, notBefore, notAfter } = leaf
  const { role, nodeId } = subject
  const identity = { clusterId, role, nodeId, serial, notBefore, notAfter }
  return digest === undefined ? identity : { ...identity, fingerprint: formatHex(digest.sha256(leaf.der)) }
}
