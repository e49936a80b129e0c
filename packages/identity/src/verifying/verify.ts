import { formatHex } from '../bytes.ts'
import type { Certificate } from '../certificate/certificate.ts'
import { IdentityError } from '../errors.ts'
import { NODE_RULES } from '../issuing/issuer-rules.ts'
import { type ClusterId, type NodeSubject, parseNodeSubject } from '../membership/node-identity.ts'
import { readNodeNames } from '../membership/node-names.ts'
import type { Digest, SignatureVerifier, SyncSignatureVerifier } from '../ports.ts'
import { spiffeIdWithin } from '../spiffe/signing-rule.ts'
import type { SpiffeId, TrustDomain } from '../spiffe/spiffe-id.ts'
import type { Zone } from '../zone.ts'
import { firstSigned, firstSignedSync, type TrustPath } from './path.ts'
import { checkTime, type PreparedPath, preparePath, provenPath } from './verify-path.ts'

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
  /** The node's SPIFFE ID, when a trust domain was passed and the certificate has one. */
  readonly spiffeId?: SpiffeId
  /** The zone, where the certificate names one. */
  readonly zone?: Zone
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
  /** The cluster's own trust domain. Without it a SPIFFE ID in a certificate is not looked at, and nobody can rely on it. */
  readonly trustDomain?: TrustDomain
  /**
   * True for an issuing intermediate that has been withdrawn, by whatever its issuer keeps: serial number, key identifier, name. It is asked of every
   * intermediate on the way to a root, and what such a one has issued is refused.
   */
  readonly isRevokedIssuer?: (issuer: Certificate) => boolean
}

/** The same with a verifier that answers at once. */
export interface SyncVerifyPeerOptions extends VerifyPeerOptions {
  readonly verifier: SyncSignatureVerifier
}

/**
 * Proves whom a certificate chain speaks for: leaf first, up to two intermediates after it, the root itself tolerated at the end.
 *
 * The profile is closed. The leaf is no CA, may sign and may act as TLS server and client, and has exactly the subject of a node;
 * issuers are CAs that may sign certificates, valid now, within their path length, for these uses and these names; signatures hold up to one of `roots`;
 * nothing critical is left ununderstood. Below an issuer that is bound to names, the names of the leaf are exactly those which follow from its
 * subject, so that what binds the names binds cluster, role and zone. Validity and cluster of the leaf are judged last, so `PEER_EXPIRED` and
 * `PEER_WRONG_CLUSTER` mean that everything before is proven.
 *
 * @throws {@link IdentityError} `PEER_CHAIN_INVALID` for an empty or too long chain, `PEER_PROFILE_INVALID` if the leaf is
 * no node certificate, `PEER_NAMES_INVALID` if its names are malformed or, below an issuer that is bound to names, not those of its subject,
 * `PEER_SUBJECT_INVALID` if its subject is none of a node, `PEER_UNTRUSTED` if no root vouches for
 * it, `PEER_ISSUER_UNFIT` if an issuer on the only ways to a root may not vouch now, `PEER_ISSUER_REVOKED` if it was withdrawn, `PEER_NAMES_FORBIDDEN` if it may not
 * give these names, `PEER_NOT_YET_VALID` and `PEER_EXPIRED` outside its time
 * (both ends belong to it), `PEER_WRONG_CLUSTER` if it is a node of another cluster; with a trust domain, `PEER_SPIFFE_ID_INVALID` and `PEER_WRONG_TRUST_DOMAIN`
 * for a SPIFFE ID that is none, or of another one.
 * @see RFC 5280 section 6.1
 */
export async function verifyPeer(chain: readonly Certificate[], options: VerifyPeerOptions): Promise<PeerIdentity> {
  const prepared = prepare(chain, options)
  return conclude(prepared, await firstSigned(prepared.paths, options.verifier), options)
}

/**
 * {@link verifyPeer} in one go, for a verifier that answers at once.
 *
 * @throws {@link IdentityError} with the codes of {@link verifyPeer}.
 */
export function verifyPeerSync(chain: readonly Certificate[], options: SyncVerifyPeerOptions): PeerIdentity {
  const prepared = prepare(chain, options)
  return conclude(prepared, firstSignedSync(prepared.paths, options.verifier), options)
}

function prepare(
  chain: readonly Certificate[],
  { roots, now, isRevokedIssuer }: VerifyPeerOptions,
): PreparedPath<NodeSubject> {
  const rules = isRevokedIssuer === undefined ? NODE_RULES : { ...NODE_RULES, isRevokedIssuer }
  return preparePath(chain, roots, now, rules, ({ subject }) => parseNodeSubject(subject))
}

function conclude(
  { leaf, identity: subject }: PreparedPath<NodeSubject>,
  path: TrustPath | null,
  { now, clusterId, digest, trustDomain }: VerifyPeerOptions,
): PeerIdentity {
  const zone = zoneOf(leaf, subject, provenPath(path))
  checkTime(leaf, now)
  if (subject.clusterId !== clusterId)
    throw new IdentityError(
      'PEER_WRONG_CLUSTER',
      'peer belongs to another cluster; join this one to get an identity here',
    )
  const spiffeId = trustDomain === undefined ? null : spiffeIdWithin(trustDomain, leaf)
  const { serial, notBefore, notAfter } = leaf
  const { role, nodeId } = subject
  return {
    clusterId,
    role,
    nodeId,
    serial,
    notBefore,
    notAfter,
    ...(spiffeId === null ? {} : { spiffeId }),
    ...(zone === null ? {} : { zone }),
    ...(digest === undefined ? {} : { fingerprint: formatHex(digest.sha256(leaf.der)) }),
  }
}

function zoneOf(leaf: Certificate, subject: NodeSubject, path: TrustPath): Zone | null {
  const named = readNodeNames(leaf.dnsNames, subject)
  const bound = path.some(({ issuer }) => issuer.nameConstraints !== null)
  if (bound && !(named?.qualified === true && leaf.altNames.every(({ kind }) => kind === 'dns' || kind === 'uri'))) {
    // Constraints reach names, not the subject, in most readers. Who says in its subject what its names do not say evades them, and so do
    // names of kinds that no constraint is for.
    throw new IdentityError(
      'PEER_NAMES_INVALID',
      'names of the peer certificate are not those of its subject, which its issuer is bound to; get a certificate that is made for this issuer',
    )
  }
  return named?.zone ?? null
}
