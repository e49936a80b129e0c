import { IdentityError } from '../errors.ts'
import { MAX_INTERMEDIATE_LIFETIME_MS } from '../intermediate/intermediate-grant.ts'
import type { Decider } from '../ports.ts'
import { valuesOf, withEntry, withoutEntry } from '../sharded-map.ts'
import type { MembershipCommand, MembershipEvent } from './membership-events.ts'
import { isEvicted, listEvictions, listNodes, type Membership, nodeOf, noMembers } from './membership-state.ts'
import { MAX_LIVE_CERTIFICATES, type NodeRecord } from './node-record.ts'

/** Bounds what a leaked join token can make the managers store; ten thousand nodes are the design goal. */
export const MAX_NODES = 65_536

/** How long an eviction outlives the last certificate of its node, and the last that a manager can have issued, against clocks that are wrong; Docker Swarm's 7 days. */
export const EVICTION_MARGIN_MS = 604_800_000

/** The operator's words are kept in every manager's memory. */
export const MAX_REASON_LENGTH = 256

/** Evictions that one event forgets at most, so that applying one event stays cheap. */
const MAX_PRUNED_PER_EVENT = 1000

const evicted = (): IdentityError =>
  new IdentityError(
    'NODE_EVICTED',
    'this node was removed from the cluster; join again as a new node, with a fresh node id',
  )

function knownNode(state: Membership, nodeId: string): NodeRecord {
  const node = nodeOf(state, nodeId)
  if (node !== null) return node
  if (isEvicted(state, nodeId)) throw evicted()
  throw new IdentityError(
    'NODE_UNKNOWN',
    'no node of this cluster has that id; list the nodes and use one of their ids',
  )
}

function admit(state: Membership, command: MembershipCommand & { type: 'admit' }): readonly MembershipEvent[] {
  const { nodeId, role, csr, publicKeyHash, availability = 'active', now } = command
  if (isEvicted(state, nodeId)) throw evicted()
  const present = nodeOf(state, nodeId)
  if (present !== null) {
    if (present.role === role && present.csr === csr && present.publicKeyHash === publicKeyHash) return []
    throw new IdentityError('NODE_EXISTS', 'another node has that id; admit this one under a fresh node id')
  }
  if (state.nodes.size >= MAX_NODES) {
    throw new IdentityError('MEMBERSHIP_FULL', `the cluster has ${MAX_NODES} nodes already; remove nodes that are gone`)
  }
  return [{ type: 'node-admitted', nodeId, role, csr, publicKeyHash, availability, at: now }]
}

function renew(state: Membership, command: MembershipCommand & { type: 'renew' }): readonly MembershipEvent[] {
  const { nodeId, csr, publicKeyHash } = command
  const node = knownNode(state, nodeId)
  // The answer to this very CSR was lost: it is being signed, or its certificate waits to be fetched.
  if (node.csr === csr && node.status !== 'rotate') return []
  if (node.publicKeyHash === publicKeyHash) {
    throw new IdentityError('NODE_KEY_REUSED', 'a renewal must bring a new key; generate one and send its CSR')
  }
  return [{ type: 'renewal-received', nodeId, csr, publicKeyHash }]
}

function record(
  state: Membership,
  command: MembershipCommand & { type: 'record-certificate' },
): readonly MembershipEvent[] {
  const { nodeId, csr, certificate, serial, notAfter, roleEpoch = 0 } = command
  const node = knownNode(state, nodeId)
  const answers = node.csr === csr && node.roleEpoch === roleEpoch
  if (answers && node.certificate === certificate) return []
  // What was signed for another epoch bears a role that the node has no more, or had before and lost meanwhile.
  if (!answers || node.certificate !== null) {
    throw new IdentityError(
      'CSR_SUPERSEDED',
      'the certificate answers a CSR or a role epoch that is no longer the pending one; drop it and sign the pending CSR',
    )
  }
  return [{ type: 'certificate-recorded', nodeId, csr, certificate, serial, notAfter }]
}

/** Without a manager nobody can be promoted, admitted or renewed any more: the cluster would end with its certificates. */
function checkNotLast(state: Membership, nodeId: string): void {
  for (const each of valuesOf(state.nodes))
    if (each.role === 'manager' && each.nodeId !== nodeId && each.latestNotAfter !== null) return
  throw new IdentityError(
    'LAST_MANAGER',
    'no other node is a manager with a certificate; promote another one before this one stops to be a manager',
  )
}

function evict(state: Membership, command: MembershipCommand & { type: 'evict' }): readonly MembershipEvent[] {
  const { nodeId, reason, now, until = 0 } = command
  if (reason.length > MAX_REASON_LENGTH)
    throw new RangeError(`an eviction's reason has at most ${MAX_REASON_LENGTH} characters, got ${reason.length}`)
  if (isEvicted(state, nodeId)) return []
  const { role, roleEpoch, latestNotAfter } = knownNode(state, nodeId)
  if (role === 'manager') checkNotLast(state, nodeId)
  // Whoever is or was a manager may hold an issuing intermediate, which outlives the certificate of the node and is in no record.
  const issuesUntil = role === 'manager' || roleEpoch > 0 ? now + MAX_INTERMEDIATE_LIFETIME_MS : now
  const earliest = Math.max(issuesUntil, latestNotAfter ?? 0) + EVICTION_MARGIN_MS
  return [{ type: 'node-evicted', nodeId, reason, at: now, until: Math.max(until, earliest) }]
}

function setRole(state: Membership, command: MembershipCommand & { type: 'set-role' }): readonly MembershipEvent[] {
  const { nodeId, role, now } = command
  const node = knownNode(state, nodeId)
  if (node.role === role) return []
  if (node.role === 'manager') checkNotLast(state, nodeId)
  return [{ type: 'role-changed', nodeId, role, roleEpoch: node.roleEpoch + 1, at: now }]
}

function prune(state: Membership, now: number): readonly MembershipEvent[] {
  const due: string[] = []
  for (const { nodeId, until } of valuesOf(state.evictions)) if (until < now) due.push(nodeId)
  const events: MembershipEvent[] = []
  for (let at = 0; at < due.length; at += MAX_PRUNED_PER_EVENT) {
    events.push({ type: 'evictions-pruned', nodeIds: due.slice(at, at + MAX_PRUNED_PER_EVENT) })
  }
  return events
}

function decide(state: Membership, command: MembershipCommand): readonly MembershipEvent[] {
  switch (command.type) {
    case 'admit':
      return admit(state, command)
    case 'request-renewal':
      // A node whose CSR waits to be signed gets a fresh certificate anyway.
      return knownNode(state, command.nodeId).status === 'issued'
        ? [{ type: 'renewal-requested', nodeId: command.nodeId }]
        : []
    case 'renew':
      return renew(state, command)
    case 'record-certificate':
      return record(state, command)
    case 'set-role':
      return setRole(state, command)
    case 'evict':
      return evict(state, command)
    case 'prune':
      return prune(state, command.now)
  }
}

const withNode = (state: Membership, nodeId: string, change: (node: NodeRecord) => NodeRecord): Membership => ({
  nodes: withEntry(state.nodes, nodeId, change(knownNode(state, nodeId))),
  evictions: state.evictions,
})

/** Snapshots from before role epochs had an effect name the last certificate alone. */
function restored(node: Omit<NodeRecord, 'certificates'> & Partial<Pick<NodeRecord, 'certificates'>>): NodeRecord {
  const { serial, notAfter } = node
  return { ...node, certificates: node.certificates ?? (serial === null ? [] : [{ serial, notAfter: notAfter ?? 0 }]) }
}

function evolve(state: Membership, event: MembershipEvent): Membership {
  switch (event.type) {
    case 'node-admitted': {
      const { nodeId, role, csr, publicKeyHash, availability, at } = event
      const certificate = {
        status: 'pending',
        csr,
        publicKeyHash,
        certificate: null,
        serial: null,
        notAfter: null,
        certificates: [],
        latestNotAfter: null,
      } as const
      const node: NodeRecord = { nodeId, role, roleEpoch: 0, availability, admittedAt: at, ...certificate }
      return { nodes: withEntry(state.nodes, nodeId, node), evictions: state.evictions }
    }
    case 'renewal-requested':
      return withNode(state, event.nodeId, (node) => ({ ...node, status: 'rotate' }))
    case 'renewal-received': {
      const { nodeId, csr, publicKeyHash } = event
      // Renewed before the first certificate came: still the first that is waited for.
      return withNode(state, nodeId, (node) => ({
        ...node,
        csr,
        publicKeyHash,
        certificate: null,
        status: node.status === 'pending' ? 'pending' : 'renew',
      }))
    }
    case 'certificate-recorded': {
      const { nodeId, certificate, serial, notAfter } = event
      return withNode(state, nodeId, (node) => {
        const latestNotAfter = Math.max(notAfter, node.latestNotAfter ?? notAfter)
        const certificates = [...node.certificates, { serial, notAfter }].slice(-MAX_LIVE_CERTIFICATES)
        return { ...node, status: 'issued', certificate, serial, notAfter, certificates, latestNotAfter }
      })
    }
    case 'role-changed': {
      const { nodeId, role, roleEpoch } = event
      return withNode(state, nodeId, (node) => {
        // A CSR that waits is signed for the new role; a node without one is asked for it.
        const status = node.certificate === null ? node.status : 'rotate'
        return { ...node, role, roleEpoch, status, certificates: [] }
      })
    }
    case 'node-evicted': {
      const { nodeId, reason, at, until } = event
      return {
        nodes: withoutEntry(state.nodes, nodeId),
        evictions: withEntry(state.evictions, nodeId, { nodeId, reason, at, until }),
      }
    }
    case 'evictions-pruned':
      return { nodes: state.nodes, evictions: event.nodeIds.reduce(withoutEntry, state.evictions) }
    case 'node-restored': {
      const node = restored(event.node)
      return { nodes: withEntry(state.nodes, node.nodeId, node), evictions: state.evictions }
    }
  }
}

/**
 * The nodes of a cluster and those that were thrown out, as a decider.
 *
 * Commands that repeat what already holds give no event, so a lost answer may be asked for again. A record never leaves
 * before the certificate does: what was signed must be recorded before it is handed out, and then an eviction covers it.
 *
 * The refusals of `decide` are {@link IdentityError}s: `NODE_EXISTS` when an id is taken, `NODE_UNKNOWN`,
 * `NODE_EVICTED` for everything about a removed node, `NODE_KEY_REUSED` for a renewal without a new key,
 * `CSR_SUPERSEDED` for a certificate that answers another CSR or role epoch than the pending one, `LAST_MANAGER` for a
 * demotion or an eviction that would leave no manager, and `MEMBERSHIP_FULL`.
 */
export const membership: Decider<Membership, MembershipCommand, MembershipEvent> = {
  initial: noMembers,
  decide,
  evolve,
}

/** The fewest events that lead to `state`, for a snapshot. */
export function* membershipEvents(state: Membership): Generator<MembershipEvent, void, void> {
  for (const node of listNodes(state)) yield { type: 'node-restored', node }
  for (const { nodeId, reason, at, until } of listEvictions(state))
    yield { type: 'node-evicted', nodeId, reason, at, until }
}
