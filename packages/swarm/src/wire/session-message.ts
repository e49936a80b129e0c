import { create } from '@bufbuild/protobuf'
import { type SessionMessage, SessionMessageSchema } from '../gen/docker/swarmkit/v1/dispatcher_pb.ts'
import { Membership, NodeRole as WireRole } from '../gen/docker/swarmkit/v1/node_pb.ts'
import type { Availability } from '../node-description.ts'
import type { IssuanceState, ManagerPeer, SessionUpdate } from '../session-update.ts'
import { availabilities, issuanceStates } from './codebook.ts'
import { idField, malformed, safeNumber, textField } from './fields.ts'
import { MAX_MANAGERS } from './limits.ts'

/**
 * Writes one session message.
 *
 * The node is always described as a worker: told that it should be a manager, a stock engine would look for a Raft service
 * that is not there. Its CSR and certificate are left out, it needs neither.
 */
export function encodeSessionMessage(nodeId: string, sessionId: string, update: SessionUpdate): SessionMessage {
  return create(SessionMessageSchema, {
    sessionId,
    node: {
      id: nodeId,
      role: WireRole.WORKER,
      spec: {
        desiredRole: WireRole.WORKER,
        membership: Membership.ACCEPTED,
        availability: availabilities.encode(update.availability),
      },
      certificate: {
        role: WireRole.WORKER,
        cn: nodeId,
        status: { state: issuanceStates.encode(update.certificate) },
      },
    },
    managers: update.managers.map((manager) => ({
      peer: { nodeId: manager.nodeId, addr: manager.address },
      weight: BigInt(Math.trunc(manager.weight)),
    })),
    networkBootstrapKeys: (update.networkKeys ?? []).map(({ subsystem, key, lamportTime }) => ({
      subsystem,
      key,
      lamportTime,
    })),
    rootCa: update.trustBundle,
  })
}

/** What an agent reads from a session message; absent parts mean "no news". */
export interface SessionNotice {
  readonly sessionId: string
  readonly certificate: IssuanceState | null
  readonly availability: Availability | null
  readonly managers: readonly ManagerPeer[]
  readonly trustBundle: Uint8Array<ArrayBuffer> | null
}

/**
 * Reads one session message.
 *
 * @throws {@link SwarmError} `MESSAGE_MALFORMED` when the session id is missing or a part is not what it should be.
 */
export function decodeSessionMessage(message: SessionMessage): SessionNotice {
  if (message.managers.length > MAX_MANAGERS) throw malformed('manager', 'number of managers')
  const state = message.node?.certificate?.status?.state
  const availability = message.node?.spec?.availability
  return {
    sessionId: idField(message.sessionId, 'manager', 'session id'),
    // State 0 is the wire's "unknown": nothing is asked of the node.
    certificate: state === undefined || state === 0 ? null : issuanceStates.decode(state, 'manager'),
    availability: availability === undefined ? null : availabilities.decode(availability, 'manager'),
    managers: message.managers.flatMap(({ peer, weight }) =>
      peer === undefined || peer.addr === ''
        ? []
        : [
            {
              nodeId: textField(peer.nodeId, 'manager', 'manager id'),
              address: textField(peer.addr, 'manager', 'manager address'),
              weight: safeNumber(weight, 'manager', 'manager weight'),
            },
          ],
    ),
    trustBundle: message.rootCa.length === 0 ? null : message.rootCa.slice(),
  }
}
