import { encodeSignatureAlgorithm, signatureAlgorithmOf } from '../algorithms.ts'
import { equalBytes } from '../bytes.ts'
import type { Certificate } from '../certificate/certificate.ts'
import { explicit } from '../der/tags.ts'
import { encodeBitString, encodeElement, encodeSequence, encodeUnsigned } from '../der/writer.ts'
import { IdentityError } from '../errors.ts'
import { formatPem } from '../pem.ts'
import type { Signer } from '../ports.ts'

const VERSION = encodeUnsigned(Uint8Array.of(0))
const NO_ATTRIBUTES = encodeElement(explicit(0))

/**
 * The request with which a new root asks to be signed once more: its own name and key (RFC 2986), any kind of key that a root may have.
 *
 * @returns PEM.
 * @throws {@link IdentityError} `AUTHORITY_KEY_MISMATCH` if the signer is not the root's.
 */
export async function createCrossSignCsr(root: Certificate, signer: Signer): Promise<string> {
  if (!equalBytes(signer.publicKey, root.publicKey)) {
    throw new IdentityError(
      'AUTHORITY_KEY_MISMATCH',
      'private key does not belong to the new root; use the pair that was made together',
    )
  }
  const info = encodeSequence(VERSION, root.subject.der, root.publicKey, NO_ATTRIBUTES)
  const signature = await signer.sign(info)
  const algorithm = encodeSignatureAlgorithm(signatureAlgorithmOf(root.keyType))
  return formatPem('CERTIFICATE REQUEST', encodeSequence(info, algorithm, encodeBitString(signature)))
}
