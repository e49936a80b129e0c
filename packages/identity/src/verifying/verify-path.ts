import { equalBytes } from '../bytes.ts'
import type { AltName } from '../certificate/alt-names.ts'
import type { Certificate } from '../certificate/certificate.ts'
import { IdentityError } from '../errors.ts'
import type { PathRules } from '../issuing/issuer-rules.ts'
import { checkLeaf, checkNames } from '../issuing/leaf-rules.ts'
import type { SignatureVerifier, SyncSignatureVerifier } from '../ports.ts'
import { MAX_CHAIN_CERTIFICATES } from './chain.ts'
import { findPaths, firstSigned, firstSignedSync, type TrustPath } from './path.ts'

/** Against what a chain is verified when its leaf need not be a node of a cluster. */
export interface VerifyPathOptions extends PathRules {
  /** Roots: self-signed, and trusted because the caller says so. */
  readonly roots: readonly Certificate[]
  /** The present, epoch milliseconds. */
  readonly now: number
  /** Object identifiers of the uses that the leaf must be for, and that every issuer which names uses must name too. At least one. */
  readonly purposes: readonly string[]
  /** Names that the leaf must bear, all of them. Without this the caller judges by itself what the proven leaf is called. */
  readonly names?: readonly AltName[]
  readonly verifier: SignatureVerifier
}

/** The same with a verifier that answers at once. */
export interface SyncVerifyPathOptions extends VerifyPathOptions {
  readonly verifier: SyncSignatureVerifier
}

/** A chain whose every signature holds. */
export interface VerifiedPath {
  readonly leaf: Certificate
  /** From the issuer of the leaf up to the root, which is the last. */
  readonly issuers: readonly Certificate[]
}

/** A chain of which all but the signatures holds, and whom its leaf claims to be. */
export interface PreparedPath<Identity> {
  readonly leaf: Certificate
  readonly identity: Identity
  readonly paths: readonly TrustPath[]
}

/** Everything that needs no signature. */
export function preparePath<Identity>(
  chain: readonly Certificate[],
  roots: readonly Certificate[],
  now: number,
  rules: PathRules,
  identityOf: (leaf: Certificate) => Identity,
): PreparedPath<Identity> {
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
  checkLeaf(leaf, rules)
  const identity = identityOf(leaf)
  return { leaf, identity, paths: findPaths(presented, roots, now, rules) }
}

/**
 * Proves a chain against the closed profile, whoever its leaf is: leaf first, up to two intermediates after it in their order, the root itself tolerated at the end.
 * {@link verifyPeer} is this with the rules for nodes of a cluster.
 *
 * Closed means that what is not known to be harmless is refused: `docs/path-validation.md` has the list. Revocation is the caller's (`isRevokedIssuer`, and an
 * authorizer for the leaf); no list of revoked certificates is read.
 *
 * @returns The leaf and the issuers that vouch for it.
 * @throws {@link IdentityError} `PEER_CHAIN_INVALID`, `PEER_PROFILE_INVALID`, `PEER_UNTRUSTED`, `PEER_ISSUER_UNFIT`, `PEER_ISSUER_REVOKED`, `PEER_NAMES_FORBIDDEN`,
 * `PEER_NOT_YET_VALID` and `PEER_EXPIRED` as {@link verifyPeer}; `PEER_NAMES_INVALID` if a name of the leaf is malformed or one of `names` is missing.
 * @throws RangeError without a purpose.
 * @see RFC 5280 section 6.1
 */
export async function verifyPath(chain: readonly Certificate[], options: VerifyPathOptions): Promise<VerifiedPath> {
  const prepared = prepare(chain, options)
  return conclude(prepared.leaf, await firstSigned(prepared.paths, options.verifier), options.now)
}

/**
 * {@link verifyPath} in one go, for a verifier that answers at once.
 *
 * @throws {@link IdentityError} with the codes of {@link verifyPath}.
 */
export function verifyPathSync(chain: readonly Certificate[], options: SyncVerifyPathOptions): VerifiedPath {
  const prepared = prepare(chain, options)
  return conclude(prepared.leaf, firstSignedSync(prepared.paths, options.verifier), options.now)
}

function prepare(chain: readonly Certificate[], options: VerifyPathOptions): PreparedPath<null> {
  const { roots, now, purposes, names } = options
  if (purposes.length === 0) throw new RangeError('purposes must name at least one use')
  return preparePath(chain, roots, now, options, (leaf) => {
    if (names !== undefined) checkNames(leaf, names)
    return null
  })
}

function conclude(leaf: Certificate, path: TrustPath | null, now: number): VerifiedPath {
  const proven = provenPath(path)
  checkTime(leaf, now)
  return { leaf, issuers: proven.map(({ issuer }) => issuer) }
}

/** The path, if there is one. */
export function provenPath(path: TrustPath | null): TrustPath {
  if (path !== null) return path
  throw new IdentityError(
    'PEER_UNTRUSTED',
    'no root of the trust bundle vouches for the peer certificate; present a chain that ends at a root of this cluster',
  )
}

/** Both ends of the validity belong to it. */
export function checkTime(leaf: Certificate, now: number): void {
  if (now < leaf.notBefore)
    throw new IdentityError('PEER_NOT_YET_VALID', 'peer certificate is not valid yet; compare the clocks of both sides')
  if (now > leaf.notAfter) throw new IdentityError('PEER_EXPIRED', 'peer certificate has expired; renew it')
}
