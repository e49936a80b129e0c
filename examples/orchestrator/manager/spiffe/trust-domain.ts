import {
  type Certificate,
  type NodeId,
  parseSpiffeId,
  parseTrustDomain,
  type SpiffeId,
  spiffeIdOf,
  type TrustDomain,
} from '@leastwise/identity'
import { OrchestratorError } from '../../errors.ts'
import { type Given, textOf } from '../../operator/command.ts'

/** The option of `manager` that makes workloads of nodes. */
export const TRUST_DOMAIN = 'spiffe-trust-domain'

// What a constraint on hosts in an intermediate can say; the standard also lets underscores stand in a trust domain.
const HOST = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/

/**
 * Reads it; null when it is not given.
 *
 * @throws OrchestratorError `USAGE`, IdentityError `SPIFFE_ID_MALFORMED`
 */
export function trustDomainIn(given: Given): TrustDomain | null {
  const text = textOf(given, TRUST_DOMAIN)
  if (text === undefined) return null
  if (!HOST.test(text)) throw new OrchestratorError('USAGE', `--${TRUST_DOMAIN} is a host name in lower case`)
  return parseTrustDomain(text)
}

/** The cluster's trust domain; null for a cluster that is none. */
export type ClusterTrustDomain = TrustDomain | null

export interface TrustDomainCommand {
  readonly type: 'set-trust-domain'
  readonly trustDomain: TrustDomain
}
export interface TrustDomainEvent {
  readonly type: 'trust-domain-set'
  readonly trustDomain: TrustDomain
}

/** Set once: whoever trusts the cluster's workloads does so by that name. */
export const clusterTrustDomain = {
  initial: null as ClusterTrustDomain,

  decide(state: ClusterTrustDomain, { trustDomain }: TrustDomainCommand): readonly TrustDomainEvent[] {
    if (state === trustDomain) return []
    if (state !== null)
      throw new OrchestratorError(
        'TRUST_DOMAIN_DIFFERS',
        'this cluster is another trust domain already; leave the option out, or name that one',
      )
    return [{ type: 'trust-domain-set', trustDomain }]
  },

  evolve: (_state: ClusterTrustDomain, { trustDomain }: TrustDomainEvent): ClusterTrustDomain => trustDomain,
}

/** The ID of a node: it says which one, and no more. */
export const spiffeIdOfNode = (trustDomain: TrustDomain, nodeId: NodeId): SpiffeId =>
  parseSpiffeId(`${spiffeIdOf(trustDomain)}/node/${nodeId}`)

/** Whether an issuer may give IDs of the trust domain. */
export const mayGiveIdsOf = (trustDomain: TrustDomain, { nameConstraints }: Certificate): boolean =>
  nameConstraints === null ||
  nameConstraints.permitted.some((subtree) => subtree.kind === 'uri' && subtree.value === trustDomain)
