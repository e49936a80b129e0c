import type { HandlerContext, ServiceImpl } from '@connectrpc/connect'
import { within } from '../abortable.ts'
import { callerKey } from '../access.ts'
import { SwarmError } from '../errors.ts'
import { type CA, type IssueNodeCertificateRequest, type NodeCA } from '../gen/docker/swarmkit/v1/identity_pb.ts'
import { Membership } from '../gen/docker/swarmkit/v1/node_pb.ts'
import type { Clock } from '../ports.ts'
import { availabilities, issuanceStates, roles } from '../wire/codebook.ts'
import { idField, malformed } from '../wire/fields.ts'
import { MAX_CSR_BYTES, MAX_TOKEN_CHARS } from '../wire/limits.ts'
import { codeOf } from '../wire/status.ts'
import { TRUST_DIGEST_HEADER } from '../wire/trust-digest-header.ts'
import type { SwarmManager } from './port.ts'

/**
 * How long a refused renewal is held back, in milliseconds. A stock engine past 80 % of its certificate's life repeats a
 * refused renewal without any pause; 4 s is as long as its own deadline of 5 s lets the answer still arrive.
 */
export const RENEWAL_REFUSAL_DELAY_MS = 4000

const DIGEST = /^[0-9a-f]{64}$/

/** Refusals that end a matter at once: the caller is out, waiting would only keep its connection. */
const FINAL: ReadonlySet<string> = new Set(['NODE_EVICTED', 'PEER_EVICTED', 'PEER_UNKNOWN', 'PEER_WRONG_ROLE'])

function checkRequest({ csr, token }: IssueNodeCertificateRequest): void {
  if (csr.length === 0) throw malformed('caller', 'certificate request')
  if (csr.length > MAX_CSR_BYTES)
    throw new SwarmError(
      'REQUEST_TOO_LARGE',
      `certificate request has more than ${MAX_CSR_BYTES} bytes, send a plain one`,
    )
  // A token of the wrong length is simply not a token of this cluster, and gets the same answer as any other.
  if (token.length > MAX_TOKEN_CHARS)
    throw new SwarmError(
      'JOIN_TOKEN_REJECTED',
      `join token has more than ${MAX_TOKEN_CHARS} characters, ask for a new one`,
    )
}

/** Trust bundle and unlock key. */
export function caService(manager: SwarmManager): ServiceImpl<typeof CA> {
  return {
    getRootCACertificate: (_request, { requestHeader }) => {
      const wanted = requestHeader.get(TRUST_DIGEST_HEADER)
      return { certificate: manager.trustBundle(wanted !== null && DIGEST.test(wanted) ? wanted : null) }
    },
    getUnlockKey: () => {
      // Nobody but the operator holds it, so there is nothing to give; stock nodes read this as "no key".
      throw new SwarmError('UNLOCK_KEY_NOT_KEPT', 'the unlock key is not kept in the cluster, ask its operator')
    },
  }
}

/** Issuing and waiting for certificates. */
export function nodeCaService(manager: SwarmManager, clock: Clock): ServiceImpl<typeof NodeCA> {
  const renew = async (request: IssueNodeCertificateRequest, context: HandlerContext): Promise<string> => {
    const caller = context.values.get(callerKey)
    if (caller === null) {
      const { nodeId } = await manager.enroll(
        {
          csr: request.csr.slice(),
          token: request.token,
          requestedRole: roles.decode(request.role, 'caller'),
          availability: availabilities.decode(request.availability, 'caller'),
        },
        { signal: context.signal },
      )
      return nodeId
    }
    // The certificate alone decides: a token beside it changes nothing.
    try {
      return (await manager.renew({ caller, csr: request.csr.slice() }, { signal: context.signal })).nodeId
    } catch (error) {
      if (!FINAL.has(codeOf(error) ?? '')) await clock.sleep(RENEWAL_REFUSAL_DELAY_MS, { signal: context.signal })
      throw error
    }
  }
  return {
    issueNodeCertificate: async (request, context) => {
      checkRequest(request)
      return { nodeId: await renew(request, context), nodeMembership: Membership.ACCEPTED }
    },
    nodeCertificateStatus: async (request, context) => {
      const caller = context.values.get(callerKey)
      const nodeId = idField(request.nodeId, 'caller', 'node id')
      // A node that has an identity asks about itself; about others it learns as much as about nodes that do not exist.
      const status =
        caller !== null && caller.nodeId !== nodeId
          ? null
          : await within(manager.certificateStatus(nodeId, caller, { signal: context.signal }), context.signal)
      if (status === null) throw new SwarmError('NODE_UNKNOWN', 'no such node, join again')
      const wireStatus = { state: issuanceStates.encode(status.state), err: status.error ?? '' }
      return {
        status: wireStatus,
        certificate: {
          role: roles.encode(status.role),
          csr: status.csr,
          status: wireStatus,
          certificate: status.certificate ?? new Uint8Array(),
          cn: nodeId,
        },
      }
    },
  }
}
