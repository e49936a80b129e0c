import { logEngineContract } from '../contract/log-engine.ts'
import { testCluster } from './etcd-support.ts'

logEngineContract('etcd in memory', () => {
  const cluster = testCluster()
  return { create: async () => await cluster.create(), reopen: async () => await cluster.open() }
}, ['raft node'])
