import { equalBytes } from '../bytes.ts'
import { type Certificate, couldSign } from '../certificate/certificate.ts'
import { IdentityError } from '../errors.ts'
import { isFitIntermediate, isFitRoot, isSelfIssued, type PathRules } from '../issuing/issuer-rules.ts'
import type { SignatureVerifier, SyncSignatureVerifier } from '../ports.ts'
import { isPermitted } from './name-constraints-match.ts'

/** One signature to check: did `issuer` sign `certificate`? */
export interface Link {
  readonly certificate: Certificate
  readonly issuer: Certificate
}

/** A way from a leaf to a root; all its signatures must hold. */
export type TrustPath = readonly Link[]

// Who verifies what came from elsewhere asks for no purposes of the issuers, and Docker's cross-signed roots name no key.
const DEFAULT_RULES: PathRules = { keyIdentifiers: 'optional' }

type Problem = 'PEER_ISSUER_UNFIT' | 'PEER_ISSUER_REVOKED' | 'PEER_NAMES_FORBIDDEN'

const PROBLEMS: Readonly<Record<Problem, string>> = {
  PEER_ISSUER_UNFIT:
    'an issuer of the peer certificate may not vouch for it now; renew the issuer or present its current chain',
  PEER_ISSUER_REVOKED:
    'an issuer of the peer certificate was withdrawn; get a certificate from another manager of the cluster',
  PEER_NAMES_FORBIDDEN:
    'an issuer of the peer certificate may not give it its names; get a certificate from an issuer for this cluster, role and zone',
}

/**
 * The ways from the first certificate of `chain` to a root for which everything but the signatures holds, shortest first.
 *
 * While a root rotates, a leaf may hang on the new root and, through its cross-signed twin, on the old one; and both
 * roots may bear the same name. So there may be several ways, and signatures decide.
 *
 * @throws {@link IdentityError} `PEER_UNTRUSTED` if names and key identifiers lead to no root; if they do, what stands in the shortest way: `PEER_ISSUER_REVOKED`
 * for an intermediate that was withdrawn, `PEER_NAMES_FORBIDDEN` for names that an issuer may not give, `PEER_ISSUER_UNFIT` for an issuer that may not vouch at `now`.
 */
export function findPaths(
  chain: readonly Certificate[],
  roots: readonly Certificate[],
  now: number,
  rules: PathRules = DEFAULT_RULES,
): readonly TrustPath[] {
  const paths: TrustPath[] = []
  const below: Link[] = []
  let problem: Problem | null = null
  for (const [index, certificate] of chain.entries()) {
    for (const issuer of roots) {
      if (!names(certificate, issuer)) continue
      const path = [...below, { certificate, issuer }]
      const found = problemOf(path, now, rules)
      if (found === null) paths.push(path)
      else problem ??= found
    }
    const upper = chain[index + 1]
    if (upper === undefined || !names(certificate, upper)) break
    below.push({ certificate, issuer: upper })
  }
  if (paths.length > 0) return paths
  if (problem !== null) throw new IdentityError(problem, PROBLEMS[problem])
  throw new IdentityError(
    'PEER_UNTRUSTED',
    'peer certificate was issued under no root of the trust bundle; present a chain that ends at a root of this cluster',
  )
}

/** Name and key identifier say that `issuer` may have signed `certificate` (RFC 5280 sections 4.2.1.1 and 6.1.3). */
function names(certificate: Certificate, issuer: Certificate): boolean {
  if (!equalBytes(certificate.issuer.der, issuer.subject.der) || !couldSign(issuer, certificate)) return false
  const { authorityKeyId } = certificate
  return authorityKeyId === null || issuer.subjectKeyId === null || equalBytes(authorityKeyId, issuer.subjectKeyId)
}

/**
 * True for the twin of a root that another root has signed: it bears the name of its issuer, and does not count against a path length or stand under
 * constraints on names (RFC 5280 section 6.1). Further down nothing of that kind has a purpose, and a CA below an intermediate is one whatever it is called.
 */
const isTwin = (path: TrustPath, depth: number): boolean => {
  const link = path[depth]
  return depth > 0 && depth === path.length - 1 && link !== undefined && isSelfIssued(link.certificate)
}

/** RFC 5280 section 6.1.4, from the leaf up. */
function problemOf(path: TrustPath, now: number, rules: PathRules): Problem | null {
  const { maxIntermediates = path.length, isRevokedIssuer } = rules
  let counted = 0
  let named = true
  for (const [depth, { issuer }] of path.entries()) {
    if (depth > 0 && !isTwin(path, depth)) counted += 1
    const isRoot = depth === path.length - 1
    if (!(isRoot ? isFitRoot(issuer, now, rules) : isFitIntermediate(issuer, now, rules))) return 'PEER_ISSUER_UNFIT'
    if ((issuer.pathLength !== null && counted > issuer.pathLength) || counted > maxIntermediates)
      return 'PEER_ISSUER_UNFIT'
    if (!isRoot && isRevokedIssuer?.(issuer) === true) return 'PEER_ISSUER_REVOKED'
    named &&= keepsNames(path, depth)
  }
  return named ? null : 'PEER_NAMES_FORBIDDEN'
}

/** The names of everything below the issuer at `depth` are within its constraints. */
function keepsNames(path: TrustPath, depth: number): boolean {
  const constraints = path[depth]?.issuer.nameConstraints ?? null
  if (constraints === null) return true
  return path
    .slice(0, depth + 1)
    .every(({ certificate }, index) => isTwin(path, index) || isPermitted(certificate, constraints))
}

/** The first of `paths` whose signatures all hold; `null` when there is none. */
export async function firstSigned(paths: readonly TrustPath[], verifier: SignatureVerifier): Promise<TrustPath | null> {
  for (const path of paths) {
    let signed = true
    for (const { certificate, issuer } of path) {
      const { signatureAlgorithm, tbs, signature } = certificate
      signed &&= await verifier.verify(issuer, signatureAlgorithm, tbs, signature)
    }
    if (signed) return path
  }
  return null
}

/** {@link firstSigned} with a verifier that answers at once. */
export const firstSignedSync = (paths: readonly TrustPath[], verifier: SyncSignatureVerifier): TrustPath | null =>
  paths.find((path) =>
    path.every(({ certificate, issuer }) =>
      verifier.verify(issuer, certificate.signatureAlgorithm, certificate.tbs, certificate.signature),
    ),
  ) ?? null
