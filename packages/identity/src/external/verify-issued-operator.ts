import { equalBytes } from '../bytes.ts'
import type { Certificate } from '../certificate/certificate.ts'
import { CLIENT_AUTH } from '../certificate/extensions.ts'
import type { Csr } from '../issuing/csr.ts'
import { type OperatorGrant, operatorValidity } from '../operator/issue-operator.ts'
import { OPERATOR_UNIT } from '../operator/operator-identity.ts'
import { checkExtensionTypes } from './allowed-extensions.ts'
import { countAltNames, listExtensions } from './extension-list.ts'
import { mismatch } from './issued-mismatch.ts'
import { checkLifetime, checkMarks, checkSubject, sameSet } from './verify-issued.ts'
import { type Vouchers, verifyVouched } from './vouched.ts'

/** An operator's certificate that was asked for, and who may have granted it: no intermediate stands between an operator and a root. */
export interface IssuedOperatorExpectation extends Omit<Vouchers, 'intermediates'> {
  readonly csr: Csr
  readonly grant: OperatorGrant
}

/**
 * Proves that an operator's certificate from an external CA is what was asked for, field by field: for a client alone, without any name, no longer than
 * was granted. What is free is free here, too, as in {@link verifyIssued}, but no lifetime is too short.
 *
 * @throws IdentityError with the codes of {@link verifyIssued}.
 */
export async function verifyIssuedOperator(
  certificate: Certificate,
  expected: IssuedOperatorExpectation,
): Promise<Certificate> {
  const { csr, grant, now, roots, verifier } = expected
  if (!equalBytes(certificate.publicKey, csr.publicKey))
    throw mismatch('ISSUED_KEY_MISMATCH', 'is for another key than the request')
  checkSubject(certificate, [grant.clusterId, OPERATOR_UNIT, grant.operatorId])
  if (certificate.isCa) throw mismatch('ISSUED_CONSTRAINTS_MISMATCH', 'is that of a ca')
  const extensions = listExtensions(certificate)
  if (countAltNames(extensions) > 0)
    throw mismatch('ISSUED_NAMES_MISMATCH', 'has an alternative name, which no operator has')
  if (!sameSet(certificate.keyUsage, ['digitalSignature']) || !sameSet(certificate.extKeyUsage, [CLIENT_AUTH]))
    throw mismatch('ISSUED_USAGE_MISMATCH', 'is for other uses than signing and tls client')
  checkExtensionTypes(extensions)
  checkMarks(certificate, { purposes: [CLIENT_AUTH], keyIdentifiers: 'optional' })
  checkLifetime(certificate, operatorValidity(grant, now), now)
  await verifyVouched(certificate, { roots, now, verifier })
  return certificate
}
