import {
  EVICTION_MARGIN_MS,
  evictionOf,
  listEvictions,
  listNodes,
  MAX_INTERMEDIATE_LIFETIME_MS,
  type Membership,
  type MembershipCommand,
  type MembershipEvent,
  membership,
  membershipEvents,
  nodeOf,
  unsignedNodes,
} from '@leastwise/identity'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { testNodeId } from '../support/test-authority.ts'

/** The same rules, written with the least wit: flat maps that are copied whole. */
interface Oracle {
  readonly nodes: Map<
    string,
    {
      role: string
      csr: string
      key: string
      cert: string | null
      asked: boolean
      first: boolean
      latest: number | null
      epoch: number
      serials: string[]
    }
  >
  readonly evicted: Map<string, number>
}

const MAX = 8
const nodeId = fc.nat(3).map(testNodeId)
const csr = fc.nat(4).map((number) => `csr ${number}`)
const publicKeyHash = fc.nat(4).map((number) => `key ${number}`)
const now = fc.nat(MAX).map((step) => step * EVICTION_MARGIN_MS)
const command: fc.Arbitrary<MembershipCommand> = fc.oneof(
  fc.record({
    type: fc.constant('admit' as const),
    nodeId,
    role: fc.constantFrom('worker' as const, 'manager' as const),
    csr,
    publicKeyHash,
    now,
  }),
  fc.record({ type: fc.constant('request-renewal' as const), nodeId }),
  fc.record({ type: fc.constant('renew' as const), nodeId, csr, publicKeyHash }),
  fc.record({
    type: fc.constant('record-certificate' as const),
    nodeId,
    csr,
    certificate: fc.nat(4).map((n) => `cert ${n}`),
    serial: fc.nat(20).map((n) => `a${n % 10}`),
    notAfter: now,
    roleEpoch: fc.nat(2),
  }),
  fc.record({
    type: fc.constant('set-role' as const),
    nodeId,
    role: fc.constantFrom('worker' as const, 'manager' as const),
    now,
  }),
  fc.record({ type: fc.constant('evict' as const), nodeId, reason: fc.constant(''), now }),
  fc.record({ type: fc.constant('prune' as const), now }),
)

/** Whether nobody would be left who manages. */
const isLastManager = (nodes: Oracle['nodes'], nodeId: string): boolean =>
  nodes.get(nodeId)?.role === 'manager' &&
  ![...nodes].some(([id, each]) => id !== nodeId && each.role === 'manager' && each.latest !== null)

/** The refusal's code, or `null`; changes the oracle. */
function obey({ nodes, evicted }: Oracle, command: MembershipCommand): string | null {
  if (command.type === 'prune') {
    for (const [id, until] of evicted) if (until < command.now) evicted.delete(id)
    return null
  }
  if (command.type === 'evict' && evicted.has(command.nodeId)) return null
  if (evicted.has(command.nodeId)) return 'NODE_EVICTED'
  const node = nodes.get(command.nodeId)
  if (command.type === 'admit') {
    if (node !== undefined)
      return node.role === command.role && node.csr === command.csr && node.key === command.publicKeyHash
        ? null
        : 'NODE_EXISTS'
    nodes.set(command.nodeId, {
      role: command.role,
      csr: command.csr,
      key: command.publicKeyHash,
      cert: null,
      asked: false,
      first: true,
      latest: null,
      epoch: 0,
      serials: [],
    })
    return null
  }
  if (node === undefined) return 'NODE_UNKNOWN'
  if (command.type === 'request-renewal') node.asked ||= node.cert !== null
  else if (command.type === 'renew') {
    if (node.csr === command.csr && !node.asked) return null
    if (node.key === command.publicKeyHash) return 'NODE_KEY_REUSED'
    Object.assign(node, { csr: command.csr, key: command.publicKeyHash, cert: null, asked: false })
  } else if (command.type === 'record-certificate') {
    const answers = node.csr === command.csr && node.epoch === command.roleEpoch
    if (answers && node.cert === command.certificate) return null
    if (!answers || node.cert !== null) return 'CSR_SUPERSEDED'
    node.serials.push(command.serial)
    Object.assign(node, {
      cert: command.certificate,
      first: false,
      latest: Math.max(command.notAfter, node.latest ?? 0),
    })
  } else if (command.type === 'set-role') {
    if (node.role === command.role) return null
    if (isLastManager(nodes, command.nodeId)) return 'LAST_MANAGER'
    Object.assign(node, {
      role: command.role,
      epoch: node.epoch + 1,
      serials: [],
      asked: node.asked || node.cert !== null,
    })
  } else {
    if (isLastManager(nodes, command.nodeId)) return 'LAST_MANAGER'
    nodes.delete(command.nodeId)
    // Who is or was a manager may have an intermediate of its own.
    const issues = node.role === 'manager' || node.epoch > 0 ? MAX_INTERMEDIATE_LIFETIME_MS : 0
    evicted.set(command.nodeId, Math.max(command.now + issues, node.latest ?? 0) + EVICTION_MARGIN_MS)
  }
  return null
}

const refusalOf = (error: unknown): string => (error as { readonly code: string }).code

function agree(state: Membership, { nodes, evicted }: Oracle): void {
  expect(state.nodes.size).toBe(nodes.size)
  expect(state.evictions.size).toBe(evicted.size)
  for (const [id, node] of nodes) {
    const status = node.cert === null ? (node.first ? 'pending' : 'renew') : node.asked ? 'rotate' : 'issued'
    expect(nodeOf(state, id)).toMatchObject({
      role: node.role,
      csr: node.csr,
      publicKeyHash: node.key,
      certificate: node.cert,
      status,
      latestNotAfter: node.latest,
      roleEpoch: node.epoch,
    })
    expect(nodeOf(state, id)?.certificates.map(({ serial }) => serial)).toEqual(node.serials.slice(-16))
  }
  for (const [id, until] of evicted) expect(evictionOf(state, id)?.until).toBe(until)
  expect(new Set(listNodes(state).map((node) => node.nodeId as string))).toEqual(new Set(nodes.keys()))
  const waits = listNodes(state).filter(({ status }) => status === 'pending' || status === 'renew')
  expect(unsignedNodes(state)).toEqual(waits)
  expect(new Set(listEvictions(state).map((each) => each.nodeId as string))).toEqual(new Set(evicted.keys()))
}

it('does what the dumb version does, for any commands; replaying the events, and the snapshot, gives the same state', () => {
  fc.assert(
    fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
      const oracle: Oracle = { nodes: new Map(), evicted: new Map() }
      const log: MembershipEvent[] = []
      let state = membership.initial
      for (const each of commands) {
        const refusal = obey(oracle, each)
        try {
          const events = membership.decide(state, each)
          expect(refusal).toBeNull()
          log.push(...events)
          state = events.reduce(membership.evolve, state)
        } catch (error) {
          expect(refusalOf(error)).toBe(refusal)
        }
        agree(state, oracle)
      }
      const replayed = (JSON.parse(JSON.stringify(log)) as readonly MembershipEvent[]).reduce(
        membership.evolve,
        membership.initial,
      )
      expect(replayed).toEqual(state)
      expect([...membershipEvents(state)].reduce(membership.evolve, membership.initial)).toEqual(state)
    }),
    { numRuns: 300 },
  )
})
