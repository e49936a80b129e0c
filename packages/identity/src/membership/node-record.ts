import type { NodeId, Role } from './node-identity.ts'

/**
 * Where a node's certificate stands, as Docker Swarm's issuance status:
 * `pending` admitted, first certificate not signed yet; `issued` has one; `rotate` has one and is asked to renew;
 * `renew` has sent a new CSR that is not signed yet.
 */
export type CertificateStatus = 'pending' | 'issued' | 'rotate' | 'renew'

/** Whether new work may be placed on the node. */
export type Availability = 'active' | 'pause' | 'drain'

/** A certificate that a node may still use. */
export interface LiveCertificate {
  /** In lower-case hex. */
  readonly serial: string
  readonly notAfter: number
}

/** What the cluster knows about one of its nodes. All of it is public; instants are epoch milliseconds. */
export interface NodeRecord {
  readonly nodeId: NodeId
  readonly role: Role
  /** Grows with each change of the role, from 0. */
  readonly roleEpoch: number
  readonly availability: Availability
  readonly admittedAt: number
  readonly status: CertificateStatus
  /** PEM of the latest CSR, exactly as received: the node accepts a certificate only beside its own CSR. */
  readonly csr: string
  /** Hash of the public key in {@link NodeRecord.csr}. */
  readonly publicKeyHash: string
  /** PEM chain that answers {@link NodeRecord.csr}; `null` while that CSR is not signed. */
  readonly certificate: string | null
  /** Serial of the last certificate that was issued, in hex; `null` before the first. */
  readonly serial: string | null
  /** End of the last certificate that was issued; `null` before the first. */
  readonly notAfter: number | null
  /**
   * What was issued to the node under its present role epoch, the newest last: at most {@link MAX_LIVE_CERTIFICATES}.
   * After the first change of its role these alone are accepted.
   */
  readonly certificates: readonly LiveCertificate[]
  /** Latest end of anything ever issued to this node, which a shortened lifetime does not lower; `null` before the first. */
  readonly latestNotAfter: number | null
}

/**
 * Certificates of one node that are remembered. Renewal between 50 % and 80 % of a life leaves two alive; what falls off was
 * superseded many times over.
 */
export const MAX_LIVE_CERTIFICATES = 16

/** A node that was thrown out. */
export interface EvictionRecord {
  readonly nodeId: NodeId
  /** The operator's words. */
  readonly reason: string
  readonly at: number
  /** From here on nothing that was issued to the node is valid any more, and the record may be forgotten. */
  readonly until: number
}
