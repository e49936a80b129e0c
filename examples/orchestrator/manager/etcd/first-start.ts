import { join } from 'node:path'
import { clearWrapper, openKeyFile, systemClock, systemRandom } from '@leastwise/identity/node'
import { createMemberKey, type EtcdClient } from '@leastwise/raftlog-etcd'
import { createEtcdLog } from '@leastwise/raftlog-etcd/node'
import { joinCluster } from '@leastwise/swarm/node'
import type { NewTokenAnswer } from '../../operator/answers.ts'
import { type FoundOptions, makeState } from '../founding/found.ts'
import { newCluster } from '../founding/genesis.ts'
import { type ManagerIdentity, managerKeys } from '../manager-keys.ts'
import { claimCluster, refuseSecondCluster } from './cluster-claim.ts'
import { memberIdOf } from './member-id.ts'
import { LOG_ID } from './open-member.ts'
import { encodeMembership, MEMBERSHIP, type OwnMembership } from './own-membership.ts'
import { openSharedStore } from './shared-store.ts'

const FIRST = 1

async function keep(founding: string, identity: ManagerIdentity, own: OwnMembership): Promise<void> {
  const file = await openKeyFile(join(founding, 'node.key'))
  const keys = managerKeys({ file, wrapper: clearWrapper, content: { ...identity, companion: {} } })
  await keys.saveCompanion(MEMBERSHIP, await encodeMembership(own, clearWrapper))
}

/**
 * Founds a cluster whose log lies in etcd; this manager is its first.
 *
 * The claim comes last: what a crash leaves before it is a log that nobody can open and that stands in nobody's way.
 */
export async function foundInEtcd(
  dataDirectory: string,
  etcd: EtcdClient,
  { now, signal, ...options }: FoundOptions,
): Promise<readonly NewTokenAnswer[]> {
  await refuseSecondCluster(etcd, { signal })
  return await makeState(dataDirectory, async (founding) => {
    const { clusterId, nodeId, identity, orders, tokens } = await newCluster(now, { signal, ...options })
    const key = createMemberKey(systemRandom)
    const member = { id: memberIdOf(nodeId, FIRST), key }
    const log = await createEtcdLog({ etcd, clusterId, logId: LOG_ID, member }, { signal })
    try {
      const ends = new AbortController()
      const store = await openSharedStore(log, { signal: ends.signal, fail: () => undefined })
      await store.commit(() => orders)
      ends.abort()
      await keep(founding, identity, {
        number: FIRST,
        secretKey: key.secretKey,
        pin: log.membership.pin,
        head: log.head,
      })
    } finally {
      await log.close()
    }
    await claimCluster(etcd, clusterId, { signal })
    return tokens
  })
}

/** Joins a cluster as one more manager: the identity first; being let into the log comes when it is opened. */
export async function joinAsManager(
  dataDirectory: string,
  {
    addresses,
    token,
    signal,
  }: { readonly addresses: readonly [string, ...string[]]; readonly token: string; readonly signal: AbortSignal },
): Promise<void> {
  await makeState(dataDirectory, async (founding) => {
    const joined = await joinCluster({
      addresses,
      token,
      role: 'manager',
      clock: systemClock,
      random: systemRandom,
      signal,
    })
    const { privateKey, certificateChain } = joined
    const trustBundle = new TextDecoder().decode(joined.trustBundle)
    const { secretKey } = createMemberKey(systemRandom)
    await keep(
      founding,
      { privateKey, certificateChain, trustBundle },
      { number: FIRST, secretKey, pin: null, head: null },
    )
  })
}
