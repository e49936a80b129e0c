import { parseCertificateChain, parseTrustBundle } from '@leastwise/identity'
import type { NodeTlsInfo } from '../node-description.ts'
import { sameBytes } from './acceptance.ts'
import type { NodeCredentials } from './events.ts'

/** Whether two reports say the same. */
export function sameReport(a: NodeTlsInfo | null, b: NodeTlsInfo | null): boolean {
  if (a === null || b === null) return a === b
  return (
    sameBytes(a.trustRoot, b.trustRoot) &&
    sameBytes(a.issuerSubject, b.issuerSubject) &&
    sameBytes(a.issuerPublicKey, b.issuerPublicKey)
  )
}

/**
 * What a node reports of its trust: the bundle that it holds and who issued its certificate. A manager reads from it how far a change
 * of the root has come.
 *
 * @returns `null` when the issuer is neither in the chain nor in the bundle.
 */
export function tlsReportOf({ certificateChain, trustBundle }: NodeCredentials): NodeTlsInfo | null {
  const [leaf, ...above] = parseCertificateChain(certificateChain)
  if (leaf === undefined) return null
  const named = [...above, ...parseTrustBundle(trustBundle).roots].filter(({ subject }) =>
    sameBytes(subject.der, leaf.issuer.der),
  )
  // Roots may share a name; the key identifier tells them apart.
  const { authorityKeyId } = leaf
  const issuer =
    named.find(
      ({ subjectKeyId }) => authorityKeyId !== null && subjectKeyId !== null && sameBytes(subjectKeyId, authorityKeyId),
    ) ?? named[0]
  if (issuer === undefined) return null
  return { trustRoot: trustBundle, issuerSubject: leaf.issuer.der, issuerPublicKey: issuer.publicKey }
}
