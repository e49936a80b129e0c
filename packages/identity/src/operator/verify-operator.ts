import { formatHex } from '../bytes.ts'
import type { Certificate } from '../certificate/certificate.ts'
import { CLIENT_AUTH } from '../certificate/extensions.ts'
import { IdentityError } from '../errors.ts'
import type { ClusterId } from '../membership/node-identity.ts'
import type { Digest, SyncSignatureVerifier } from '../ports.ts'
import { verifyPathSync } from '../verifying/verify-path.ts'
import { type OperatorSubject, parseOperatorSubject } from './operator-identity.ts'

/** A person or a remote tool, proven by a certificate. */
export interface OperatorIdentity extends OperatorSubject {
  /** The certificate's serial number in lower-case hexadecimal. */
  readonly serial: string
  /** First instant of validity, epoch milliseconds. */
  readonly notBefore: number
  /** Last instant of validity, epoch milliseconds. */
  readonly notAfter: number
  /** SHA-256 of the certificate in lower-case hexadecimal, when a digest was passed. */
  readonly fingerprint?: string
}

/** Against what an operator is verified. */
export interface VerifyOperatorOptions {
  readonly roots: readonly Certificate[]
  /** The present, epoch milliseconds. */
  readonly now: number
  readonly clusterId: ClusterId
  readonly verifier: SyncSignatureVerifier
  /** For {@link OperatorIdentity} with a fingerprint. */
  readonly digest?: Digest
}

/**
 * Proves that a chain speaks for an operator of the cluster: the closed profile of {@link verifyPath}, for a client alone, with the subject of an
 * operator, and issued by a root itself. A node is never an operator, and {@link verifyPeer} takes no operator for a node.
 *
 * @throws {@link IdentityError} with the codes of {@link verifyPath}, `PEER_SUBJECT_INVALID` if it is no operator's, `PEER_WRONG_CLUSTER`.
 */
export function verifyOperator(chain: readonly Certificate[], options: VerifyOperatorOptions): OperatorIdentity {
  const { roots, now, clusterId, verifier, digest } = options
  const { leaf } = verifyPathSync(chain, {
    roots,
    now,
    verifier,
    purposes: [CLIENT_AUTH],
    // A manager that issues from an intermediate must not make operators. A twin of Docker's shape, which bears the name of the root, does not count.
    maxIntermediates: 0,
    keyIdentifiers: 'optional',
  })
  const subject = parseOperatorSubject(leaf.subject)
  const { altNames, extKeyUsage, keyUsage } = leaf
  if (extKeyUsage?.length !== 1 || keyUsage?.length !== 1 || altNames.length > 0) {
    throw new IdentityError(
      'PEER_PROFILE_INVALID',
      'peer certificate is for more than a client; use a certificate that was issued to an operator',
    )
  }
  if (subject.clusterId !== clusterId) {
    throw new IdentityError(
      'PEER_WRONG_CLUSTER',
      'the operator belongs to another cluster; get an identity of this one',
    )
  }
  const { serial, notBefore, notAfter } = leaf
  const identity = { ...subject, serial, notBefore, notAfter }
  return digest === undefined ? identity : { ...identity, fingerprint: formatHex(digest.sha256(leaf.der)) }
}
