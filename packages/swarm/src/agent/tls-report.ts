import { parseCertificateChain, parseTrustBundle } from '@leastwise/identity'
import type { NodeTlsInfo } from '../node-description.ts'
import { sameBytes } from './acceptance.ts'
import type { NodeCredentials } from './events.ts'

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
