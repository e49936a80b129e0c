import { formatHex } from '../bytes.ts'
import type { Certificate } from '../certificate/certificate.ts'
import { CLIENT_AUTH, SERVER_AUTH } from '../certificate/extensions.ts'
import type { Validity } from '../certificate/validity.ts'
import { IdentityError } from '../errors.ts'
import type { PathRules } from '../issuing/issuer-rules.ts'
import type { Digest, SignatureVerifier, SyncSignatureVerifier } from '../ports.ts'
import { firstSigned, firstSignedSync, type TrustPath } from '../verifying/path.ts'
import { checkTime, preparePath, provenPath } from '../verifying/verify-path.ts'
import { mayVouchFor, spiffeIdOfLeaf } from './signing-rule.ts'
import { type SpiffeId, type TrustDomain, trustDomainOf } from './spiffe-id.ts'

/** Whom a verified X509-SVID speaks for. */
export interface SvidIdentity extends Validity {
  readonly spiffeId: SpiffeId
  readonly trustDomain: TrustDomain
  /** The certificate's serial number in lower-case hexadecimal. */
  readonly serial: string
  /** SHA-256 of the certificate in lower-case hexadecimal, when a digest was passed. */
  readonly fingerprint?: string
}

/** Which roots may vouch for which trust domain. */
export interface TrustDomainRoots {
  /** The roots of one trust domain, or `null` when it is not trusted at all. Never those of another one. */
  readonly rootsOf: (trustDomain: TrustDomain) => readonly Certificate[] | null
}

/** Against what an X509-SVID is verified. */
export interface VerifySvidOptions {
  readonly domains: TrustDomainRoots
  /** The present, epoch milliseconds. */
  readonly now: number
  readonly verifier: SignatureVerifier
  /** For {@link SvidIdentity} with a fingerprint. */
  readonly digest?: Digest
  /** True for an issuing intermediate that has been withdrawn; see {@link VerifyPeerOptions}. */
  readonly isRevokedIssuer?: (issuer: Certificate) => boolean
}

/** The same with a verifier that answers at once. */
export interface SyncVerifySvidOptions extends VerifySvidOptions {
  readonly verifier: SyncSignatureVerifier
}

/**
 * Proves whom an X509-SVID speaks for: leaf first, up to two intermediates after it, the root itself tolerated at the end.
 *
 * The trust domain that the leaf names chooses the roots, and no others are tried: a root of one trust domain cannot vouch for a name in
 * another, whatever it signs. The leaf has exactly one URI, a SPIFFE ID with a path; it is no CA, may sign, may not sign certificates or
 * revocation lists, and is for TLS servers and clients. An issuer with a SPIFFE ID has that of the trust domain. Everything else is as strict as {@link verifyPath}.
 *
 * @throws {@link IdentityError} `PEER_CHAIN_INVALID` for an empty or too long chain, `PEER_PROFILE_INVALID` if the leaf is no SVID for use in
 * TLS, `PEER_SPIFFE_ID_INVALID` if it has not exactly one SPIFFE ID of a workload, `PEER_WRONG_TRUST_DOMAIN` if its trust domain is not trusted,
 * `PEER_UNTRUSTED` if no root of that trust domain vouches for it, `PEER_ISSUER_UNFIT` if an issuer may not vouch now or not there, `PEER_ISSUER_REVOKED`,
 * `PEER_NAMES_INVALID` and `PEER_NAMES_FORBIDDEN` as {@link verifyPath},
 * `PEER_NOT_YET_VALID` and `PEER_EXPIRED` outside its time (both ends belong to it).
 * @see X509-SVID section 5
 */
export async function verifySvid(chain: readonly Certificate[], options: VerifySvidOptions): Promise<SvidIdentity> {
  const prepared = prepare(chain, options)
  return conclude(prepared, await firstSigned(prepared.paths, options.verifier), options)
}

/**
 * {@link verifySvid} in one go, for a verifier that answers at once.
 *
 * @throws {@link IdentityError} with the codes of {@link verifySvid}.
 */
export function verifySvidSync(chain: readonly Certificate[], options: SyncVerifySvidOptions): SvidIdentity {
  const prepared = prepare(chain, options)
  return conclude(prepared, firstSignedSync(prepared.paths, options.verifier), options)
}

interface Prepared {
  readonly leaf: Certificate
  readonly spiffeId: SpiffeId
  readonly paths: readonly TrustPath[]
}

// A workload is server and client (X509-SVID section 4.4). The standard asks for no key identifiers.
const RULES: PathRules = { purposes: [SERVER_AUTH, CLIENT_AUTH], keyIdentifiers: 'optional' }

function prepare(chain: readonly Certificate[], { domains, now, isRevokedIssuer }: VerifySvidOptions): Prepared {
  const [first] = chain
  if (first === undefined)
    throw new IdentityError('PEER_CHAIN_INVALID', 'peer presents no certificate; present the chain that was issued')
  const spiffeId = spiffeIdOfLeaf(first)
  if (spiffeId === null) {
    throw new IdentityError(
      'PEER_SPIFFE_ID_INVALID',
      'peer certificate names no uri; present an x509-svid with the spiffe id of one workload',
    )
  }
  const domain = trustDomainOf(spiffeId)
  const roots = domains.rootsOf(domain)
  if (roots === null) {
    throw new IdentityError(
      'PEER_WRONG_TRUST_DOMAIN',
      'trust domain of the peer is not trusted here; federate with it first, or present an svid of a trusted one',
    )
  }
  const rules = isRevokedIssuer === undefined ? RULES : { ...RULES, isRevokedIssuer }
  const { leaf, paths } = preparePath(chain, roots, now, rules, checkLeaf)
  const fit = paths.filter((path) => path.every(({ issuer }) => mayVouchFor(domain, issuer)))
  if (fit.length === 0) {
    throw new IdentityError(
      'PEER_ISSUER_UNFIT',
      'an issuer of the peer certificate has a spiffe id other than that of the trust domain; issue from a ca of that trust domain',
    )
  }
  return { leaf, spiffeId, paths: fit }
}

/** X509-SVID sections 4.3 and 5.2, beyond what holds for every leaf. */
function checkLeaf({ keyUsage }: Certificate): void {
  if (keyUsage?.includes('cRLSign') === true) {
    throw new IdentityError(
      'PEER_PROFILE_INVALID',
      'peer certificate may sign revocation lists; present the x509-svid of a workload',
    )
  }
}

function conclude(
  { leaf, spiffeId }: Prepared,
  path: TrustPath | null,
  { now, digest }: VerifySvidOptions,
): SvidIdentity {
  provenPath(path)
  checkTime(leaf, now)
  const { serial, notBefore, notAfter } = leaf
  const identity = { spiffeId, trustDomain: trustDomainOf(spiffeId), serial, notBefore, notAfter }
  return digest === undefined ? identity : { ...identity, fingerprint: formatHex(digest.sha256(leaf.der)) }
}
