import { equalBytes } from '../bytes.ts'
import type { Certificate } from '../certificate/certificate.ts'
import { BASIC_CONSTRAINTS, CLIENT_AUTH, type KeyUsage, SERVER_AUTH } from '../certificate/extensions.ts'
import { isWithin } from '../certificate/validity.ts'
import { checkExtensionTypes } from './allowed-extensions.ts'
import { countAltNames, listExtensions } from './extension-list.ts'
import { mismatch } from './issued-mismatch.ts'
import { ISSUED_TOLERANCE_MS } from './verify-issued.ts'
import { type Vouchers, verifyVouched } from './vouched.ts'

/** Which root was to be signed, and who may have signed it. */
export interface CrossSignedExpectation extends Vouchers {
  /** The new root, as it signed itself. */
  readonly root: Certificate
}

const CA_USAGES: readonly KeyUsage[] = ['keyCertSign', 'cRLSign', 'digitalSignature']
const NODE_USES: readonly string[] = [SERVER_AUTH, CLIENT_AUTH]

/**
 * Proves that a certificate is the new root once more, signed by the external CA of the old one: what nodes present behind their leaf while the root rotates.
 *
 * Name and key must be those of the new root to the byte, because leaves are looked up by them. The key identifiers must be there and right: where two
 * roots are alike in name, TLS of OpenSSL and Node takes a chain without them for one that ends at a stranger.
 *
 * @returns The certificate, proven.
 * @throws {@link IdentityError} `ISSUED_KEY_MISMATCH`, `ISSUED_SUBJECT_MISMATCH`, `ISSUED_NAMES_MISMATCH`, `ISSUED_CONSTRAINTS_MISMATCH` (no CA, or another path length),
 * `ISSUED_USAGE_MISMATCH`, `ISSUED_EXTENSION_UNEXPECTED`, `ISSUED_KEY_ID_MISMATCH` or `ISSUED_LIFETIME_MISMATCH` (not valid now, or beyond the end of
 * the new root or of the issuer) for the part that differs, `ISSUED_ISSUER_UNTRUSTED` if no old root vouches for it.
 */
export async function verifyCrossSigned(
  certificate: Certificate,
  expected: CrossSignedExpectation,
): Promise<Certificate> {
  const { root, now } = expected
  if (!equalBytes(certificate.publicKey, root.publicKey))
    throw mismatch('ISSUED_KEY_MISMATCH', 'is for another key than that of the new root')
  if (!equalBytes(certificate.subject.der, root.subject.der))
    throw mismatch('ISSUED_SUBJECT_MISMATCH', 'has another name than the new root, or the same in other string types')
  checkExtensions(certificate, expected)
  if (!isWithin(certificate, now) || certificate.notAfter > root.notAfter + ISSUED_TOLERANCE_MS)
    throw mismatch('ISSUED_LIFETIME_MISMATCH', 'is not valid now, or ends later than the new root')
  await verifyVouched(certificate, expected)
  return certificate
}

function checkExtensions(certificate: Certificate, { root, roots, intermediates = [] }: CrossSignedExpectation): void {
  const extensions = listExtensions(certificate)
  if (countAltNames(extensions) > 0) throw mismatch('ISSUED_NAMES_MISMATCH', 'has alternative names, which no root has')
  const constraints = extensions.find(({ type }) => type === BASIC_CONSTRAINTS)
  if (!certificate.isCa || certificate.pathLength !== root.pathLength || constraints?.critical !== true)
    throw mismatch('ISSUED_CONSTRAINTS_MISMATCH', 'is not that of a ca with the constraints of the new root')
  const { keyUsage, extKeyUsage } = certificate
  const fit = keyUsage?.includes('keyCertSign') === true && keyUsage.every((usage) => CA_USAGES.includes(usage))
  // Extended usages of a CA bound those of its leaves.
  if (!fit || (extKeyUsage !== null && !NODE_USES.every((use) => extKeyUsage.includes(use))))
    throw mismatch('ISSUED_USAGE_MISMATCH', 'is not for signing certificates of nodes')
  checkExtensionTypes(extensions)
  const { authorityKeyId } = certificate
  const named =
    authorityKeyId !== null &&
    [...roots, ...intermediates].some(
      ({ subjectKeyId }) => subjectKeyId !== null && equalBytes(subjectKeyId, authorityKeyId),
    )
  const same =
    root.subjectKeyId !== null &&
    certificate.subjectKeyId !== null &&
    equalBytes(root.subjectKeyId, certificate.subjectKeyId)
  if (!named || !same)
    throw mismatch('ISSUED_KEY_ID_MISMATCH', 'lacks the key identifier of its issuer or that of the new root')
}
