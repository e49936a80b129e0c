import { encodeSignatureAlgorithm, signatureAlgorithmOf } from '../algorithms.ts'
import { equalBytes } from '../bytes.ts'
import { type Certificate, couldSign } from '../certificate/certificate.ts'
import { AUTHORITY_KEY_ID } from '../certificate/extensions.ts'
import { implicit } from '../der/tags.ts'
import { encodeElement, encodeSequence } from '../der/writer.ts'
import { IdentityError } from '../errors.ts'
import type { ClusterId, Role } from '../membership/node-identity.ts'
import type { SignatureVerifier, Signer } from '../ports.ts'
import type { SpiffeId } from '../spiffe/spiffe-id.ts'
import { MAX_CHAIN_CERTIFICATES } from '../verifying/chain.ts'
import type { Zone } from '../zone.ts'
import { isAuthority } from './issuer-rules.ts'
import { encodeExtension } from './leaf-profile.ts'
import { compileLeaf, type IssuerParts, type LeafSubject, type LeafTemplate } from './leaf-template.ts'

declare const authority: unique symbol

/** What an authority is made of. */
export interface AuthorityParts {
  /** The certificate whose subject issues: a root, or an intermediate. */
  readonly certificate: Certificate
  /** The certificate's private key. */
  readonly signer: Signer
  /**
   * What follows each leaf in the chain that its node presents, lowest first. The first has the name and the key of
   * `certificate` (the certificate itself when it is an intermediate, or the same key cross-signed by an older root);
   * each next one signed the one before. None for a root that every peer trusts.
   */
  readonly intermediates?: readonly Certificate[]
}

/** An issuer that is ready: certificate and key belong together, and what all its leaves share is encoded. */
export interface Authority {
  readonly [authority]: true
  readonly certificate: Certificate
  readonly signer: Signer
  readonly intermediates: readonly Certificate[]
}

/** The constant parts of every leaf of one authority. */
export interface CompiledAuthority extends IssuerParts {
  /** What the leaves of a role, cluster and zone share; with a SPIFFE ID, the template of one leaf. */
  readonly leafOf: (subject: LeafSubject, spiffeId?: SpiffeId) => LeafTemplate
}

const compiled = new WeakMap<Authority, CompiledAuthority>()

/** An authority serves one cluster as a rule, so that the last template of each role is enough. */
function compile(parts: IssuerParts): CompiledAuthority {
  const leaves = new Map<
    Role,
    { readonly clusterId: ClusterId; readonly zone: Zone | undefined; readonly template: LeafTemplate }
  >()
  return {
    ...parts,
    leafOf: (subject, spiffeId) => {
      if (spiffeId !== undefined) return compileLeaf(parts, subject, spiffeId)
      const known = leaves.get(subject.role)
      if (known?.clusterId === subject.clusterId && known.zone === subject.zone) return known.template
      const template = compileLeaf(parts, subject)
      leaves.set(subject.role, { clusterId: subject.clusterId, zone: subject.zone, template })
      return template
    },
  }
}

// Signed to see that key and certificate agree. No certificate, request or handshake begins with these bytes.
const PROBE = new TextEncoder().encode('leastwise: does this key belong to this certificate')

/**
 * Puts an issuing certificate and its key together, after checking one against the other: the key signs a fixed text
 * and the certificate's public key must accept it.
 *
 * @throws {@link IdentityError} `AUTHORITY_UNFIT` if the certificate may not sign certificates or lacks a subject key
 * identifier, `AUTHORITY_KEY_MISMATCH` if the key is not the certificate's, `AUTHORITY_CHAIN_INVALID` if the intermediates
 * do not continue it.
 */
export async function openAuthority(
  parts: AuthorityParts,
  options: { readonly verifier: SignatureVerifier },
): Promise<Authority> {
  const { certificate, signer, intermediates = [] } = parts
  const { subjectKeyId } = certificate
  if (!isAuthority(certificate) || subjectKeyId === null) {
    throw new IdentityError(
      'AUTHORITY_UNFIT',
      'certificate is not of a CA that may sign certificates and has a key identifier; use the one that was made for this',
    )
  }
  const algorithm = signatureAlgorithmOf(certificate.keyType)
  const same = signer.keyType === certificate.keyType && equalBytes(signer.publicKey, certificate.publicKey)
  if (!same || !(await options.verifier.verify(certificate, algorithm, PROBE, await signer.sign(PROBE)))) {
    throw new IdentityError(
      'AUTHORITY_KEY_MISMATCH',
      'private key does not belong to the authority certificate; use the pair that was made together',
    )
  }
  await verifyIntermediates(certificate, intermediates, options.verifier)
  const opened = { certificate, signer, intermediates: [...intermediates] } as unknown as Authority
  const constants: IssuerParts = {
    algorithmDer: encodeSignatureAlgorithm(algorithm),
    authorityKeyId: encodeExtension(AUTHORITY_KEY_ID, encodeSequence(encodeElement(implicit(0), subjectKeyId))),
    issuer: certificate.subject.der,
    nameConstraints: certificate.nameConstraints,
  }
  compiled.set(opened, compile(constants))
  return opened
}

async function verifyIntermediates(
  certificate: Certificate,
  intermediates: readonly Certificate[],
  verifier: SignatureVerifier,
): Promise<void> {
  const invalid = (problem: string): IdentityError =>
    new IdentityError(
      'AUTHORITY_CHAIN_INVALID',
      `${problem}; pass the chain of the authority from its own certificate upwards`,
    )
  if (intermediates.length >= MAX_CHAIN_CERTIFICATES) throw invalid('the chain is longer than a peer accepts')
  for (const [index, upper] of intermediates.entries()) {
    if (!upper.isCa) throw invalid('an intermediate is not a CA')
    const lower = intermediates[index - 1]
    if (lower === undefined) {
      const same =
        equalBytes(upper.subject.der, certificate.subject.der) && equalBytes(upper.publicKey, certificate.publicKey)
      if (!same) throw invalid('the first intermediate has another name or key than the authority')
    } else {
      const named = equalBytes(lower.issuer.der, upper.subject.der) && couldSign(upper, lower)
      if (!named || !(await verifier.verify(upper, lower.signatureAlgorithm, lower.tbs, lower.signature))) {
        throw invalid('an intermediate did not sign the one before it')
      }
    }
  }
}

/** What was encoded when the authority was opened. */
export function compiledOf(opened: Authority): CompiledAuthority {
  const constants = compiled.get(opened)
  if (constants === undefined) throw new TypeError('authority was not made by openAuthority')
  return constants
}
