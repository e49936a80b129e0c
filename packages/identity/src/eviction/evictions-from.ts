import { EVICTION_MARGIN_MS } from '../membership/membership.ts'
import type { MembershipEvent } from '../membership/membership-events.ts'
import { type Membership, nodeOf } from '../membership/membership-state.ts'
import { type LiveCertificate, MAX_LIVE_CERTIFICATES } from '../membership/node-record.ts'
import type { Eviction, EvictionReason } from './eviction.ts'

const SECOND_MS = 1000
const secondsUp = (ms: number): number => Math.ceil(ms / SECOND_MS) * SECOND_MS

function ofCertificates(certificates: readonly LiveCertificate[], reason: EvictionReason, at: number): Eviction[] {
  return certificates
    .filter(({ notAfter }) => notAfter >= at)
    .map(({ serial, notAfter }) => ({
      kind: 'certificate',
      serial,
      issuerKeyId: null,
      reason,
      at,
      until: secondsUp(notAfter + EVICTION_MARGIN_MS),
    }))
}

/**
 * What an event of the membership means for the evictions, so that peers which have no membership refuse the same as those which have.
 *
 * An eviction evicts the node, and its certificates by number for CRLs. A change of role evicts by number everything of the epoch
 * that ends. A certificate that falls off the list of those a node may use is evicted too: without that, a node could renew until
 * an old certificate is forgotten, and be demoted without it. Commit the result together with the event.
 *
 * @param before - The membership as it was before `event`.
 * @param now - The present, epoch milliseconds.
 */
export function evictionsFrom(before: Membership, event: MembershipEvent, now: number): readonly Eviction[] {
  const at = Math.floor(now / SECOND_MS) * SECOND_MS
  switch (event.type) {
    case 'node-evicted': {
      const { nodeId, until } = event
      const certificates = nodeOf(before, nodeId)?.certificates ?? []
      const reason = 'privilege-withdrawn'
      return [
        { kind: 'node', nodeId, reason, at, until: Math.max(secondsUp(until), at + SECOND_MS) },
        ...ofCertificates(certificates, reason, at),
      ]
    }
    case 'role-changed':
      return ofCertificates(nodeOf(before, event.nodeId)?.certificates ?? [], 'affiliation-changed', at)
    case 'certificate-recorded': {
      const certificates = nodeOf(before, event.nodeId)?.certificates ?? []
      return certificates.length < MAX_LIVE_CERTIFICATES
        ? []
        : ofCertificates(certificates.slice(0, 1), 'superseded', at)
    }
    case 'node-admitted':
    case 'renewal-requested':
    case 'renewal-received':
    case 'evictions-pruned':
    case 'node-restored':
      return []
  }
}
