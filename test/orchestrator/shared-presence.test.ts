import {
  createCsr,
  formatCertificateChain,
  issueCertificate,
  openAuthority,
  parseCertificate,
  parseClusterId,
  parseNodeId,
  type Role,
} from '@leastwise/identity'
import {
  createNodeKey,
  exportPrivateKey,
  openSigner,
  systemDigest,
  systemRandom,
  systemVerifier,
} from '@leastwise/identity/node'
import type { EtcdClient } from '@leastwise/raftlog-etcd'
import { createId, hashPublicKey } from '@leastwise/tokens'
import { expect, it } from 'vitest'
import { encodeSigned } from '../../examples/orchestrator/manager/etcd/admission-statement.ts'
import {
  decodePresence,
  encodePresence,
  MAX_PRESENCE_BYTES,
  type PresenceStatement,
} from '../../examples/orchestrator/manager/etcd/presence-statement.ts'
import { hearPresence, tellPresence } from '../../examples/orchestrator/manager/etcd/shared-presence.ts'
import { openSharedStore } from '../../examples/orchestrator/manager/etcd/shared-store.ts'
import { newCluster } from '../../examples/orchestrator/manager/founding/genesis.ts'
import { foundedCluster } from '../../examples/orchestrator/manager/issuing/issuing.ts'
import type { ManagerIdentity } from '../../examples/orchestrator/manager/manager-keys.ts'
import { createPresenceBoard, type PresenceBoard } from '../../examples/orchestrator/manager/presence-board.ts'
import { signed } from '../../examples/orchestrator/manager/signed-by-manager.ts'
import type { Store } from '../../examples/orchestrator/manager/store.ts'
import { stillClock, testCluster } from '../raftlog-etcd/etcd-support.ts'

interface Node {
  readonly nodeId: string
  readonly identity: ManagerIdentity
}

interface Setting {
  readonly clusterId: string
  readonly first: Node
  readonly etcd: EtcdClient
  readonly store: Store
  readonly clock: ReturnType<typeof stillClock>
  readonly stop: AbortController
  /** Hears as the first manager. */
  readonly board: PresenceBoard
  /** One more node of the cluster. */
  readonly admit: (role: Role) => Promise<Node>
  readonly put: (managerId: string, value: Uint8Array) => Promise<void>
  /** Resolves when everything that was put before has been heard. */
  readonly heard: () => Promise<void>
}

async function setting(): Promise<Setting> {
  const cluster = testCluster()
  const log = await cluster.create('m1')
  const clock = stillClock()
  const stop = new AbortController()
  const { signal } = stop
  const store = await openSharedStore(log, { signal, fail: () => undefined })
  const { orders, identity, clusterId, nodeId } = await newCluster(clock.now())
  await store.commit(() => orders)
  const etcd = cluster.etcd.connect()
  const board = createPresenceBoard()
  void hearPresence({ etcd, nodeId, store, identity: () => identity, presence: board, clock, signal }).catch(
    () => undefined,
  )
  const put = async (managerId: string, value: Uint8Array): Promise<void> => {
    const key = `/leastwise-orchestrator/${clusterId}/present/${managerId}`
    await etcd.txn({ compare: [], success: [{ kind: 'put', key, value }] }, { signal })
  }
  const admit = async (role: Role): Promise<Node> => {
    const [root] = foundedCluster(store.state()).roots
    const now = clock.now()
    const tools = { now, random: systemRandom, verifier: systemVerifier, digest: systemDigest }
    const parts = { certificate: parseCertificate(root.certificate), signer: openSigner(root.privateKey!) }
    const key = createNodeKey()
    const csr = await createCsr(key)
    const id = parseNodeId(createId(systemRandom))
    const grant = { nodeId: id, clusterId: parseClusterId(clusterId), role, lifetimeMs: 90 * 86_400_000 }
    const leaf = await issueCertificate(await openAuthority(parts, tools), csr, grant, tools)
    const certificateChain = formatCertificateChain([leaf])
    const publicKeyHash = hashPublicKey(csr.publicKey, systemDigest)
    await store.commit(() => [
      { part: 'membership', command: { type: 'admit', nodeId: id, role, csr: csr.pem, publicKeyHash, now } },
    ])
    const { trustBundle } = identity
    return { nodeId: id, identity: { privateKey: exportPrivateKey(key), certificateChain, trustBundle } }
  }
  let marks = 0
  const last = await admit('manager')
  const heard = async (): Promise<void> => {
    marks += 1
    const mark = `mark-${marks}`
    const statement = { clusterId, managerId: last.nodeId, nodes: [mark], at: clock.now() + marks }
    await put(last.nodeId, encodeSigned(signed(encodePresence(statement), last.identity)))
    while (board.get(mark) !== 'ready') await new Promise<void>((resolve) => setImmediate(resolve))
  }
  return { clusterId, first: { nodeId, identity }, etcd, store, clock, stop, board, admit, put, heard }
}

it('managers hear of the nodes of one another, and forget those of a manager that has gone', async () => {
  const { etcd, store, clock, stop, board, admit, heard } = await setting()
  const second = await admit('manager')
  const there = createPresenceBoard()
  const goes = new AbortController()
  const telling = tellPresence({
    ...{ etcd, nodeId: second.nodeId, store, clock },
    identity: () => second.identity,
    presence: there,
    signal: goes.signal,
  })
  const seen = async (nodeId: string, presence: string | undefined): Promise<void> => {
    while (board.get(nodeId) !== presence) await new Promise<void>((resolve) => setImmediate(resolve))
  }
  await seen(second.nodeId, 'ready')
  there.set('w1', 'ready')
  await seen('w1', 'ready')
  there.set('w1', 'disconnected')
  there.set('w2', 'ready')
  await seen('w2', 'ready')
  expect(board.get('w1')).toBeUndefined()
  // What this manager has seen itself stays, whatever the others say.
  board.set('w2', 'down')
  expect(board.get('w2')).toBe('ready')
  goes.abort()
  await expect(telling).rejects.toBeDefined()
  await heard()
  expect([board.get('w2'), board.get(second.nodeId)]).toEqual(['down', undefined])
  stop.abort()
})

it('hears nobody but a manager of the cluster, for itself, of today, and nothing that it said before', async () => {
  const { clusterId, clock, stop, board, admit, put, heard, first } = await setting()
  const second = await admit('manager')
  const worker = await admit('worker')
  const stranger = await newCluster(clock.now())
  const evil = 'an evil claim'
  const now = clock.now()
  const claim = { clusterId, managerId: second.nodeId, nodes: [evil], at: now }
  const by = (identity: ManagerIdentity, statement: PresenceStatement = claim): Uint8Array =>
    encodeSigned(signed(encodePresence(statement), identity))
  const DAY_MS = 86_400_000
  for (const [at, value] of [
    [second.nodeId, by(worker.identity)],
    [worker.nodeId, by(worker.identity, { ...claim, managerId: worker.nodeId })],
    [second.nodeId, by(stranger.identity)],
    [stranger.nodeId, by(stranger.identity, { ...claim, managerId: stranger.nodeId })],
    [second.nodeId, by(first.identity)],
    [worker.nodeId, by(second.identity)],
    [second.nodeId, by(second.identity, { ...claim, clusterId: stranger.clusterId })],
    [second.nodeId, by(second.identity, { ...claim, at: now - DAY_MS })],
    [second.nodeId, by(second.identity, { ...claim, at: now + DAY_MS })],
    [second.nodeId, new TextEncoder().encode('garbage')],
    [second.nodeId, new Uint8Array(MAX_PRESENCE_BYTES + 1)],
    // What it says of itself it knows better.
    [first.nodeId, by(first.identity, { ...claim, managerId: first.nodeId })],
  ] as const)
    await put(at, value)
  await heard()
  expect(board.get(evil)).toBeUndefined()

  await put(second.nodeId, by(second.identity, { ...claim, nodes: ['w1'], at: now + 5 }))
  await put(second.nodeId, by(second.identity, { ...claim, at: now + 4 }))
  await heard()
  expect([board.get('w1'), board.get(evil)]).toEqual(['ready', undefined])
  stop.abort()
})

it('a statement comes back as it was, and anything else is null', () => {
  const statement = { clusterId: 'c', managerId: 'm', nodes: ['a', 'b'], at: 7 }
  const bytes = encodePresence(statement)
  expect(decodePresence(bytes)).toEqual(statement)
  for (let length = 0; length < bytes.length; length += 1) expect(decodePresence(bytes.subarray(0, length))).toBeNull()
  for (const text of ['', 'null', '7', '[]', '["leastwise-orchestrator presence v1",null]', '{"nodes":[]}'])
    expect(decodePresence(new TextEncoder().encode(text))).toBeNull()
  expect(decodePresence(encodePresence({ ...statement, nodes: [7 as never] }))).toBeNull()
  expect(decodePresence(encodePresence({ ...statement, at: 0.5 }))).toBeNull()
})
