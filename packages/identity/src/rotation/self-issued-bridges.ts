import { equalBytes } from '../bytes.ts'
import { type Certificate, couldSign } from '../certificate/certificate.ts'
import { isWithin } from '../certificate/validity.ts'
import type { SyncSignatureVerifier } from '../ports.ts'

/** What is believed already. */
export interface BridgeTrust {
  readonly roots: readonly Certificate[]
  /** The present, epoch milliseconds. */
  readonly now: number
  readonly verifier: SyncSignatureVerifier
}

/**
 * The cross-signed roots in a chain that TLS of OpenSSL and Node cannot walk, proven to be signed by a trusted root.
 *
 * Docker's roots all have one name, so its cross-signed ones are named like their own issuer, and they carry no authority key identifier: OpenSSL takes them for
 * roots of a stranger. Told to TLS beside the trusted roots, such a certificate makes the chain verify. What is believed stays what the trusted root has signed; a certificate that TLS can
 * walk is left out, because it needs nothing.
 *
 * @param chain - Leaf first; the leaf itself is never among the result.
 */
export function selfIssuedBridges(
  chain: readonly Certificate[],
  { roots, now, verifier }: BridgeTrust,
): readonly Certificate[] {
  return chain.slice(1).filter((certificate) => {
    const selfIssued =
      equalBytes(certificate.subject.der, certificate.issuer.der) && certificate.authorityKeyId === null
    const fit = canVouch(certificate, now) && !roots.some(({ der }) => equalBytes(der, certificate.der))
    return selfIssued && fit && roots.some((root) => canVouch(root, now) && hasSigned(root, certificate, verifier))
  })
}

const canVouch = (ca: Certificate, now: number): boolean =>
  ca.isCa && ca.keyUsage?.includes('keyCertSign') === true && ca.unknownCritical.length === 0 && isWithin(ca, now)

const hasSigned = (root: Certificate, certificate: Certificate, verifier: SyncSignatureVerifier): boolean =>
  equalBytes(root.subject.der, certificate.issuer.der) &&
  couldSign(root, certificate) &&
  verifier.verify(root, certificate.signatureAlgorithm, certificate.tbs, certificate.signature)
