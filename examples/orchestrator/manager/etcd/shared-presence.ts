import { nodeOf, parseClusterId, trustBundleOf } from '@leastwise/identity'
import type { Clock } from '@leastwise/raftlog'
import type { EtcdClient, KeyRange } from '@leastwise/raftlog-etcd'
import { foundedCluster } from '../issuing/issuing.ts'
import type { ManagerIdentity } from '../manager-keys.ts'
import type { PresenceBoard } from '../presence-board.ts'
import { managerBehind, signed } from '../signed-by-manager.ts'
import type { Store } from '../store.ts'
import { decodeSigned, encodeSigned } from './admission-statement.ts'
import { decodePresence, encodePresence, MAX_PRESENCE_BYTES } from './presence-statement.ts'

/** What a manager said is forgotten so long after it has gone. */
export const PRESENCE_TTL_MS = 6000
/** Nodes come in crowds: of several changes in so short a time one is written. */
const PAUSE_MS = 500
const KEEP_MS = 2000
/** Clocks of managers differ by less. */
const MAX_AGE_MS = 600_000

const folderOf = (clusterId: string): KeyRange => {
  const start = `/leastwise-orchestrator/${clusterId}/present/`
  return { key: start, end: `${start.slice(0, -1)}0` }
}

export interface SharedPresenceOptions {
  readonly etcd: EtcdClient
  readonly nodeId: string
  readonly store: Store
  readonly identity: () => ManagerIdentity
  readonly presence: PresenceBoard
  readonly clock: Clock
  readonly signal: AbortSignal
}

/** Tells the other managers who is connected here, until the signal fires or etcd fails; then it can be begun again. */
export async function tellPresence(options: SharedPresenceOptions): Promise<void> {
  const { etcd, nodeId, store, identity, presence, clock, signal } = options
  const { clusterId } = foundedCluster(store.state())
  const key = folderOf(clusterId).key + nodeId
  const { lease } = await etcd.grantLease(PRESENCE_TTL_MS, { signal })
  const ended = new AbortController()
  const both = AbortSignal.any([signal, ended.signal])
  const keep = async (): Promise<void> => {
    while (!both.aborted) {
      await clock.sleep(KEEP_MS, { signal: both })
      if ((await etcd.keepLease(lease, { signal: both })) === 0) return
    }
  }
  const tell = async (): Promise<void> => {
    for await (const nodes of presence.watchHere({ signal: both })) {
      const statement = encodePresence({ clusterId, managerId: nodeId, nodes: [nodeId, ...nodes], at: clock.now() })
      const value = encodeSigned(signed(statement, identity()))
      if (value.length <= MAX_PRESENCE_BYTES)
        await etcd.txn({ compare: [], success: [{ kind: 'put', key, value, lease }] }, { signal: both })
      await clock.sleep(PAUSE_MS, { signal: both })
    }
  }
  const running = [keep(), tell()]
  try {
    await Promise.race(running)
  } finally {
    ended.abort()
    await Promise.allSettled(running)
    await etcd.revokeLease(lease, { signal: AbortSignal.timeout(1000) }).catch(() => undefined)
  }
}

/** Hears what the other managers tell, until the signal fires or etcd fails. */
export async function hearPresence(options: SharedPresenceOptions): Promise<void> {
  const { etcd, nodeId: self, store, presence, signal } = options
  const range = folderOf(foundedCluster(store.state()).clusterId)
  const newest = new Map<string, number>()
  const managerIn = (key: string): string => key.slice(range.key.length)
  const take = async (key: string, value: Uint8Array): Promise<void> => {
    const managerId = managerIn(key)
    if (managerId === self) return
    const heard = await heardFrom(managerId, value, options)
    // Whoever can write to etcd can put back what a manager said before, but not sign for it.
    if (heard === null || heard.at < (newest.get(managerId) ?? 0)) return
    newest.set(managerId, heard.at)
    presence.elsewhere(managerId, heard.nodes)
  }
  const now = await etcd.range(range, { signal })
  for (const { key, value } of now.kvs) await take(key, value)
  try {
    for await (const { events } of etcd.watch(range, now.revision + 1n, { signal })) {
      for (const { kind, key, value } of events) {
        if (kind === 'put') await take(key, value)
        else presence.elsewhere(managerIn(key), null)
      }
    }
  } finally {
    // What is not heard of is not known.
    for (const managerId of newest.keys()) presence.elsewhere(managerId, null)
  }
}

async function heardFrom(
  managerId: string,
  value: Uint8Array,
  { store, clock }: SharedPresenceOptions,
): Promise<{ readonly nodes: readonly string[]; readonly at: number } | null> {
  const record = decodeSigned(value, MAX_PRESENCE_BYTES)
  const statement = record === null ? null : decodePresence(record.statement)
  const state = store.state()
  const authority = foundedCluster(state)
  if (record === null || statement?.clusterId !== authority.clusterId || statement.managerId !== managerId) return null
  const now = clock.now()
  if (Math.abs(now - statement.at) > MAX_AGE_MS || nodeOf(state.membership, managerId)?.role !== 'manager') return null
  const trust = { trustBundle: trustBundleOf(authority), clusterId: parseClusterId(authority.clusterId), now }
  const peer = await managerBehind(record, trust)
  return peer?.nodeId === managerId ? statement : null
}
