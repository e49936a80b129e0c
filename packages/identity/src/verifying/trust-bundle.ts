import { equalBytes } from '../bytes.ts'
import { type Certificate, couldSign, MAX_CERTIFICATE_BYTES, readCertificate } from '../certificate/certificate.ts'
import { isWithin } from '../certificate/validity.ts'
import type { Refusal } from '../der/reader.ts'
import { IdentityError } from '../errors.ts'
import { isFitRoot } from '../issuing/issuer-rules.ts'
import { parsePem, pemBytes } from '../pem.ts'
import type { SignatureVerifier } from '../ports.ts'

/** The roots that a cluster trusts. */
export interface TrustBundle {
  /** The very bytes that were read: join tokens carry the digest of these. */
  readonly pem: Uint8Array<ArrayBuffer>
  /** One to {@link MAX_TRUST_BUNDLE_ROOTS} certificates, in the order of the bundle. */
  readonly roots: readonly Certificate[]
}

/** One root as a rule, two while it rotates; each more costs every peer a candidate to try. */
export const MAX_TRUST_BUNDLE_ROOTS = 16
/** Sixteen roots of RSA 8192 fit in. */
export const MAX_TRUST_BUNDLE_BYTES: number = 64 * 1024

const REFUSAL: Refusal = { code: 'TRUST_BUNDLE_MALFORMED', document: 'trust bundle' }

/**
 * Reads a trust bundle: canonical PEM certificates one after the other and nothing else, no certificate twice.
 *
 * That each is a fit root is for {@link verifyTrustBundleRoots}; that it is the right bundle is for the digest in a join token.
 *
 * @throws {@link IdentityError} `TRUST_BUNDLE_MALFORMED` if it is not of that form, `TRUST_BUNDLE_TOO_LARGE` beyond
 * {@link MAX_TRUST_BUNDLE_BYTES} or {@link MAX_TRUST_BUNDLE_ROOTS}, `CERTIFICATE_MALFORMED`, `CERTIFICATE_TOO_LARGE` or
 * `CERTIFICATE_UNSUPPORTED` if a block in it is no acceptable certificate.
 */
export function parseTrustBundle(pem: string | Uint8Array): TrustBundle {
  if (pem.length > MAX_TRUST_BUNDLE_BYTES) throw tooLarge()
  const bytes = Uint8Array.from(pemBytes(pem))
  const blocks = parsePem('CERTIFICATE', bytes, REFUSAL)
  if (blocks.length > MAX_TRUST_BUNDLE_ROOTS) throw tooLarge()
  const roots = blocks.map((der, index) => {
    if (der.length > MAX_CERTIFICATE_BYTES)
      throw new IdentityError(
        'CERTIFICATE_TOO_LARGE',
        `certificate of a trust bundle is larger than ${MAX_CERTIFICATE_BYTES} bytes; use a smaller root`,
      )
    if (blocks.findIndex((other) => equalBytes(other, der)) !== index) {
      throw new IdentityError('TRUST_BUNDLE_MALFORMED', 'trust bundle holds a certificate twice; send each root once')
    }
    return readCertificate(der)
  })
  return { pem: bytes, roots }
}

const tooLarge = (): IdentityError =>
  new IdentityError(
    'TRUST_BUNDLE_TOO_LARGE',
    `trust bundle is larger than ${MAX_TRUST_BUNDLE_BYTES} bytes or ${MAX_TRUST_BUNDLE_ROOTS} roots; send the roots in use alone`,
  )

/**
 * Proves that every certificate of a bundle is a root: signed by its own key, allowed to sign certificates, valid at `now`,
 * with no critical extension that is not understood, and otherwise such that {@link verifyPeer} would go by it.
 *
 * One unfit certificate refuses the whole bundle: a reader who skipped it would trust other roots than its neighbour.
 *
 * @throws {@link IdentityError} `TRUST_BUNDLE_ROOT_INVALID` if one of them is not.
 */
export async function verifyTrustBundleRoots(
  bundle: TrustBundle,
  options: { readonly verifier: SignatureVerifier; readonly now: number },
): Promise<void> {
  for (const [index, root] of bundle.roots.entries()) {
    const refused = (problem: string): IdentityError =>
      new IdentityError(
        'TRUST_BUNDLE_ROOT_INVALID',
        `root ${index + 1} of ${bundle.roots.length} in the trust bundle ${problem}; send self-signed CA certificates that are valid now`,
      )
    if (!root.isCa || root.keyUsage?.includes('keyCertSign') === false) throw refused('may not sign certificates')
    if (root.unknownCritical.length > 0) throw refused('has a critical extension that is not understood')
    if (!isWithin(root, options.now)) throw refused('is not valid at this time')
    if (!isFitRoot(root, options.now, { keyIdentifiers: 'optional' }))
      throw refused('is not what a root is here: it limits uses, names another issuer, or marks its extensions wrongly')
    const selfIssued = equalBytes(root.subject.der, root.issuer.der) && couldSign(root, root)
    if (!selfIssued || !(await options.verifier.verify(root, root.signatureAlgorithm, root.tbs, root.signature))) {
      throw refused('is not signed by its own key')
    }
  }
}
