import type { Certificate } from '../certificate/certificate.ts'
import type { Csr } from '../issuing/csr.ts'
import { Pkcs10CertificateRequest, X509Certificate } from './door.ts'

/** The certificate as an object of `@peculiar/x509`, for callers that use that library. */
export const toX509Certificate = (certificate: Certificate): X509Certificate => new X509Certificate(certificate.der)

/**
 * The request as an object of `@peculiar/x509`, for callers that use that library.
 *
 * @throws Error of that library if the names or wishes in the request, which this package does not interpret, are not to its taste.
 */
export const toPkcs10 = (csr: Csr): Pkcs10CertificateRequest => new Pkcs10CertificateRequest(csr.der)
