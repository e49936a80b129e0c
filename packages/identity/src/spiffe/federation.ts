import type { Certificate } from '../certificate/certificate.ts'
import { IdentityError } from '../errors.ts'
import type { Decider } from '../ports.ts'
import { formatSpiffeBundle, parseSpiffeBundle, type SpiffeBundle } from './bundle.ts'
import { mayVouchFor } from './signing-rule.ts'
import type { TrustDomain } from './spiffe-id.ts'
import type { TrustDomainRoots } from './verify-svid.ts'

/** A foreign trust domain that is trusted for its own names. */
export interface FederatedDomain {
  readonly bundle: SpiffeBundle
  /** When this bundle was taken, epoch milliseconds. */
  readonly updatedAt: number
}

/** The foreign trust domains of a cluster. */
export type Federation = ReadonlyMap<TrustDomain, FederatedDomain>

/** What may be asked. */
export type FederationCommand =
  /** An operator's decision to trust a trust domain; its first bundle came on a channel that he trusts. */
  | {
      readonly type: 'federate'
      readonly trustDomain: TrustDomain
      readonly document: string | Uint8Array
      readonly now: number
    }
  /** What a trust domain publishes now, for one that is trusted already. */
  | {
      readonly type: 'refresh'
      readonly trustDomain: TrustDomain
      readonly document: string | Uint8Array
      readonly now: number
    }
  /** Ends it; nothing of the trust domain is remembered. */
  | { readonly type: 'end'; readonly trustDomain: TrustDomain }

/** What happened. The document is the canonical text of the bundle. */
export type FederationEvent =
  | {
      readonly type: 'bundle-taken'
      readonly trustDomain: TrustDomain
      readonly document: string
      readonly at: number
    }
  | { readonly type: 'federation-ended'; readonly trustDomain: TrustDomain }

/** Each one is an operator's agreement with somebody; a copy of the list is made at each change. */
export const MAX_FEDERATED_DOMAINS = 256

const unknown = (): IdentityError =>
  new IdentityError(
    'FEDERATION_UNKNOWN',
    'there is no federation with this trust domain; an operator must begin it with its bundle',
  )

function checkNew(state: Federation, own: TrustDomain, trustDomain: TrustDomain): void {
  if (trustDomain === own) {
    throw new IdentityError(
      'FEDERATION_OWN_DOMAIN',
      'this is the own trust domain, whose roots nobody else publishes; federate with another one',
    )
  }
  if (state.has(trustDomain))
    throw new IdentityError('FEDERATION_EXISTS', 'there is a federation with this trust domain; refresh its bundle')
  if (state.size >= MAX_FEDERATED_DOMAINS) {
    throw new IdentityError(
      'FEDERATION_FULL',
      `there are ${MAX_FEDERATED_DOMAINS} federated trust domains; end one that is not needed`,
    )
  }
}

/** SPIFFE Trust Domain and Bundle section 4.1.1: the number grows, and whenever the bundle changes. */
function checkNewer(known: SpiffeBundle, fresh: SpiffeBundle): void {
  const { sequence } = known
  if (sequence !== null && (fresh.sequence === null || fresh.sequence <= sequence)) {
    throw new IdentityError(
      'SPIFFE_BUNDLE_STALE',
      'sequence number of the bundle is not above that of the one in use; fetch the current one, or end the federation and begin it anew',
    )
  }
}

function taken(
  trustDomain: TrustDomain,
  bundle: SpiffeBundle,
  { document, at }: { readonly document: string; readonly at: number },
): readonly FederationEvent[] {
  if (!bundle.roots.every((root) => mayVouchFor(trustDomain, root))) {
    throw new IdentityError(
      'SPIFFE_BUNDLE_FOREIGN',
      'bundle has a root with a spiffe id other than that of the trust domain; take the bundle of that trust domain',
    )
  }
  return [{ type: 'bundle-taken', trustDomain, document, at }]
}

function decide(own: TrustDomain, state: Federation, command: FederationCommand): readonly FederationEvent[] {
  const { type, trustDomain } = command
  const known = state.get(trustDomain)
  if (type === 'end') {
    if (known === undefined) throw unknown()
    return [{ type: 'federation-ended', trustDomain }]
  }
  if (type === 'federate') checkNew(state, own, trustDomain)
  else if (known === undefined) throw unknown()
  const bundle = parseSpiffeBundle(command.document)
  const document = formatSpiffeBundle(bundle)
  if (known !== undefined) {
    if (formatSpiffeBundle(known.bundle) === document) return []
    checkNewer(known.bundle, bundle)
  }
  return taken(trustDomain, bundle, { document, at: command.now })
}

function evolve(state: Federation, event: FederationEvent): Federation {
  const next = new Map(state)
  if (event.type === 'federation-ended') next.delete(event.trustDomain)
  else next.set(event.trustDomain, { bundle: parseSpiffeBundle(event.document), updatedAt: event.at })
  return next
}

/**
 * The foreign trust domains of a cluster, as a decider: begun by an operator with a first bundle, refreshed with what the trust domain publishes,
 * ended. A refresh cannot add a trust domain, and its sequence number cannot go back: an old bundle, in which a revoked root still stands, is refused.
 *
 * The refusals of `decide` are {@link IdentityError}s: `FEDERATION_OWN_DOMAIN`, `FEDERATION_EXISTS`, `FEDERATION_UNKNOWN`, `FEDERATION_FULL` beyond
 * {@link MAX_FEDERATED_DOMAINS}, `SPIFFE_BUNDLE_STALE`, `SPIFFE_BUNDLE_FOREIGN`, and those of {@link parseSpiffeBundle}.
 *
 * @param own - The trust domain of the cluster itself.
 */
export const federationOf = (own: TrustDomain): Decider<Federation, FederationCommand, FederationEvent> => ({
  initial: new Map(),
  decide: (state, command) => decide(own, state, command),
  evolve,
})

/** The fewest events that lead to `state`, for a snapshot. */
export const federationEvents = (state: Federation): readonly FederationEvent[] =>
  Array.from(state, ([trustDomain, { bundle, updatedAt }]) => ({
    type: 'bundle-taken',
    trustDomain,
    document: formatSpiffeBundle(bundle),
    at: updatedAt,
  }))

/** The roots of the cluster for its own trust domain, whatever the federation holds, and those of each federated one for its own. */
export const federatedRoots = (
  own: { readonly trustDomain: TrustDomain; readonly roots: readonly Certificate[] },
  state: Federation,
): TrustDomainRoots => ({
  rootsOf: (trustDomain) =>
    trustDomain === own.trustDomain ? own.roots : (state.get(trustDomain)?.bundle.roots ?? null),
})
