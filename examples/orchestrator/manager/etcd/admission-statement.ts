import { decodePlain, encodePlain } from '../../plain-data.ts'
import type { Signed } from '../signed-by-manager.ts'

/**
 * What two managers say to each other through etcd, which both can reach and neither has to trust: each statement is signed with
 * the node key of the manager that makes it, over a label of its own and every field.
 */

/** A manager that joined asks the others to wrap the cluster's data key for it. */
export interface AdmissionRequest {
  readonly clusterId: string
  readonly nodeId: string
  /** Name of its box key among the members of the log. */
  readonly memberId: string
  /** X25519, 32 bytes. */
  readonly boxKey: Uint8Array
  /** Epoch milliseconds. */
  readonly at: number
}

/** The answer: where the chain of data keys stands, which nobody but a manager can vouch for. */
export interface AdmissionAnswer {
  readonly clusterId: string
  /** Who asked. */
  readonly memberId: string
  readonly boxKey: Uint8Array
  readonly generation: number
  readonly mark: string
}

/** An admission request is good for so long; clocks of managers differ by less. */
export const REQUEST_AGE_MS = 600_000

const REQUEST = 'leastwise-orchestrator admission request v1'
const ANSWER = 'leastwise-orchestrator admission answer v1'
const MAX_RECORD_BYTES = 64 * 1024

export const encodeRequest = (request: AdmissionRequest): Uint8Array => encodePlain([REQUEST, { ...request }])
export const encodeAnswer = (answer: AdmissionAnswer): Uint8Array => encodePlain([ANSWER, { ...answer }])
export const encodeSigned = (signed: Signed): Uint8Array => encodePlain({ ...signed })

/** The fields of a value that was written by {@link encodePlain}, or null for anything else. */
function fieldsIn(bytes: Uint8Array, maxBytes = MAX_RECORD_BYTES): Readonly<Record<string, unknown>> | null {
  if (bytes.length > maxBytes) return null
  try {
    const value = decodePlain(bytes)
    return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : null
  } catch {
    return null
  }
}

function labelled(bytes: Uint8Array, label: string): Readonly<Record<string, unknown>> | null {
  const pair = fieldsIn(bytes)
  if (!Array.isArray(pair) || pair.length !== 2 || pair[0] !== label) return null
  const fields: unknown = pair[1]
  return typeof fields === 'object' && fields !== null ? (fields as Readonly<Record<string, unknown>>) : null
}

const isBoxKey = (value: unknown): value is Uint8Array => value instanceof Uint8Array && value.length === 32

export function decodeSigned(bytes: Uint8Array, maxBytes?: number): Signed | null {
  const { statement, signature, chain } = fieldsIn(bytes, maxBytes) ?? {}
  return statement instanceof Uint8Array && signature instanceof Uint8Array && typeof chain === 'string'
    ? { statement, signature, chain }
    : null
}

export function decodeRequest(bytes: Uint8Array): AdmissionRequest | null {
  const { clusterId, nodeId, memberId, boxKey, at } = labelled(bytes, REQUEST) ?? {}
  return typeof clusterId === 'string' &&
    typeof nodeId === 'string' &&
    typeof memberId === 'string' &&
    isBoxKey(boxKey) &&
    typeof at === 'number'
    ? { clusterId, nodeId, memberId, boxKey, at }
    : null
}

export function decodeAnswer(bytes: Uint8Array): AdmissionAnswer | null {
  const { clusterId, memberId, boxKey, generation, mark } = labelled(bytes, ANSWER) ?? {}
  return typeof clusterId === 'string' &&
    typeof memberId === 'string' &&
    isBoxKey(boxKey) &&
    typeof generation === 'number' &&
    typeof mark === 'string'
    ? { clusterId, memberId, boxKey, generation, mark }
    : null
}
