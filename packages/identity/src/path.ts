import { equalBytes } from './bytes.ts'
import { type Certificate, couldSign } from './certificate.ts'
import { IdentityError } from './errors.ts'
import { isWithin } from './validity.ts'

/** One signature to check: did `issuer` sign `certificate`? */
export interface Link {
  readonly certificate: Certificate
  readonly issuer: Certificate
}

/** A way from a leaf to a root; all its signatures must hold. */
export type TrustPath = readonly Link[]

/**
 * The ways from the first certificate of `chain` to a root for which everything but the signatures holds, shortest first.
 *
 * While a root rotates, a leaf may hang on the new root and, through its cross-signed twin, on the old one; and both
 * roots may bear the same name. So there may be several ways, and signatures decide.
 *
 * @throws {@link IdentityError} `PEER_UNTRUSTED` if names and key identifiers lead to no root, `PEER_ISSUER_UNFIT` if they do
 * but an issuer on each way may not vouch at `now`.
 */
export function findPaths(
  chain: readonly Certificate[],
  roots: readonly Certificate[],
  now: number,
): readonly TrustPath[] {
  const paths: TrustPath[] = []
  const below: Link[] = []
  let named = false
  for (const [index, certificate] of chain.entries()) {
    for (const issuer of roots) {
      if (!names(certificate, issuer)) continue
      named = true
      const path = [...below, { certificate, issuer }]
      if (
        path.every((link, depth) =>
          isFit(
            link.issuer,
            path.slice(0, depth).map((lower) => lower.issuer),
            now,
          ),
        )
      )
        paths.push(path)
    }
    const upper = chain[index + 1]
    if (upper === undefined || !names(certificate, upper)) break
    below.push({ certificate, issuer: upper })
  }
  if (!named) {
    throw new IdentityError(
      'PEER_UNTRUSTED',
      'peer certificate was issued under no root of the trust bundle; present a chain that ends at a root of this cluster',
    )
  }
  if (paths.length === 0) {
    throw new IdentityError(
      'PEER_ISSUER_UNFIT',
      'an issuer of the peer certificate may not vouch for it now; renew the issuer or present its current chain',
    )
  }
  return paths
}

/** Name and key identifier say that `issuer` may have signed `certificate` (RFC 5280 sections 4.2.1.1 and 6.1.3). */
function names(certificate: Certificate, issuer: Certificate): boolean {
  if (!equalBytes(certificate.issuer.der, issuer.subject.der) || !couldSign(issuer, certificate)) return false
  const { authorityKeyId } = certificate
  return authorityKeyId === null || issuer.subjectKeyId === null || equalBytes(authorityKeyId, issuer.subjectKeyId)
}

/** RFC 5280 section 6.1.4: a CA within its time, its usages and its path length; self-issued ones below do not count. */
function isFit(issuer: Certificate, below: readonly Certificate[], now: number): boolean {
  const counted = below.filter(({ subject, issuer: by }) => !equalBytes(subject.der, by.der)).length
  return (
    issuer.isCa &&
    issuer.keyUsage?.includes('keyCertSign') !== false &&
    issuer.unknownCritical.length === 0 &&
    (issuer.pathLength === null || counted <= issuer.pathLength) &&
    isWithin(issuer, now)
  )
}
