import type { NodeId, Role } from './node-identity.ts'
import type { Availability, NodeRecord } from './node-record.ts'

/** What may be asked of the membership. Instants are epoch milliseconds. */
export type MembershipCommand =
  /** A node with a valid join token (or the first manager) becomes a member; its CSR waits to be signed. */
  | {
      readonly type: 'admit'
      readonly nodeId: NodeId
      readonly role: Role
      /** PEM of the CSR, as received. */
      readonly csr: string
      readonly publicKeyHash: string
      /** `active` unless said otherwise. */
      readonly availability?: Availability
      readonly now: number
    }
  /** An operator, or a rotation, wants the node to get a new certificate: it is told so in its session. */
  | { readonly type: 'request-renewal'; readonly nodeId: NodeId }
  /** The node itself, proven by its certificate, sends the CSR of a new key. */
  | { readonly type: 'renew'; readonly nodeId: NodeId; readonly csr: string; readonly publicKeyHash: string }
  /** The pending CSR was signed. Hand the certificate out only after the resulting event is durable. */
  | {
      readonly type: 'record-certificate'
      readonly nodeId: NodeId
      /** The CSR that was signed. */
      readonly csr: string
      /** PEM chain, leaf first. */
      readonly certificate: string
      /** In hex. */
      readonly serial: string
      readonly notAfter: number
      /** The role epoch that the node had when this was signed; 0 unless said otherwise. */
      readonly roleEpoch?: number
    }
  /** Promotes or demotes. Every certificate of the node is stale from here on, and it is asked to renew. */
  | { readonly type: 'set-role'; readonly nodeId: NodeId; readonly role: Role; readonly now: number }
  /** Throws the node out. `until` may only lengthen the time for which this is remembered. */
  | {
      readonly type: 'evict'
      readonly nodeId: NodeId
      readonly reason: string
      readonly now: number
      readonly until?: number
    }
  /** Forgets evictions that no certificate needs any more; looks at each of them, so ask hourly rather than each second. */
  | { readonly type: 'prune'; readonly now: number }

/** What happened to the membership: JSON-safe, and what a host keeps in its log. */
export type MembershipEvent =
  | {
      readonly type: 'node-admitted'
      readonly nodeId: NodeId
      readonly role: Role
      readonly csr: string
      readonly publicKeyHash: string
      readonly availability: Availability
      readonly at: number
    }
  | { readonly type: 'renewal-requested'; readonly nodeId: NodeId }
  | { readonly type: 'renewal-received'; readonly nodeId: NodeId; readonly csr: string; readonly publicKeyHash: string }
  | {
      readonly type: 'certificate-recorded'
      readonly nodeId: NodeId
      readonly csr: string
      readonly certificate: string
      readonly serial: string
      readonly notAfter: number
    }
  | {
      readonly type: 'role-changed'
      readonly nodeId: NodeId
      readonly role: Role
      /** One more than before. */
      readonly roleEpoch: number
      readonly at: number
    }
  | {
      readonly type: 'node-evicted'
      readonly nodeId: NodeId
      readonly reason: string
      readonly at: number
      readonly until: number
    }
  | { readonly type: 'evictions-pruned'; readonly nodeIds: readonly string[] }
  /** A whole record, from a snapshot. */
  | { readonly type: 'node-restored'; readonly node: NodeRecord }
