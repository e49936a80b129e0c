import { formatHex } from '../bytes.ts'
import type { Certificate } from '../certificate/certificate.ts'
import { IdentityError } from '../errors.ts'

/**
 * By what a rotation tells roots apart: the subject key identifier in lower-case hexadecimal.
 *
 * @throws {@link IdentityError} `AUTHORITY_UNFIT` for a certificate without one.
 */
export function rootIdOf(root: Certificate): string {
  if (root.subjectKeyId === null) {
    throw new IdentityError(
      'AUTHORITY_UNFIT',
      'the root has no subject key identifier, without which TLS cannot tell roots apart; make one that has',
    )
  }
  return formatHex(root.subjectKeyId)
}
