import { createCsr, parseClusterId, parseNodeId, parseTrustDomain } from '@leastwise/identity'
import { createNodeKey } from '@leastwise/identity/node'
import { listSecrets } from '@leastwise/secrets'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type ClusterCommand,
  type ClusterState,
  decide,
  emptyCluster,
  evolve,
  historyOf,
} from '../../examples/orchestrator/manager/cluster-state.ts'
import { findTask } from '../../examples/orchestrator/manager/task-list.ts'
import { decodePlain, encodePlain } from '../../examples/orchestrator/plain-data.ts'
import { testCluster } from '../support/test-authority.ts'
import { createSecretWithId, mintToken, nodeId, runTask } from './cluster-support.ts'

const cluster = await testCluster()
const csr = (await createCsr(createNodeKey())).pem
const NOW = Date.UTC(2026, 10, 21, 12)
const PROOF = { statement: new Uint8Array([1]), signature: new Uint8Array([2]), chain: 'a chain' }
const hash = (number: number): string => number.toString(16).padStart(64, '0')

const found: ClusterCommand = {
  part: 'authority',
  command: {
    type: 'found',
    clusterId: parseClusterId(nodeId(0)),
    certificate: cluster.root.pem,
    privateKey: cluster.rootKey,
    lifetimeMs: 7_200_000,
    now: NOW,
  },
}

const small = fc.integer({ min: 1, max: 4 })
const command: fc.Arbitrary<ClusterCommand> = fc.oneof(
  fc.constant(found),
  fc
    .constantFrom(3_600_000, 7_200_000, 1)
    .map((lifetimeMs) => ({ part: 'authority', command: { type: 'set-lifetime', lifetimeMs } }) as const),
  fc.constant(null).map(() => mintToken()),
  fc.tuple(small, small).map(([id, name]) => createSecretWithId(`s${id}`, `name-${name}`)),
  small.map((id) => ({ part: 'secrets', command: { type: 'remove', id: `s${id}` } }) as const),
  fc.tuple(small, small, small).map(([task, secret, node]) => runTask(`t${task}`, `s${secret}`, nodeId(node))[0]!),
  fc.tuple(small, small, small).map(([task, secret, node]) => runTask(`t${task}`, `s${secret}`, nodeId(node))[1]!),
  small.map((task) => ({ part: 'secrets', command: { type: 'release', taskId: `t${task}` } }) as const),
  small.map((task) => ({ part: 'tasks', command: { type: 'remove', id: `t${task}` } }) as const),
  fc.tuple(small, small).map(
    ([node, key]) =>
      ({
        part: 'membership',
        command: {
          type: 'admit',
          nodeId: parseNodeId(nodeId(node)),
          role: 'worker',
          csr,
          publicKeyHash: hash(key),
          now: NOW,
        },
      }) as const,
  ),
  small.map(
    (node) =>
      ({ part: 'membership', command: { type: 'request-renewal', nodeId: parseNodeId(nodeId(node)) } }) as const,
  ),
  small.map(
    (node) =>
      ({
        part: 'membership',
        command: { type: 'evict', nodeId: parseNodeId(nodeId(node)), reason: 'test', now: NOW },
      }) as const,
  ),
  fc.tuple(small, fc.constantFrom('manager' as const, 'worker' as const)).map(
    ([node, role]) =>
      ({
        part: 'membership',
        command: { type: 'set-role', nodeId: parseNodeId(nodeId(node)), role, now: NOW },
      }) as const,
  ),
  fc.tuple(small, small).map(
    ([node, serial]) =>
      ({
        part: 'membership',
        command: {
          type: 'record-certificate',
          nodeId: parseNodeId(nodeId(node)),
          csr,
          certificate: `certificate ${serial}`,
          serial: `0${serial}`,
          notAfter: NOW + 3_600_000,
        },
        now: NOW,
      }) as const,
  ),
  fc
    .tuple(small, small, fc.constantFrom('request' as const, 'record' as const, 'forget' as const, 'ended' as const))
    .map(([id, number, type]): ClusterCommand => {
      const [managerId, request] = [nodeId(id), `request ${number}`]
      switch (type) {
        case 'request':
          return { part: 'issuers', command: { type, managerId, csr: request, proof: PROOF, now: NOW } }
        case 'record': {
          const made = { certificate: `made ${number}`, serial: `0${number}`, notAfter: NOW + number }
          return { part: 'issuers', command: { type, managerId, csr: request, ...made } }
        }
        case 'forget':
          return { part: 'issuers', command: { type, managerId } }
        case 'ended':
          return { part: 'issuers', command: { type: 'forget-ended', now: NOW + number } }
      }
    }),
  fc.constantFrom('one.example', 'two.example').map(
    (name): ClusterCommand => ({
      part: 'spiffe',
      command: { type: 'set-trust-domain', trustDomain: parseTrustDomain(name) },
    }),
  ),
  fc.tuple(small, fc.constantFrom('admit' as const, 'evict' as const)).map(
    ([id, type]): ClusterCommand => ({
      part: 'operators',
      command:
        type === 'admit'
          ? { type, operatorId: parseNodeId(nodeId(id + 10)), name: `operator ${id}`, now: NOW }
          : { type, operatorId: parseNodeId(nodeId(id + 10)), reason: 'test', now: NOW },
    }),
  ),
)
const history = fc.array(fc.array(command, { minLength: 1, maxLength: 4 }), { maxLength: 15 })

/** Everything of a state that can be seen: its own shortest history. */
const shownOf = (state: ClusterState): string => new TextDecoder().decode(encodePlain(historyOf(state)))

function live(batches: readonly (readonly ClusterCommand[])[]): {
  readonly state: ClusterState
  readonly entries: readonly Uint8Array[]
} {
  let state = emptyCluster
  const entries: Uint8Array[] = []
  for (const batch of batches) {
    const before = shownOf(state)
    try {
      const events = decide(state, batch)
      entries.push(encodePlain(events))
      state = events.reduce(evolve, state)
    } catch (error) {
      expect((error as { readonly code?: string }).code).toMatch(/^[A-Z]+(_[A-Z]+)*$/)
      // Refused as a whole: nothing of what came before the refused command has stayed.
      expect(shownOf(state)).toBe(before)
    }
  }
  return { state, entries }
}

const readEvents = (entry: Uint8Array): Parameters<typeof evolve>[1][] =>
  decodePlain(entry) as Parameters<typeof evolve>[1][]

describe('the state of a cluster', () => {
  it('is the same after a replay of its journal', () => {
    fc.assert(
      fc.property(history, (batches) => {
        const { state, entries } = live(batches)
        const replayed = entries.flatMap(readEvents).reduce(evolve, emptyCluster)
        expect(shownOf(replayed)).toBe(shownOf(state))
        expect(replayed).toEqual(state)
      }),
      { numRuns: 60 },
    )
  })

  it('is the same from a snapshot as it was, and decides the same from there on', () => {
    fc.assert(
      fc.property(history, history, (batches, more) => {
        const { state } = live(batches)
        const restored = readEvents(encodePlain(historyOf(state))).reduce(evolve, emptyCluster)
        expect(shownOf(restored)).toBe(shownOf(state))
        for (const batch of more) {
          const outcome = (from: ClusterState): unknown => {
            try {
              return decide(from, batch)
            } catch (error) {
              return (error as { readonly code: string }).code
            }
          }
          expect(outcome(restored)).toEqual(outcome(state))
        }
      }),
      { numRuns: 60 },
    )
  })

  it('is not touched by later events: an old state stays what it was', () => {
    fc.assert(
      fc.property(history, (batches) => {
        let state = emptyCluster
        const seen: { readonly state: ClusterState; readonly then: string }[] = []
        for (const batch of batches) {
          seen.push({ state, then: shownOf(state) })
          try {
            state = decide(state, batch).reduce(evolve, state)
          } catch {
            // Another law looks at refusals.
          }
        }
        for (const earlier of seen) expect(shownOf(earlier.state)).toBe(earlier.then)
      }),
      { numRuns: 40 },
    )
  })

  it('lets a later command of a batch build on an earlier one', () => {
    const state = decide(emptyCluster, [createSecretWithId('s1', 'a'), ...runTask('t1', 's1')]).reduce(
      evolve,
      emptyCluster,
    )
    expect(findTask(state.tasks, 't1')).not.toBe(null)
    expect(() => decide(state, [{ part: 'secrets', command: { type: 'remove', id: 's1' } }])).toThrowCode(
      'SECRET_IN_USE',
    )
  })

  it('changes by all of a batch or by nothing', () => {
    expect(() => decide(emptyCluster, [createSecretWithId('s1', 'a'), createSecretWithId('s2', 'a')])).toThrowCode(
      'SECRET_EXISTS',
    )
    expect(listSecrets(emptyCluster.secrets)).toEqual([])
  })

  it('says where its own secrets go: the root key is in the journal, so the journal must be sealed', () => {
    const entry = Buffer.from(encodePlain(decide(emptyCluster, [found]))).toString()
    expect(entry).toContain(Buffer.from(cluster.rootKey).toString('base64'))
  })
})
