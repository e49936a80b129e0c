import type { SealedLog } from '@leastwise/raftlog'
import { systemRandom } from '@leastwise/raftlog/node'
import { createMemberKey, type EtcdClient } from '@leastwise/raftlog-etcd'
import { createEtcdLog } from '@leastwise/raftlog-etcd/node'
import { dropUnclaimed } from './cluster-claim.ts'
import { memberIdOf } from './member-id.ts'
import { LOG_ID } from './open-member.ts'
import type { OwnMembership } from './own-membership.ts'

const FIRST = 1

export interface MoveOptions {
  readonly etcd: EtcdClient
  readonly clusterId: string
  readonly nodeId: string
  readonly signal: AbortSignal
}

/**
 * Writes a log that was restored into an etcd that holds no cluster, under a data key that nobody had before; this manager is the only
 * member. Whoever calls claims the cluster when all else is durable: until then what lies there counts for nothing, and is written anew.
 *
 * @throws {@link OrchestratorError} `CLUSTER_EXISTS`
 */
export async function moveIntoEtcd(
  source: SealedLog,
  { etcd, clusterId, nodeId, signal }: MoveOptions,
): Promise<OwnMembership> {
  await dropUnclaimed(etcd, `/leastwise/${clusterId}/${LOG_ID}`, { signal })
  const key = createMemberKey(systemRandom)
  const member = { id: memberIdOf(nodeId, FIRST), key }
  await using log = await createEtcdLog({ etcd, clusterId, logId: LOG_ID, member }, { signal })
  const snapshot = await source.loadSnapshot()
  if (snapshot !== null) await log.installSnapshot(snapshot)
  for await (const entries of source.batches({ from: (snapshot?.index ?? 0n) + 1n, signal })) {
    // Together, so that they share transactions; each at its own place.
    await Promise.all(entries.map(async ({ data, term, index }) => await log.append([data], { term, at: index })))
  }
  return { number: FIRST, secretKey: key.secretKey, pin: log.membership.pin, head: log.head }
}
