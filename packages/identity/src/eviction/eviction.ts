import type { NodeId } from '../membership/node-identity.ts'
import { type Placed, place } from './buckets.ts'

/** Why somebody or something is evicted, in the words of RFC 5280 section 5.3.1. */
export type EvictionReason =
  | 'unspecified'
  | 'key-compromise'
  | 'ca-compromise'
  | 'affiliation-changed'
  | 'superseded'
  | 'cessation-of-operation'
  | 'privilege-withdrawn'

interface EvictionFacts {
  readonly reason: EvictionReason
  /** When it was decided; epoch milliseconds, whole seconds. */
  readonly at: number
  /** Until when it is remembered: beyond the end of the last certificate that it could hit. Epoch milliseconds, whole seconds. */
  readonly until: number
}

/** Everything that was issued to a node or an operator is refused. */
export interface NodeEviction extends EvictionFacts {
  readonly kind: 'node'
  readonly nodeId: NodeId
}

/** One certificate is refused: of a node, of an operator, or an intermediate's, and with it all that it issued. */
export interface CertificateEviction extends EvictionFacts {
  readonly kind: 'certificate'
  /** The serial number in lower-case hexadecimal, as a certificate gives it. */
  readonly serial: string
  /** Key identifier of the issuer in hexadecimal, for its CRL; `null` when it is not known, and then each CRL lists it. */
  readonly issuerKeyId: string | null
}

/** Who or what is evicted. A stale role epoch is evicted by the serial numbers that it had. */
export type Eviction = NodeEviction | CertificateEviction

/** By what a peer is looked up. */
export interface EvictionSubject {
  readonly nodeId: string
  /** Lower-case hexadecimal. */
  readonly serial: string
}

/** What one eviction is about, as a key: equal targets have equal keys. */
export const targetOf = (eviction: Eviction): string =>
  eviction.kind === 'node' ? `n${eviction.nodeId}` : `s${eviction.serial}`

/** Where an eviction belongs. */
export const placeOf = (eviction: Eviction): Placed =>
  eviction.kind === 'node' ? placeOfNode(eviction.nodeId) : placeOfSerial(eviction.serial)

/** Where the eviction of a node would be. */
export const placeOfNode = (nodeId: string): Placed => place('n', nodeId)

/** Where the eviction of a certificate would be. */
export const placeOfSerial = (serial: string): Placed => place('s', serial)
