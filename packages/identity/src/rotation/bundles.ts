import { type Certificate, parseCertificate } from '../certificate/certificate.ts'
import type { FoundedAuthority } from './founded.ts'
import type { AuthorityRoot } from './rotation-state.ts'

/** PEM of the trust bundle that members are told: the root in force, and beside it the one that comes. */
export function trustBundleOf(state: FoundedAuthority): string {
  const { target } = state.rotation ?? { target: null }
  return state.roots[0].certificate + (target?.root.certificate ?? '')
}

/**
 * The bundles that nodes without an identity may be given, whose digests join tokens carry, the one for new tokens first.
 *
 * While nodes come over, that is the old root alone: a chain of either root verifies for it. When all have come, it is the new one, and for
 * as long as tokens of the old one are good that one, too.
 */
export function joinBundlesOf(state: FoundedAuthority, now: number): readonly [string, ...string[]] {
  const { rotation, roots, bridges } = state
  const gone = bridges[0]
  const overlaps = rotation?.phase === 'finishing' && rotation.tokensUntil !== null && now < rotation.tokensUntil
  return gone === undefined || !overlaps ? [roots[0].certificate] : [roots[0].certificate, gone.certificate]
}

/** Length of a turn of {@link joinBundleAt}, in milliseconds. A stock engine asks every 2 s, five times: it meets each bundle at least once. */
export const JOIN_BUNDLE_TURN_MS = 3_000

/**
 * The one bundle for nodes without an identity at `now`. Nobody knows which token such a node has before it has the right bundle; so where two are
 * good, they take turns, the same ones on every manager, and a node whose digest does not match asks again.
 */
export function joinBundleAt(state: FoundedAuthority, now: number): string {
  const bundles = joinBundlesOf(state, now)
  return bundles[Math.floor(now / JOIN_BUNDLE_TURN_MS) % bundles.length] ?? bundles[0]
}

/**
 * The roots that presented chains are held against, each alone, in this order: for {@link observePresented}. Given-up ones come before the root in
 * force, which vouches for their certificates, too, by way of the cross-signed ones.
 */
export function rotationRootsOf({ rotation, roots }: FoundedAuthority): readonly Certificate[] {
  const target = rotation?.target ? [rotation.target.root.certificate] : []
  return [...target, ...(rotation?.givenUp ?? []), roots[0].certificate].map((pem) => parseCertificate(pem))
}

/** What issues now: for {@link openAuthority}, with a signer over the key. */
export interface IssuingParts {
  readonly certificate: Certificate
  /** PKCS #8 DER; `null` when the key is somewhere else. */
  readonly privateKey: Uint8Array | null
  /** What follows each leaf, lowest first: verifies for every node of the cluster, whichever root it trusts. */
  readonly intermediates: readonly Certificate[]
  /** Names what issues: a certificate that was signed for another one must not be recorded any more. */
  readonly issuerId: string
}

/** Which key issues at `now`, and what its leaves are presented with. */
export function issuingPartsOf(state: FoundedAuthority, now: number): IssuingParts {
  const target = state.rotation?.phase === 'reissuing' ? state.rotation.target : null
  const root: AuthorityRoot = target?.root ?? state.roots[0]
  const own = (root.intermediates ?? []).map((pem) => parseCertificate(pem))
  const crossed = [
    ...(target === null ? [] : [target.crossSigned]),
    ...state.bridges.filter(({ until }) => until > now).map(({ crossSigned }) => crossSigned),
  ].map((pem) => parseCertificate(pem))
  const intermediates = [...own, ...crossed]
  return {
    certificate: own[0] ?? parseCertificate(root.certificate),
    privateKey: root.privateKey,
    intermediates,
    issuerId: [root.certificate, ...intermediates.map(({ pem }) => pem)].join(''),
  }
}
