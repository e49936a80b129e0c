import { type Certificate, MAX_CERTIFICATE_BYTES, readCertificate } from '../certificate/certificate.ts'
import { pemSizeOf } from '../certificate/document.ts'
import type { Refusal } from '../der/reader.ts'
import { IdentityError } from '../errors.ts'
import { parsePem, pemBytes } from '../pem.ts'

/** A leaf, an issuing intermediate, and a cross-signed root while a root rotates. */
export const MAX_CHAIN_CERTIFICATES = 3

const MAX_CHAIN_BYTES = MAX_CHAIN_CERTIFICATES * pemSizeOf(MAX_CERTIFICATE_BYTES)
const REFUSAL: Refusal = { code: 'CERTIFICATE_MALFORMED', document: 'certificate chain' }

/**
 * Reads the PEM chain that a node holds and presents: its own certificate first, then intermediates. Order and signatures
 * are for verification.
 *
 * @throws {@link IdentityError} `CERTIFICATE_MALFORMED` if it is not one to {@link MAX_CHAIN_CERTIFICATES} certificates in
 * canonical PEM, `CERTIFICATE_TOO_LARGE` or `CERTIFICATE_UNSUPPORTED` as for a single one.
 */
export function parseCertificateChain(pem: string | Uint8Array): readonly Certificate[] {
  if (pem.length > MAX_CHAIN_BYTES)
    throw new IdentityError(
      'CERTIFICATE_TOO_LARGE',
      `certificate chain is larger than ${MAX_CHAIN_BYTES} bytes; send the leaf and its intermediates alone`,
    )
  const blocks = parsePem('CERTIFICATE', pemBytes(pem), REFUSAL)
  if (blocks.length > MAX_CHAIN_CERTIFICATES) {
    throw new IdentityError(
      'CERTIFICATE_MALFORMED',
      `certificate chain has ${blocks.length} certificates; send at most ${MAX_CHAIN_CERTIFICATES}`,
    )
  }
  return blocks.map((der) => {
    if (der.length > MAX_CERTIFICATE_BYTES)
      throw new IdentityError(
        'CERTIFICATE_TOO_LARGE',
        `certificate of a chain is larger than ${MAX_CERTIFICATE_BYTES} bytes; send one without what is not needed`,
      )
    return readCertificate(der)
  })
}

/** The PEM text of certificates, one after the other: what a node gets, keeps and presents. */
export const formatCertificateChain = (chain: readonly Certificate[]): string => chain.map(({ pem }) => pem).join('')
