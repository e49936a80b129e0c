import { systemRandom } from '@leastwise/raftlog/node'
import { createMemberKey, type MemberKey, type SharedLog } from '@leastwise/raftlog-etcd'
import { createEtcdLog, type EtcdLogOptions, openEtcdLog } from '@leastwise/raftlog-etcd/node'
import { afterAll, beforeAll } from 'vitest'
import { etcdClientContract } from '../contract/etcd-client.ts'
import { logEngineContract } from '../contract/log-engine.ts'
import { type EtcdCluster, startEtcd } from './support/etcd-cluster.ts'
import { describePeer, needs } from './support/needs.ts'

describePeer('a log in a real etcd', needs('root', 'etcd', 'etcdctl', 'ip', 'nsenter', 'openssl', 'setpriv'), () => {
  let etcd: EtcdCluster
  let logs = 0
  beforeAll(async () => {
    etcd = await startEtcd()
  })
  afterAll(async () => {
    await etcd[Symbol.asyncDispose]()
  })

  let prefixes = 0
  etcdClientContract('etcd with three members', () => {
    prefixes += 1
    return { client: etcd.connect(), prefix: `/test-${prefixes}/` }
  })

  logEngineContract('etcd with three members', () => {
    logs += 1
    const key: MemberKey = createMemberKey(systemRandom)
    const parts = (): EtcdLogOptions => ({
      etcd: etcd.connect(),
      clusterId: 'cluster-1',
      logId: `log-${logs}`,
      member: { id: 'm1', key },
    })
    const { signal } = new AbortController()
    return {
      create: async (): Promise<SharedLog> => await createEtcdLog(parts(), { signal }),
      reopen: async (): Promise<SharedLog> => await openEtcdLog(parts(), { signal }),
    }
  }, ['raft node'])
})
