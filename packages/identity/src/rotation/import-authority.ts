import { signatureAlgorithmOf } from '../algorithms.ts'
import { equalBytes } from '../bytes.ts'
import { type Certificate, parseCertificate } from '../certificate/certificate.ts'
import { isWithin } from '../certificate/validity.ts'
import { IdentityError } from '../errors.ts'
import { isFitIntermediate, NODE_RULES } from '../issuing/issuer-rules.ts'
import type { SignatureVerifier, Signer } from '../ports.ts'
import { parseTrustBundle, verifyTrustBundleRoots } from '../verifying/trust-bundle.ts'
import { isNamedBy } from './check-target.ts'
import type { AuthorityRoot } from './rotation-state.ts'

/** A root or an intermediate of one's own. */
export interface ImportOptions {
  /** PEM, lowest first: the certificate whose key issues, its issuer if it is an intermediate, and at the end the self-signed root. At most two. */
  readonly chain: readonly string[]
  /** The key of the first certificate: over what is in hand, an HSM or a service. */
  readonly signer: Signer
  /** PKCS #8 DER of that key, to be kept with it; `null` when it stays where it is. */
  readonly privateKey: Uint8Array | null
  /** The present, epoch milliseconds. */
  readonly now: number
  /** Lifetime of the node certificates that it is to issue, in milliseconds; a whole one must be left at the least. */
  readonly lifetimeMs: number
  readonly verifier: SignatureVerifier
}

/** The chain that nodes present has room for one more beside the cross-signed root. */
const MAX_IMPORTED = 2

// Signed to see that key and certificate agree. No certificate, request or handshake begins with these bytes.
const PROBE = new TextEncoder().encode('leastwise: does this key belong to the imported certificate')

const unfit = (problem: string): IdentityError =>
  new IdentityError('AUTHORITY_UNFIT', `the imported certificate ${problem}; ask its issuer for one that fits`)

/**
 * Checks a root or an intermediate that somebody else made, before a cluster is founded on it or rotated to it: CA bit, usages, key identifier, nothing critical that is not
 * understood, uses of nodes, room for leaves below it, signatures up to a root that signed itself, life left for one whole node certificate, and that the key is its own. Keys and signatures of weak
 * kinds are refused when it is read.
 *
 * With an intermediate, nodes trust its root: everything that this root signs in the closed profile of nodes, and with this cluster's id, is then believed.
 *
 * @returns What to found the cluster on or to rotate to.
 * @throws {@link IdentityError} `AUTHORITY_UNFIT`, `AUTHORITY_KEY_MISMATCH`, `AUTHORITY_CHAIN_INVALID` (a signature, or no root at the end), `AUTHORITY_ENDS_SOON`,
 * `TRUST_BUNDLE_ROOT_INVALID` for the root, and the codes of reading certificates: `CERTIFICATE_UNSUPPORTED` for a weak key or signature.
 */
export async function importAuthority(options: ImportOptions): Promise<AuthorityRoot> {
  const { signer, privateKey, now, lifetimeMs, verifier } = options
  const chain = options.chain.map((pem) => parseCertificate(pem))
  const [issuing, root = issuing] = chain
  if (issuing === undefined || root === undefined || chain.length > MAX_IMPORTED) {
    throw new IdentityError(
      'AUTHORITY_CHAIN_INVALID',
      `an import is a root, or an intermediate and its root, not ${chain.length} certificates; pass these alone`,
    )
  }
  for (const [depth, certificate] of chain.entries()) checkProfile(certificate, depth)
  if (root !== issuing && !(await isSignedBy(issuing, root, verifier))) {
    throw new IdentityError(
      'AUTHORITY_CHAIN_INVALID',
      'the imported intermediate was not signed by the root beside it; pass its own root',
    )
  }
  await verifyTrustBundleRoots(parseTrustBundle(root.pem), { verifier, now })
  if (root !== issuing && root.nameConstraints !== null)
    throw unfit('is below a root that binds names, which leaves of the intermediate would not follow')
  for (const certificate of chain) {
    if (!isWithin(certificate, now) || certificate.notAfter - now < lifetimeMs)
      throw new IdentityError(
        'AUTHORITY_ENDS_SOON',
        `an imported certificate is not valid for the next ${lifetimeMs} ms, the life of one node certificate; renew it, or shorten lifetimes`,
      )
  }
  if (root !== issuing && !isFitIntermediate(issuing, now, NODE_RULES))
    throw unfit('is for other uses than TLS servers and clients, or marks its extensions wrongly')
  const same = signer.keyType === issuing.keyType && equalBytes(signer.publicKey, issuing.publicKey)
  const algorithm = signatureAlgorithmOf(issuing.keyType)
  if (!same || !(await verifier.verify(issuing, algorithm, PROBE, await signer.sign(PROBE)))) {
    throw new IdentityError(
      'AUTHORITY_KEY_MISMATCH',
      'private key does not belong to the imported certificate; use the pair that was made together',
    )
  }
  const kept = { certificate: root.pem, privateKey: privateKey?.slice() ?? null }
  return root === issuing ? kept : { ...kept, intermediates: [issuing.pem] }
}

function checkProfile(certificate: Certificate, depth: number): void {
  if (!certificate.isCa) throw unfit('is not of a CA')
  if (certificate.keyUsage?.includes('keyCertSign') !== true) throw unfit('may not sign certificates')
  if (certificate.subjectKeyId === null) throw unfit('has no subject key identifier')
  if (certificate.unknownCritical.length > 0) throw unfit('has a critical extension that is not understood')
  if (certificate.pathLength !== null && certificate.pathLength < depth) throw unfit('has no room for what is below it')
}

async function isSignedBy(lower: Certificate, upper: Certificate, verifier: SignatureVerifier): Promise<boolean> {
  return isNamedBy(lower, upper) && (await verifier.verify(upper, lower.signatureAlgorithm, lower.tbs, lower.signature))
}
