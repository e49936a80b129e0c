import type { Certificate } from '../certificate/certificate.ts'
import { IdentityError } from '../errors.ts'
import { NODE_RULES } from '../issuing/issuer-rules.ts'
import type { SignatureVerifier } from '../ports.ts'
import { findPaths, type TrustPath } from '../verifying/path.ts'

/** Who may have signed a certificate that came from outside. */
export interface Vouchers {
  /** The roots that every peer trusts. */
  readonly roots: readonly Certificate[]
  /** What stands between the external CA's key and a root, lowest first: what nodes present behind their leaf. */
  readonly intermediates?: readonly Certificate[]
  /** The present, epoch milliseconds. */
  readonly now: number
  readonly verifier: SignatureVerifier
}

/**
 * Proves that a certificate was signed under one of the roots, by issuers that every peer goes by, and ends no later than any of them.
 *
 * @returns The issuers, the root last.
 * @throws {@link IdentityError} `ISSUED_ISSUER_UNTRUSTED` if no root vouches for it at `now`, `ISSUED_LIFETIME_MISMATCH` if it outlives its issuer.
 */
export async function verifyVouched(certificate: Certificate, vouchers: Vouchers): Promise<readonly Certificate[]> {
  const { roots, intermediates = [], now, verifier } = vouchers
  let outlives = false
  for (const path of pathsOf([certificate, ...intermediates], roots, now)) {
    if (!(await isSigned(path, verifier))) continue
    if (path.every(({ issuer }) => certificate.notAfter <= issuer.notAfter)) return path.map(({ issuer }) => issuer)
    outlives = true
  }
  if (!outlives) throw untrusted()
  throw new IdentityError(
    'ISSUED_LIFETIME_MISMATCH',
    'certificate of the external ca outlives its issuer; shorten the lifetime in its profile, or renew the issuer',
  )
}

function pathsOf(chain: readonly Certificate[], roots: readonly Certificate[], now: number): readonly TrustPath[] {
  try {
    return findPaths(chain, roots, now, NODE_RULES)
  } catch (cause) {
    throw untrusted({ cause })
  }
}

async function isSigned(path: TrustPath, verifier: SignatureVerifier): Promise<boolean> {
  for (const { certificate, issuer } of path) {
    const { signatureAlgorithm, tbs, signature } = certificate
    if (!(await verifier.verify(issuer, signatureAlgorithm, tbs, signature))) return false
  }
  return true
}

const untrusted = (options?: ErrorOptions): IdentityError =>
  new IdentityError(
    'ISSUED_ISSUER_UNTRUSTED',
    'certificate of the external ca was signed under no root of this cluster; point to the ca that holds its key',
    options,
  )
