import type { Certificate } from '../certificate/certificate.ts'
import { COMMON_NAME, ORGANIZATION, ORGANIZATIONAL_UNIT } from '../certificate/name.ts'
import { isEvicted, type Membership } from '../membership/membership-state.ts'
import { isNodeId, type NodeId } from '../membership/node-identity.ts'
import { INTERMEDIATE_UNIT } from './intermediate-profile.ts'

/** The manager for whom an issuing intermediate was made; `null` for any other certificate. */
export function managerOfIntermediate({ isCa, subject: { attributes } }: Certificate): NodeId | null {
  const [organization, unit, common, ...more] = attributes
  const shaped =
    isCa &&
    more.length === 0 &&
    organization?.type === ORGANIZATION &&
    unit?.type === ORGANIZATIONAL_UNIT &&
    unit.value === INTERMEDIATE_UNIT &&
    common?.type === COMMON_NAME
  return shaped && isNodeId(common.value) ? common.value : null
}

/**
 * Withdraws the intermediate of every evicted manager, and no other: for `isRevokedIssuer` of a verification. What such a manager has issued is refused
 * from then on, and its nodes get their certificates from another one.
 *
 * @param readState - Gives the current membership; called for each intermediate that is met.
 */
export const ofEvictedManager =
  (readState: () => Membership): ((issuer: Certificate) => boolean) =>
  (issuer) => {
    const managerId = managerOfIntermediate(issuer)
    return managerId !== null && isEvicted(readState(), managerId)
  }
