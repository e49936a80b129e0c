import { parseNodeId } from '@leastwise/identity'
import { createMemberKey, type EtcdClient, EtcdLogError, MAX_MEMBERS, type SharedLog } from '@leastwise/raftlog-etcd'
import { systemRandom } from '@leastwise/tokens/node'
import { describe, expect, it } from 'vitest'
import { admitManagers, askForAdmission } from '../../examples/orchestrator/manager/etcd/admission.ts'
import {
  decodeAnswer,
  decodeRequest,
  decodeSigned,
  encodeAnswer,
  encodeRequest,
  encodeSigned,
  REQUEST_AGE_MS,
} from '../../examples/orchestrator/manager/etcd/admission-statement.ts'
import { openSharedStore } from '../../examples/orchestrator/manager/etcd/shared-store.ts'
import { newCluster } from '../../examples/orchestrator/manager/founding/genesis.ts'
import type { ManagerIdentity } from '../../examples/orchestrator/manager/manager-keys.ts'
import { managerBehind, signed } from '../../examples/orchestrator/manager/signed-by-manager.ts'
import type { Store } from '../../examples/orchestrator/manager/store.ts'
import { CLUSTER, testCluster } from '../raftlog-etcd/etcd-support.ts'

const NOW = Date.now()
const WAIT_MS = 400

interface Setting {
  readonly etcd: EtcdClient
  readonly log: SharedLog
  readonly store: Store
  readonly identity: ManagerIdentity
  readonly clusterId: string
  readonly nodeId: string
  readonly admitted: string[]
  readonly stop: AbortController
}

/** A cluster with one manager, which answers those that ask. */
async function setting(): Promise<Setting> {
  const cluster = testCluster()
  const log = await cluster.create('m1')
  const stop = new AbortController()
  const store = await openSharedStore(log, { signal: stop.signal, fail: () => undefined })
  const { orders, identity, clusterId, nodeId } = await newCluster(NOW)
  await store.commit(() => orders)
  const admitted: string[] = []
  const etcd = cluster.etcd.connect()
  void admitManagers({
    etcd,
    log,
    store,
    identity: () => identity,
    now: () => NOW,
    onAdmitted: (id) => admitted.push(id),
    signal: stop.signal,
  }).catch(() => undefined)
  return { etcd: cluster.etcd.connect(), log, store, identity, clusterId, nodeId, admitted, stop }
}

const boxKey = (): Uint8Array => createMemberKey(systemRandom).publicKey

const ask = async (
  { etcd, identity, clusterId, nodeId, stop }: Setting,
  more: Partial<{
    identity: ManagerIdentity
    nodeId: string
    clusterId: string
    memberId: string
    at: number
    waitMs: number
  }> = {},
) =>
  await askForAdmission({
    etcd,
    identity: more.identity ?? identity,
    request: {
      clusterId: more.clusterId ?? clusterId,
      nodeId: more.nodeId ?? nodeId,
      memberId: more.memberId ?? `${more.nodeId ?? nodeId}.7`,
      boxKey: boxKey(),
      at: more.at ?? NOW,
    },
    now: () => NOW,
    waitMs: more.waitMs ?? WAIT_MS,
    signal: stop.signal,
  })

describe('admission of a manager to the shared log', () => {
  it('wraps the data key for a manager that the cluster knows, and hands it the pin', async () => {
    const here = await setting()
    const pin = await ask(here)
    expect(pin).toEqual(here.log.membership.pin)
    expect(here.admitted).toEqual([`${here.nodeId}.7`])
    expect(here.log.membership.members.map(({ id }) => id)).toContain(`${here.nodeId}.7`)
    // Nothing of the exchange stays behind.
    const { kvs } = await here.etcd.range(
      { key: '/leastwise-orchestrator/', end: '/leastwise-orchestrator0' },
      here.stop,
    )
    expect(kvs).toEqual([])
    here.stop.abort()
  })

  it('is asked for again when etcd was silent, at the request or while the answer was waited for', async () => {
    const here = await setting()
    const { etcd } = here
    let silences = 0
    const silent = (): never => {
      silences += 1
      throw new EtcdLogError('ETCD_UNREACHABLE', 'nobody answers')
    }
    const flaky: EtcdClient = {
      ...etcd,
      txn: async (...words) => (silences === 0 ? silent() : await etcd.txn(...words)),
      watch: (...words) => (silences === 1 ? silent() : etcd.watch(...words)),
    }
    expect(await ask({ ...here, etcd: flaky }, { waitMs: 10_000 })).toEqual(here.log.membership.pin)
    expect(silences).toBe(2)
    const dead: EtcdClient = { ...etcd, txn: silent }
    await expect(ask({ ...here, etcd: dead })).rejects.toThrowCode('ETCD_UNREACHABLE')
    here.stop.abort()
  })

  it('refuses a stranger, another node’s name, another cluster, an old request and a member id of somebody else', async () => {
    const here = await setting()
    const stranger = await newCluster(NOW)
    const other = parseNodeId('a'.repeat(25))
    const refused = [
      ask(here, { identity: stranger.identity }),
      ask(here, { identity: stranger.identity, nodeId: stranger.nodeId }),
      ask(here, { nodeId: other }),
      ask(here, { clusterId: stranger.clusterId }),
      ask(here, { at: NOW - REQUEST_AGE_MS - 1 }),
      ask(here, { at: NOW + REQUEST_AGE_MS + 1 }),
      ask(here, { memberId: `${other}.1` }),
      ask(here, { memberId: here.nodeId }),
    ]
    for (const one of refused) await expect(one).rejects.toThrowCode('ADMISSION_REFUSED')
    expect(here.admitted).toEqual([])
    expect(here.log.membership.members.map(({ id }) => id)).toEqual(['m1'])
    here.stop.abort()
  })

  it('lets no second box key of a manager in, so that a request of earlier brings none back', async () => {
    const here = await setting()
    await ask(here, { memberId: `${here.nodeId}.1` })
    const key = createMemberKey(systemRandom)
    await here.log.membership.admit({ id: `${here.nodeId}.2`, publicKey: key.publicKey })
    const snapshot = here.store.snapshot
    await here.log.membership.remove(`${here.nodeId}.1`, { snapshot })
    await expect(ask(here, { memberId: `${here.nodeId}.1` })).rejects.toThrowCode('ADMISSION_REFUSED')
    expect(here.log.membership.members.map(({ id }) => id)).toEqual(['m1', `${here.nodeId}.2`])
    here.stop.abort()
  })

  it('lets nobody in for whom there is no room, and the next one when there is', async () => {
    const here = await setting()
    const { membership } = here.log
    for (let count = membership.members.length; count < MAX_MEMBERS; count += 1)
      await membership.admit({ id: `other.${count}`, publicKey: boxKey() })
    await expect(ask(here)).rejects.toThrowCode('ADMISSION_REFUSED')
    await membership.remove('other.1', { snapshot: here.store.snapshot })
    expect(await ask(here, { waitMs: 10_000 })).toEqual(membership.pin)
    here.stop.abort()
  })

  it('believes no answer that is not signed by a manager of the cluster, for this very request', async () => {
    const here = await setting()
    const stranger = await newCluster(NOW)
    const key = boxKey()
    const request = {
      clusterId: here.clusterId,
      nodeId: here.nodeId,
      memberId: `${here.nodeId}.1`,
      boxKey: key,
      at: NOW,
    }
    const answer = { ...request, generation: 1, mark: 'f'.repeat(64) }
    const forged = signed(encodeAnswer(answer), stranger.identity)
    const trust = { trustBundle: here.identity.trustBundle, clusterId: here.clusterId as never, now: NOW }
    expect(await managerBehind(forged, trust)).toBeNull()
    const genuine = signed(encodeAnswer(answer), here.identity)
    expect((await managerBehind(genuine, trust))?.nodeId).toBe(here.nodeId)
    for (let bit = 0; bit < 8 * 16; bit += 1) {
      const statement = Uint8Array.from(genuine.statement)
      statement[bit >> 3]! ^= 1 << (bit & 7)
      expect(await managerBehind({ ...genuine, statement }, trust)).toBeNull()
    }
    expect(await managerBehind({ ...genuine, chain: 'garbage' }, trust)).toBeNull()
    // A request does not pass for an answer, nor the other way round.
    expect(decodeAnswer(encodeRequest(request))).toBeNull()
    expect(decodeRequest(encodeAnswer(answer))).toBeNull()
    here.stop.abort()
  })
})

describe('admission statements', () => {
  const request = { clusterId: CLUSTER, nodeId: 'n', memberId: 'n.1', boxKey: new Uint8Array(32).fill(3), at: NOW }

  it('come back as they were', () => {
    expect(decodeRequest(encodeRequest(request))).toEqual(request)
    const record = { statement: encodeRequest(request), signature: new Uint8Array([1, 2]), chain: 'pem' }
    expect(decodeSigned(encodeSigned(record))).toEqual(record)
  })

  it('are null for cuts, garbage, other shapes and too many bytes, and never throw', () => {
    const bytes = encodeRequest(request)
    for (let length = 0; length < bytes.length; length += 1) expect(decodeRequest(bytes.subarray(0, length))).toBeNull()
    for (const text of ['', 'null', '[]', '{}', '7', '["x",{}]', '{"statement":1}', '\u0000']) {
      const other = new TextEncoder().encode(text)
      expect([decodeRequest(other), decodeAnswer(other), decodeSigned(other)]).toEqual([null, null, null])
    }
    expect(decodeSigned(new TextEncoder().encode(`{"chain":"${'x'.repeat(70_000)}"}`))).toBeNull()
    expect(decodeRequest(encodeRequest({ ...request, boxKey: new Uint8Array(31) }))).toBeNull()
  })
})
