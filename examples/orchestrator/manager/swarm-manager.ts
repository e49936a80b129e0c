import {
  IdentityError,
  isEvicted,
  joinBundleAt,
  joinBundlesOf,
  type NodeId,
  nodeOf,
  parseCsr,
  parseNodeId,
  trustBundleOf,
  verifyCsr,
} from '@leastwise/identity'
import { systemVerifier } from '@leastwise/identity/node'
import {
  type AssignmentSet,
  type CertificateStatus,
  type ManagerList,
  type SessionUpdate,
  SwarmError,
  type SwarmManager,
} from '@leastwise/swarm'
import {
  createId,
  findToken,
  hashPublicKey,
  hashTokenSecret,
  parseJoinToken,
  redemptionOf,
  TokenError,
  trustDigestOf,
} from '@leastwise/tokens'
import { systemDigest, systemRandom } from '@leastwise/tokens/node'
import { assignmentSets } from './assignment-sets.ts'
import type { ClusterState } from './cluster-state.ts'
import { foundedCluster, type Issuing } from './issuing/issuing.ts'
import { createRecovering } from './membership/recovering.ts'
import type { PresenceBoard } from './presence-board.ts'
import type { Store } from './store.ts'
import { findTask, hasEnded } from './task-list.ts'

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
const textOf = (bytes: Uint8Array): string => new TextDecoder('utf-8').decode(bytes)

export interface SwarmManagerOptions {
  readonly store: Store
  readonly issuing: Issuing
  /** The addresses that nodes are told; never empty. */
  readonly managers: () => ManagerList
  readonly presence: Pick<PresenceBoard, 'forget' | 'set'>
  readonly now: () => number
}

/** What members trust; while the root rotates, both roots. */
const bundleOf = (state: ClusterState): Uint8Array => utf8(trustBundleOf(foundedCluster(state)))

/** Where the node's certificate stands, or null for an unknown node. */
function statusOf(state: ClusterState, nodeId: string): CertificateStatus | null {
  const node = nodeOf(state.membership, nodeId)
  if (node === null) return null
  return {
    state: node.status,
    role: node.role,
    csr: utf8(node.csr),
    certificate: node.certificate === null ? null : utf8(node.certificate),
    error: null,
  }
}

function sessionUpdateOf(state: ClusterState, nodeId: string, managers: ManagerList): SessionUpdate {
  const node = nodeOf(state.membership, nodeId)
  if (node === null) {
    throw isEvicted(state.membership, nodeId)
      ? new IdentityError('NODE_EVICTED', 'this node was removed from the cluster')
      : new IdentityError('NODE_UNKNOWN', 'this node is not a member of the cluster')
  }
  return { certificate: node.status, availability: node.availability, managers, trustBundle: bundleOf(state) }
}

/** Whether nothing has changed that a session of this node tells. */
const isNoNewsFor = (before: ClusterState, after: ClusterState, nodeId: string): boolean =>
  before.authority === after.authority &&
  before.managers === after.managers &&
  nodeOf(before.membership, nodeId) === nodeOf(after.membership, nodeId)

/** This orchestrator's side of the node protocol: what each call means for the cluster's state. */
export function createSwarmManager({ store, issuing, managers, presence, now }: SwarmManagerOptions): SwarmManager {
  return {
    trustBundle: (wanted) => {
      const authority = foundedCluster(store.state())
      const bundles = joinBundlesOf(authority, now()).map(utf8)
      const own = bundles.find((pem) => Buffer.from(trustDigestOf(pem, systemDigest)).toString('hex') === wanted)
      return own ?? utf8(joinBundleAt(authority, now()))
    },

    enroll: async ({ csr, token, requestedRole, availability }) => {
      const csrText = textOf(csr)
      const request = parseCsr(csrText)
      await verifyCsr(request, systemVerifier)
      const parsed = parseJoinToken(token)
      const digests = joinBundlesOf(foundedCluster(store.state()), now()).map((pem) =>
        trustDigestOf(utf8(pem), systemDigest),
      )
      if (!digests.some((digest) => Buffer.compare(digest, parsed.trustDigest) === 0))
        throw new TokenError('TOKEN_UNKNOWN', 'the join token belongs to another cluster')
      const secretHash = hashTokenSecret(parsed.secret, systemDigest)
      const publicKeyHash = hashPublicKey(request.publicKey, systemDigest)
      const at = now()
      let nodeId: NodeId = parseNodeId(createId(systemRandom))
      await store.commit((state) => {
        const before = redemptionOf(state.tokens, secretHash, publicKeyHash, at)
        const role = before?.role ?? findToken(state.tokens, secretHash, at)?.role
        if (requestedRole === 'manager' && role === 'worker') {
          throw new SwarmError('ROLE_NOT_GRANTED', 'the join token is for workers; a manager needs a manager token')
        }
        // A stock engine never says that it wants to be a manager. With this token it would become one, look for a Raft
        // service that is not there and give up, and be left with a manager's certificate in its hands.
        if (requestedRole === 'worker' && role === 'manager') {
          throw new SwarmError('ROLE_NOT_GRANTED', 'the join token is for managers; a worker needs a worker token')
        }
        if (before !== null) {
          nodeId = parseNodeId(before.nodeId)
          // The token remembers its answers; a node that was thrown out since must not get in again by an old one.
          if (isEvicted(state.membership, nodeId))
            throw new IdentityError('NODE_EVICTED', 'this node was removed from the cluster')
          return []
        }
        return [
          { part: 'tokens', command: { type: 'redeem', secretHash, publicKeyHash, nodeId, now: at } },
          {
            part: 'membership',
            command: {
              type: 'admit',
              nodeId,
              role: role ?? 'worker',
              csr: csrText,
              publicKeyHash,
              availability,
              now: at,
            },
          },
        ]
      })
      await issuing.issueFor(nodeId)
      return { nodeId }
    },

    renew: async ({ caller, csr }) => {
      const csrText = textOf(csr)
      const request = parseCsr(csrText)
      await verifyCsr(request, systemVerifier)
      const publicKeyHash = hashPublicKey(request.publicKey, systemDigest)
      await store.commit(() => [
        { part: 'membership', command: { type: 'renew', nodeId: caller.nodeId, csr: csrText, publicKeyHash } },
      ])
      await issuing.issueFor(caller.nodeId)
      return { nodeId: caller.nodeId }
    },

    certificateStatus: async (nodeId, _caller, { signal }) => {
      for await (const state of store.watch({ signal })) {
        const status = statusOf(state, nodeId)
        if (status === null || status.state === 'issued' || status.state === 'failed' || status.state === 'rotate')
          return status
      }
      return null
    },

    session: async function* ({ nodeId }, _description, { signal }) {
      let told: ClusterState | null = null
      let sent = ''
      for await (const state of store.watch({ signal })) {
        // Every session is woken by every event, and most events are about other nodes.
        if (told !== null && isNoNewsFor(told, state, nodeId)) continue
        told = state
        const update = sessionUpdateOf(state, nodeId, managers())
        const { certificate, availability, trustBundle } = update
        const seen = JSON.stringify([certificate, availability, textOf(trustBundle), update.managers])
        if (seen === sent) continue
        sent = seen
        yield update
      }
    },

    assignments: ({ nodeId }, { signal }): AsyncIterable<AssignmentSet> => assignmentSets(store, nodeId, { signal }),

    taskStatus: async ({ nodeId }, updates) => {
      await store.commit((state) =>
        updates.flatMap(({ taskId, state: reached, exitCode, message, error }) => {
          const task = findTask(state.tasks, taskId)
          if (task?.nodeId !== nodeId || hasEnded(task)) return []
          const report = {
            type: 'report',
            id: taskId,
            nodeId,
            state: reached,
            exitCode,
            message: error === '' ? message : error,
          } as const
          // An ended task needs its secrets no more: the grant goes in the same entry.
          const ended = hasEnded({ ...task, state: reached })
          return ended
            ? [
                { part: 'tasks' as const, command: report },
                { part: 'secrets' as const, command: { type: 'release' as const, taskId } },
              ]
            : [{ part: 'tasks' as const, command: report }]
        }),
      )
    },

    recovery: createRecovering({ store, issuing, now }),

    presence: (nodeId, seen) => {
      // Thrown out, a node loses its session a moment later.
      if (nodeOf(store.state().membership, nodeId) === null) presence.forget(nodeId)
      else presence.set(nodeId, seen)
    },
  }
}
