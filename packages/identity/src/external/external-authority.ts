import { equalBytes } from '../bytes.ts'
import type { Certificate } from '../certificate/certificate.ts'
import type { Validity } from '../certificate/validity.ts'
import { IdentityError } from '../errors.ts'
import { type Csr, createCsr, verifyCsr } from '../issuing/csr.ts'
import type { Grant } from '../issuing/issue.ts'
import { type OperatorGrant, operatorValidity } from '../operator/issue-operator.ts'
import { OPERATOR_UNIT } from '../operator/operator-identity.ts'
import type { SignatureVerifier, Signer } from '../ports.ts'
import { askInOrder, askOne, type Servers } from './ask.ts'
import { askedValidity } from './asked-validity.ts'
import { encodeCfsslRequest, encodeCrossSignRequest, encodeOperatorRequest } from './cfssl-request.ts'
import { type CfsslUrl, wantsToken } from './cfssl-url.ts'
import { createCrossSignCsr } from './cross-sign-csr.ts'
import type { HttpPost, RequestAuthenticator } from './ports.ts'
import type { SigningAuthority, SigningOptions } from './signing-authority.ts'
import { verifyCrossSigned } from './verify-cross-signed.ts'
import { verifyIssued } from './verify-issued.ts'
import { verifyIssuedOperator } from './verify-issued-operator.ts'

/** 5 seconds for each server, as Docker Swarm. */
export const EXTERNAL_CA_DEADLINE_MS = 5_000

/** The external CA's profile for operators unless another is named; it has the name of their unit. */
export const OPERATOR_PROFILE: string = OPERATOR_UNIT

/** An external CA: where it is, and what it is believed. */
export interface ExternalAuthorityOptions {
  /** Asked in this order; all of them sign with keys that `roots` vouch for. */
  readonly urls: readonly CfsslUrl[]
  readonly http: HttpPost
  /** The roots that the nodes of the cluster trust. Open another authority when they change. */
  readonly roots: readonly Certificate[]
  /** What stands between the external CA's key and a root, lowest first. */
  readonly intermediates?: readonly Certificate[]
  readonly verifier: SignatureVerifier
  /** Goes with addresses that end in `/authsign`, and only with them. */
  readonly authenticator?: RequestAuthenticator
  /** The external CA's profile for nodes. Default: its own default, as Docker Swarm. */
  readonly profile?: string
  /** Its profile for cross-signing. Default `CA`, as Docker Swarm. */
  readonly crossSignProfile?: string
  /** Its profile for operators. Default {@link OPERATOR_PROFILE}. */
  readonly operatorProfile?: string
  /** Which of several keys, where the external CA has several. */
  readonly label?: string
  /** For each server, in milliseconds. Default {@link EXTERNAL_CA_DEADLINE_MS}. */
  readonly deadlineMs?: number
}

/** A {@link SigningAuthority} that holds no key: it asks, and believes no answer. */
export interface ExternalAuthority extends SigningAuthority {
  /**
   * Lets every server sign a throw-away request and verifies each answer, before anything is built on them.
   *
   * What is issued is real: pass a key that is made for this and dropped, and a node id that is never admitted.
   *
   * @returns What each server issued, in their order.
   */
  readonly dryRun: (throwAway: Signer, grant: Grant, options: SigningOptions) => Promise<readonly Certificate[]>
  /**
   * Issues the certificate of an operator, if the external CA signs with the key of a root: through {@link ExternalAuthorityOptions.operatorProfile}, which must
   * be for signing and for TLS clients, and for no longer than was asked. `AUTHORITY_UNFIT` if there are intermediates.
   */
  readonly issueOperator: (csr: Csr, grant: OperatorGrant, options: SigningOptions) => Promise<Certificate>
  /**
   * Has a new root's key and name signed under the roots of this authority, for a rotation.
   *
   * @param signer - The new root's key, which signs the request and stays here.
   */
  readonly crossSign: (root: Certificate, signer: Signer, options: SigningOptions) => Promise<Certificate>
}

/**
 * Opens an external CA that speaks the protocol of cfssl. Nothing is sent yet.
 *
 * Servers are asked in order until one gives a certificate. One that is unreachable, slow, busy or refuses is passed over. A certificate that differs from what was
 * asked for ends the request at once: somebody signs what nobody wanted, and a second server would only hide it.
 *
 * Its methods reject with the signal's reason, or with an {@link IdentityError}: the `EXTERNAL_CA_…` codes when no certificate came, of which those
 * that are worth another try say `retryable`; those of {@link verifyIssued} and {@link verifyCrossSigned} for one that is refused;
 * `CSR_SIGNATURE_INVALID`, `LIFETIME_TOO_SHORT`, `LIFETIME_EXCEEDS_ISSUER` before anything is sent, and for a root that
 * cannot be cross-signed `AUTHORITY_UNFIT` and `AUTHORITY_KEY_MISMATCH`.
 *
 * @throws {@link IdentityError} `EXTERNAL_CA_URL_INVALID` if authenticator and addresses do not go together.
 * @throws RangeError without a server or a root, or for a deadline that is not above zero.
 */
export function openExternalAuthority(options: ExternalAuthorityOptions): ExternalAuthority {
  const { roots, intermediates = [], verifier, profile, crossSignProfile, label } = options
  const servers = serversOf(options)
  const named = label === undefined ? {} : { label }
  const forNodes = profile === undefined ? named : { ...named, profile }
  const forOperators = { ...named, profile: options.operatorProfile ?? OPERATOR_PROFILE }
  const forRoots = crossSignProfile === undefined ? named : { ...named, profile: crossSignProfile }
  const lastEnd = Math.max(...roots.map(({ notAfter }) => notAfter))

  return {
    intermediates: [...intermediates],
    issue: async (csr, grant, { now, signal }) => {
      signal.throwIfAborted()
      checkEnd(askedValidity(grant, now), now, lastEnd)
      await verifyCsr(csr, verifier)
      const answer = await askInOrder(servers, encodeCfsslRequest(csr, grant, { ...forNodes, now }), signal)
      return await verifyIssued(answer, { csr, grant, now, roots, intermediates, verifier })
    },
    dryRun: async (throwAway, grant, { now, signal }) => {
      signal.throwIfAborted()
      checkEnd(askedValidity(grant, now), now, lastEnd)
      const csr = await createCsr(throwAway)
      const request = encodeCfsslRequest(csr, grant, { ...forNodes, now })
      const issued: Certificate[] = []
      for (const url of servers.urls) {
        const answer = await askOne(servers, url, request, signal)
        issued.push(await verifyIssued(answer, { csr, grant, now, roots, intermediates, verifier }))
      }
      return issued
    },
    issueOperator: async (csr, grant, { now, signal }) => {
      signal.throwIfAborted()
      if (intermediates.length > 0) {
        throw new IdentityError(
          'AUTHORITY_UNFIT',
          'operators come from a root itself, and this external ca signs with an intermediate; issue them with the root of the cluster',
        )
      }
      checkEnd(operatorValidity(grant, now), now, lastEnd)
      await verifyCsr(csr, verifier)
      const answer = await askInOrder(servers, encodeOperatorRequest(csr, grant, { ...forOperators, now }), signal)
      return await verifyIssuedOperator(answer, { csr, grant, now, roots, verifier })
    },
    crossSign: async (root, signer, { now, signal }) => {
      signal.throwIfAborted()
      checkRoot(root, roots)
      const request = encodeCrossSignRequest(root, await createCrossSignCsr(root, signer), forRoots)
      const answer = await askInOrder(servers, request, signal)
      return await verifyCrossSigned(answer, { root, now, roots, intermediates, verifier })
    },
  }
}

function serversOf({ urls, http, roots, authenticator, deadlineMs }: ExternalAuthorityOptions): Servers {
  const deadline = deadlineMs ?? EXTERNAL_CA_DEADLINE_MS
  if (urls.length === 0 || roots.length === 0)
    throw new RangeError('an external ca has at least one address and one root')
  if (!(deadline > 0)) throw new RangeError('deadlineMs must be above zero')
  // A key that is silently not used is as wrong as one that is missing.
  if (urls.some((url) => wantsToken(url) !== (authenticator !== undefined))) {
    throw new IdentityError(
      'EXTERNAL_CA_URL_INVALID',
      'addresses that end in /authsign go with a token key, and no others do; pass both or neither',
    )
  }
  return { urls: [...urls], http, authenticator: authenticator ?? null, deadlineMs: deadline }
}

function checkEnd({ notAfter }: Validity, now: number, lastEnd: number): void {
  if (notAfter > lastEnd) {
    throw new IdentityError(
      'LIFETIME_EXCEEDS_ISSUER',
      `certificate would outlive every root, the last of which ends in ${Math.max(0, lastEnd - now)} ms; grant less or renew the root`,
    )
  }
}

function checkRoot(root: Certificate, roots: readonly Certificate[]): void {
  const fit = root.isCa && root.keyUsage?.includes('keyCertSign') === true && root.subjectKeyId !== null
  const apart = roots.every(({ subject }) => !equalBytes(subject.der, root.subject.der))
  if (!fit || !apart) {
    throw new IdentityError(
      'AUTHORITY_UNFIT',
      'the new root may not sign certificates, or has the name of an old one; make a root with a name of its own',
    )
  }
}
