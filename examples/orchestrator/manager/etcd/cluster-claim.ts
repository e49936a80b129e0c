import type { EtcdClient } from '@leastwise/raftlog-etcd'
import { OrchestratorError } from '../../errors.ts'

const clusterClaim = '/leastwise-orchestrator/cluster'

/**
 * Makes this the one cluster of this orchestrator in this etcd.
 *
 * @throws {@link OrchestratorError} `CLUSTER_EXISTS` if there is one.
 */
export async function claimCluster(
  etcd: EtcdClient,
  clusterId: string,
  options: { readonly signal: AbortSignal },
): Promise<void> {
  const { succeeded } = await etcd.txn(
    {
      compare: [{ key: clusterClaim, target: 'version', is: '=', value: 0n }],
      success: [{ kind: 'put', key: clusterClaim, value: new TextEncoder().encode(clusterId) }],
    },
    options,
  )
  if (!succeeded) throw clusterExists()
}

const clusterExists = (): OrchestratorError =>
  new OrchestratorError(
    'CLUSTER_EXISTS',
    'this etcd holds a cluster already; join it with --join HOST:PORT and a manager token, or give an etcd of its own',
  )

/** The cluster in this etcd, or null. */
export async function claimedCluster(
  etcd: EtcdClient,
  options: { readonly signal: AbortSignal },
): Promise<string | null> {
  const { kvs } = await etcd.range({ key: clusterClaim }, options)
  return kvs[0] === undefined ? null : new TextDecoder().decode(kvs[0].value)
}

/** @throws {@link OrchestratorError} `CLUSTER_EXISTS` */
export async function refuseSecondCluster(etcd: EtcdClient, options: { readonly signal: AbortSignal }): Promise<void> {
  if ((await claimedCluster(etcd, options)) !== null) throw clusterExists()
}

/**
 * Removes what lies below a path, as long as no cluster is claimed: what a restore left that was cut short.
 *
 * @throws {@link OrchestratorError} `CLUSTER_EXISTS`
 */
export async function dropUnclaimed(
  etcd: EtcdClient,
  path: string,
  options: { readonly signal: AbortSignal },
): Promise<void> {
  const { succeeded } = await etcd.txn(
    {
      compare: [{ key: clusterClaim, target: 'version', is: '=', value: 0n }],
      // '0' is the character after '/': all that begins with the path, and nothing else.
      success: [{ kind: 'delete', key: `${path}/`, end: `${path}0` }],
    },
    options,
  )
  if (!succeeded) throw clusterExists()
}
