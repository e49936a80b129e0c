import { equalBytes } from '../bytes.ts'
import { type Certificate, couldSign, parseCertificate } from '../certificate/certificate.ts'
import { isWithin } from '../certificate/validity.ts'
import { IdentityError } from '../errors.ts'
import { isFitIntermediate, isFitRoot, NODE_RULES } from '../issuing/issuer-rules.ts'
import type { FoundedAuthority } from './founded.ts'
import { rootIdOf } from './root-id.ts'

/** A new root, and what nodes would present with its leaves. */
export interface TargetParts {
  readonly root: Certificate
  /** What stands between the key and the root, lowest first. */
  readonly intermediates: readonly Certificate[]
  readonly crossSigned: Certificate
}

const refused = (problem: string): IdentityError => new IdentityError('ROTATION_TARGET_UNFIT', problem)

const unfit = (problem: string): IdentityError => refused(`the new root ${problem}; make or import another one`)

/** A chain can hang on the root by way of another CA, whatever names and roles its leaves have. */
export const mayVouchForRoots = ({ pathLength, nameConstraints }: Certificate): boolean =>
  pathLength !== 0 && nameConstraints === null

/** Whether name and key identifiers say that `upper` signed `lower`. */
export function isNamedBy(lower: Certificate, upper: Certificate): boolean {
  const { authorityKeyId } = lower
  const { subjectKeyId } = upper
  const sameKey = authorityKeyId === null || subjectKeyId === null || equalBytes(authorityKeyId, subjectKeyId)
  return equalBytes(lower.issuer.der, upper.subject.der) && couldSign(upper, lower) && sameKey
}

/**
 * Refuses a new root that could be taken for one in use, that peers would not go by, or for which the root in force cannot vouch: each of these would lock nodes out.
 *
 * @throws {@link IdentityError} `ROTATION_TARGET_UNFIT`.
 */
export function checkTarget(state: FoundedAuthority, parts: TargetParts, now: number): void {
  const current = parseCertificate(state.roots[0].certificate)
  checkDistinct(state, current, parts.root)
  checkFit(parts, state.lifetimeMs, now)
  checkVouched(state, current, parts, now)
}

/** By name, key and key identifier: with one of them alike, nodes under one root would count as come to the other. */
function checkDistinct(state: FoundedAuthority, current: Certificate, root: Certificate): void {
  if (!root.isCa || root.keyUsage?.includes('keyCertSign') !== true) throw unfit('may not sign certificates')
  const { givenUp = [], target = null, hasReissued = false } = state.rotation ?? {}
  // A root under which nothing was issued leaves no trace; and one may go back to the very root that was given up.
  const tried = [...givenUp, ...(hasReissued && target !== null ? [target.root.certificate] : [])]
    .map((pem) => parseCertificate(pem))
    .filter(({ der }) => !equalBytes(der, root.der))
  const gone = state.bridges.map(({ certificate }) => parseCertificate(certificate))
  for (const known of [current, ...gone, ...tried]) {
    if (equalBytes(known.publicKey, root.publicKey)) throw unfit('has the key of a root of this cluster')
    if (equalBytes(known.subject.der, root.subject.der)) throw unfit('has the name of a root of this cluster')
    if (rootIdOf(known) === rootIdOf(root)) throw unfit('has the key identifier of a root of this cluster')
  }
}

/** Root and intermediates are what peers accept as issuers, each named as the signer of the one below. */
function checkFit({ root, intermediates }: TargetParts, lifetimeMs: number, now: number): void {
  if (!isWithin(root, now) || root.notAfter - now < lifetimeMs)
    throw unfit('is not valid now, or ends before the first certificate that it would issue')
  if (!isFitRoot(root, now, NODE_RULES))
    throw unfit('limits uses, names another issuer, or marks its extensions wrongly, so that no peer would go by it')
  const chain = [...intermediates, root]
  for (const [depth, lower] of intermediates.entries()) {
    const upper = chain[depth + 1] ?? root
    if (!isFitIntermediate(lower, now, NODE_RULES) || !isNamedBy(lower, upper) || upper.nameConstraints !== null)
      throw unfit('comes with an intermediate that it did not make, or that may not issue for nodes')
  }
  if (!chain.every(({ pathLength }, depth) => pathLength === null || pathLength >= depth))
    throw unfit('has no room for what stands below it')
}

/** The twin is the new root signed by the one in force, and chains by way of it hold for who knows nothing but an older root. */
function checkVouched(state: FoundedAuthority, current: Certificate, parts: TargetParts, now: number): void {
  const { root, crossSigned, intermediates } = parts
  const twin =
    isFitIntermediate(crossSigned, now, NODE_RULES) &&
    equalBytes(crossSigned.subject.der, root.subject.der) &&
    equalBytes(crossSigned.publicKey, root.publicKey) &&
    crossSigned.subjectKeyId !== null &&
    rootIdOf(crossSigned) === rootIdOf(root)
  const signed = crossSigned.authorityKeyId !== null && current.subjectKeyId !== null && isNamedBy(crossSigned, current)
  if (!twin || !signed)
    throw refused(
      'the cross-signed certificate is not the new root signed by the root in force, or may not issue for nodes; let the root in force sign it again',
    )
  if (Math.min(crossSigned.notAfter, current.notAfter) - now < state.lifetimeMs)
    throw refused(
      'the cross-signed certificate, or the root that signed it, ends before a certificate that hangs on it; sign it for longer, or shorten lifetimes',
    )
  const bridges = state.bridges.filter(({ until }) => until > now)
  const ladder = [crossSigned, ...bridges.map((bridge) => parseCertificate(bridge.crossSigned))]
  const trusted = [current, ...bridges.map(({ certificate }) => parseCertificate(certificate))]
  // The nth twin has so many CAs below it, and the root that signed it one more.
  const hasRoom = ({ pathLength }: Certificate, below: number): boolean => pathLength === null || pathLength >= below
  const room =
    ladder.every((each, at) => hasRoom(each, intermediates.length + at)) &&
    trusted.every((each, at) => hasRoom(each, intermediates.length + at + 1))
  if (!room || current.nameConstraints !== null)
    throw refused(
      'the root in force has no room for another CA below it, or binds names, so that it cannot vouch for a new root; import the new one without an intermediate, or found a cluster on it',
    )
}
