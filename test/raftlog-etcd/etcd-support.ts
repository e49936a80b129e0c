import type { Clock } from '@leastwise/raftlog'
import { nodeCipherSuite } from '@leastwise/raftlog/node'
import {
  createMemberKey,
  createSharedLog,
  type EtcdClient,
  type MemberKey,
  type MemoryEtcd,
  memoryEtcd,
  openSharedLog,
  type SharedLog,
  type SharedLogParts,
} from '@leastwise/raftlog-etcd'
import { seededRandom } from '../support/seeded-random.ts'

export const CLUSTER = 'cluster-1'
export const LOG = 'managers'

let seed = 1000

/** A clock for tests that do not depend on time: it is always the same instant, and pauses are turns of the loop. */
export function stillClock(): Clock & { readonly pass: (ms: number) => void } {
  let now = Date.UTC(2026, 10, 21, 12)
  return {
    now: () => now,
    pass: (ms) => {
      now += ms
    },
    sleep: async (ms, { signal }) => {
      signal.throwIfAborted()
      // What waits for a long time waits for a test to end it; short pauses pass.
      if (ms <= 1000) {
        now += ms
        await new Promise<void>((resolve) => setImmediate(resolve))
        signal.throwIfAborted()
        return
      }
      await new Promise<void>((_resolve, reject) => {
        signal.addEventListener(
          'abort',
          () => {
            reject(signal.reason as Error)
          },
          { once: true },
        )
      })
    },
  }
}

/** One etcd and what its managers share. */
export interface Cluster {
  readonly etcd: MemoryEtcd
  readonly clock: ReturnType<typeof stillClock>
  readonly keys: Map<string, MemberKey>
  readonly parts: (id: string, overrides?: Partial<SharedLogParts>) => SharedLogParts
  readonly create: (id?: string, overrides?: Partial<SharedLogParts>) => Promise<SharedLog>
  readonly open: (id?: string, overrides?: Partial<SharedLogParts>) => Promise<SharedLog>
}

export function testCluster(wrap: (client: EtcdClient) => EtcdClient = (client) => client): Cluster {
  const clock = stillClock()
  const etcd = memoryEtcd({ clock })
  const keys = new Map<string, MemberKey>()
  const parts = (id: string, overrides: Partial<SharedLogParts> = {}): SharedLogParts => {
    seed += 1
    const random = seededRandom(seed)
    const key = keys.get(id) ?? createMemberKey(random)
    keys.set(id, key)
    return {
      etcd: wrap(etcd.connect()),
      clusterId: CLUSTER,
      logId: LOG,
      member: { id, key },
      suite: nodeCipherSuite,
      random,
      clock,
      ...overrides,
    }
  }
  const signal = (): AbortSignal => new AbortController().signal
  return {
    etcd,
    clock,
    keys,
    parts,
    create: async (id = 'm1', overrides) => await createSharedLog(parts(id, overrides), { signal: signal() }),
    open: async (id = 'm1', overrides) => await openSharedLog(parts(id, overrides), { signal: signal() }),
  }
}

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
export const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/** All entries as `index:term:text`. */
export async function readAll(log: SharedLog, from?: bigint): Promise<string[]> {
  const seen: string[] = []
  for await (const entry of log.entries(from === undefined ? {} : { from })) {
    seen.push(`${entry.index}:${entry.term}:${text(entry.data)}`)
  }
  return seen
}
