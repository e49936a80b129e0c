import {
  type Authorizer,
  allowShortLifetime,
  type Csr,
  formatCertificateChain,
  IdentityError,
  issueCertificate,
  type PeerIdentity,
  parseCsr,
  parseNodeId,
  type Role,
  verifyCsr,
} from '@leastwise/identity'
import { systemDigest, systemRandom, systemVerifier } from '@leastwise/identity/node'
import {
  type AssignmentSet,
  type CertificateStatus,
  type IssuanceState,
  type ManagerList,
  type NodeDescription,
  type NodePresence,
  type SessionUpdate,
  SwarmError,
  type SwarmManager,
  type TaskStatusUpdate,
} from '@leastwise/swarm'
import { createId } from '@leastwise/tokens'
import type { TestCluster } from './test-authority.ts'

/** A value that others can wait on; each change wakes them. */
export interface Cell<T> {
  readonly get: () => T
  readonly set: (value: T) => void
  /** The present value, then each later one; a slow reader skips to the newest. */
  readonly watch: (signal: AbortSignal) => AsyncGenerator<T, void, void>
}

export function cell<T>(initial: T): Cell<T> {
  let value = initial
  let version = 0
  const waiters = new Set<() => void>()
  return {
    get: () => value,
    set: (next) => {
      value = next
      version += 1
      for (const wake of [...waiters]) wake()
    },
    watch: async function* (signal) {
      for (let seen = -1; ; ) {
        if (seen === version) {
          await new Promise<void>((resolve, reject) => {
            const done = (): void => {
              waiters.delete(done)
              signal.removeEventListener('abort', abort)
              resolve()
            }
            const abort = (): void => {
              waiters.delete(done)
              reject(signal.reason as Error)
            }
            waiters.add(done)
            signal.addEventListener('abort', abort, { once: true })
          })
        }
        seen = version
        yield value
      }
    },
  }
}

interface FakeNode {
  readonly role: Role
  csr: Uint8Array
  state: Cell<IssuanceState>
  certificate: string | null
  issuedSerials: string[]
}

/** What a test may turn on a {@link FakeManager}. */
export interface FakeSettings {
  /** Certificates stay pending until this is called off. */
  holdIssuance: boolean
  /** Thrown by the next renewals. */
  renewalError: Error | null
  /** Status reports are answered once this is settled. */
  holdStatuses: Promise<void> | null
  /** Echoed in place of the real CSR. */
  foreignCsr: Uint8Array | null
  lifetimeMs: number
}

/** A small manager in memory, with a real CA. */
export interface FakeManager extends Omit<SwarmManager, 'trustBundle'> {
  trustBundle: () => Uint8Array
  readonly settings: FakeSettings
  readonly nodes: ReadonlyMap<string, FakeNode>
  readonly tokens: Map<string, Role>
  readonly evicted: Set<string>
  readonly calls: { readonly enroll: number; readonly renew: number; readonly status: number }
  /** Assignment streams that are open now. */
  readonly openStreams: () => number
  readonly statuses: (TaskStatusUpdate & { readonly nodeId: string })[]
  readonly descriptions: Map<string, NodeDescription>
  readonly presences: { readonly nodeId: string; readonly presence: NodePresence }[]
  readonly managers: Cell<ManagerList>
  readonly bundle: Cell<Uint8Array>
  readonly work: Cell<readonly AssignmentSet[]>
  readonly authorize: Authorizer
  readonly adopt: (nodeId: string, role: Role) => void
  readonly rotate: (nodeId: string) => void
  readonly release: () => Promise<void>
}

export function fakeManager(cluster: TestCluster, address: () => string): FakeManager {
  const nodes = new Map<string, FakeNode>()
  const settings: FakeSettings = {
    holdIssuance: false,
    renewalError: null,
    holdStatuses: null,
    foreignCsr: null,
    lifetimeMs: 24 * 3_600_000,
  }
  const tokens = new Map<string, Role>()
  const evicted = new Set<string>()
  const redeemed = new Map<string, string>()
  const calls = { enroll: 0, renew: 0, status: 0 }
  let openStreams = 0
  const statuses: (TaskStatusUpdate & { nodeId: string })[] = []
  const descriptions = new Map<string, NodeDescription>()
  const presences: { nodeId: string; presence: NodePresence }[] = []
  const managers = cell<ManagerList>([{ nodeId: 'manager', address: address(), weight: 1 }])
  const bundle = cell<Uint8Array>(new TextEncoder().encode(cluster.root.pem))
  const work = cell<readonly AssignmentSet[]>([{ kind: 'complete', appliesTo: '', resultsIn: '1', changes: [] }])

  const issue = async (nodeId: string, node: FakeNode): Promise<void> => {
    const certificate = await issueCertificate(
      cluster.authority,
      parseCsr(node.csr),
      {
        nodeId: parseNodeId(nodeId),
        role: node.role,
        clusterId: cluster.clusterId,
        lifetimeMs: settings.lifetimeMs,
        [allowShortLifetime]: true,
      },
      { random: systemRandom, now: Date.now(), verifier: systemVerifier, digest: systemDigest },
    )
    node.certificate = formatCertificateChain([certificate])
    node.issuedSerials.push(certificate.serial)
    node.state.set('issued')
  }
  const nodeOf = (role: Role, csr: Uint8Array): FakeNode => ({
    role,
    csr,
    state: cell<IssuanceState>('pending'),
    certificate: null,
    issuedSerials: [],
  })

  return {
    settings,
    nodes,
    tokens,
    evicted,
    calls,
    openStreams: () => openStreams,
    statuses,
    descriptions,
    presences,
    managers,
    bundle,
    work,
    authorize: (peer: PeerIdentity) => {
      if (evicted.has(peer.nodeId)) throw new IdentityError('PEER_EVICTED', 'evicted')
      if (!nodes.has(peer.nodeId)) throw new IdentityError('PEER_UNKNOWN', 'unknown')
    },
    adopt: (nodeId, role) => {
      const node = nodeOf(role, new Uint8Array())
      node.state.set('issued')
      nodes.set(nodeId, node)
    },
    rotate: (nodeId) => {
      nodes.get(nodeId)!.state.set('rotate')
    },
    release: async () => {
      settings.holdIssuance = false
      for (const [nodeId, node] of nodes)
        if (node.state.get() === 'pending' || node.state.get() === 'renew') await issue(nodeId, node)
    },
    trustBundle: () => bundle.get(),
    enroll: async ({ csr, token, requestedRole }) => {
      calls.enroll += 1
      const role = tokens.get(token)
      if (role === undefined) throw new SwarmError('JOIN_TOKEN_REJECTED', `no such token`)
      if (requestedRole === 'manager' && role !== 'manager')
        throw new SwarmError('ROLE_NOT_GRANTED', 'not a manager token')
      const parsed: Csr = parseCsr(csr)
      await verifyCsr(parsed, systemVerifier)
      const again = `${token} ${Buffer.from(parsed.publicKey).toString('hex')}`
      const nodeId = redeemed.get(again) ?? createId(systemRandom)
      redeemed.set(again, nodeId)
      const node = nodes.get(nodeId) ?? nodeOf(role, csr)
      nodes.set(nodeId, node)
      if (!settings.holdIssuance && node.certificate === null) await issue(nodeId, node)
      return { nodeId }
    },
    renew: async ({ caller, csr }) => {
      calls.renew += 1
      if (settings.renewalError !== null) throw settings.renewalError
      const node = nodes.get(caller.nodeId)!
      node.csr = csr
      node.certificate = null
      node.state.set('renew')
      if (!settings.holdIssuance) await issue(caller.nodeId, node)
      return { nodeId: caller.nodeId }
    },
    certificateStatus: async (nodeId, _caller, { signal }): Promise<CertificateStatus | null> => {
      calls.status += 1
      const node = nodes.get(nodeId)
      if (node === undefined) return null
      for await (const state of node.state.watch(signal)) {
        if (state === 'pending' || state === 'renew') continue
        return {
          state,
          role: node.role,
          csr: settings.foreignCsr ?? node.csr,
          certificate: node.certificate === null ? null : new TextEncoder().encode(node.certificate),
          error: null,
        }
      }
      return null
    },
    session: async function* ({ nodeId }, description, { signal }): AsyncGenerator<SessionUpdate, void, void> {
      descriptions.set(nodeId, description)
      const changed = cell(0)
      const bump = async (source: Cell<unknown>): Promise<void> => {
        for await (const _value of source.watch(signal)) changed.set(changed.get() + 1)
      }
      for (const source of [nodes.get(nodeId)!.state, managers, bundle])
        bump(source as Cell<unknown>).catch(() => undefined)
      for await (const _change of changed.watch(signal))
        yield {
          certificate: nodes.get(nodeId)!.state.get(),
          availability: 'active',
          managers: managers.get(),
          trustBundle: bundle.get(),
        }
    },
    assignments: async function* (_session, { signal }) {
      let sent = 0
      openStreams += 1
      try {
        for await (const sets of work.watch(signal)) {
          for (const set of sets.slice(sent)) yield set
          sent = sets.length
        }
      } finally {
        openStreams -= 1
      }
    },
    taskStatus: async ({ nodeId }, updates) => {
      statuses.push(...updates.map((update) => ({ ...update, nodeId })))
      await settings.holdStatuses
    },
    presence: (nodeId, presence) => {
      presences.push({ nodeId, presence })
    },
  }
}
