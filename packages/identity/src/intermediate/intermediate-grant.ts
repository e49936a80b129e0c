import type { Certificate } from '../certificate/certificate.ts'
import type { Role } from '../membership/node-identity.ts'
import type { TrustDomain } from '../spiffe/spiffe-id.ts'
import type { Zone } from '../zone.ts'

/**
 * **Warning**: lets an intermediate issue the certificates of managers. Whoever holds its key can then make managers; the rule of a cluster is that
 * managers come from the root alone.
 */
export const allowManagerIssuing: unique symbol = Symbol('allowManagerIssuing')

/** What a manager may issue by itself, and for how long. Nothing of it comes from the request. */
export interface IntermediateGrant {
  /** The certificate that the manager has as a node, verified before: its subject names cluster and manager, and its key is not that of the intermediate. */
  readonly manager: Certificate
  /** The zones whose nodes it may issue for, 1 to {@link MAX_INTERMEDIATE_ZONES}. Without them: nodes of the whole cluster, in any zone or none. */
  readonly zones?: readonly Zone[]
  /** The trust domain whose SPIFFE IDs it may give. Without it: none at all. */
  readonly trustDomain?: TrustDomain
  /** From now to the end, in milliseconds: 1 hour to {@link MAX_INTERMEDIATE_LIFETIME_MS}. Default {@link DEFAULT_INTERMEDIATE_LIFETIME_MS}. */
  readonly lifetimeMs?: number
  readonly [allowManagerIssuing]?: true
}

const DAY_MS = 24 * 60 * 60 * 1000

/** Seven days: what is stolen ends within a week, and a root that is kept offline is fetched once in that time. */
export const DEFAULT_INTERMEDIATE_LIFETIME_MS: number = 7 * DAY_MS

/** Thirty days. Node certificates live as long at most, since none outlives its issuer. */
export const MAX_INTERMEDIATE_LIFETIME_MS: number = 30 * DAY_MS

/** Each zone is a subtree that every name is compared with, and 16 keep the certificate under 1.5 KiB. */
export const MAX_INTERMEDIATE_ZONES = 16

/** The roles that a grant lets the intermediate issue. */
export const rolesOf = (grant: IntermediateGrant): readonly Role[] =>
  grant[allowManagerIssuing] === true ? ['worker', 'manager'] : ['worker']
