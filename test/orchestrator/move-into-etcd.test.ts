import { join } from 'node:path'
import { clearWrapper } from '@leastwise/raftlog'
import { createLog, fileKeyStore, nodeCipherSuite } from '@leastwise/raftlog/node'
import { openMemberKey, openSharedLog } from '@leastwise/raftlog-etcd'
import { expect, it } from 'vitest'
import { claimCluster } from '../../examples/orchestrator/manager/etcd/cluster-claim.ts'
import { moveIntoEtcd } from '../../examples/orchestrator/manager/etcd/move-into-etcd.ts'
import { readAll, testCluster, utf8 } from '../raftlog-etcd/etcd-support.ts'
import { tempDir } from '../support/temp-dir.ts'

const { signal } = new AbortController()

it('a restored log is moved into etcd as often as it is cut short, until the cluster is claimed', async () => {
  const directory = tempDir()
  const place = { directory: join(directory, 'log'), clusterId: 'c1', logId: 'n1' }
  await using source = await createLog({ ...place, keys: fileKeyStore(join(directory, 'keys')), wrapper: clearWrapper })
  for (const each of ['a', 'b', 'c']) await source.append([utf8(each)], { term: 1n })
  await source.saveSnapshot({ index: 2n, term: 1n, data: utf8('two') })
  await source.append([utf8('d')], { term: 2n })
  const cluster = testCluster()
  const etcd = cluster.etcd.connect()
  const move = async () => await moveIntoEtcd(source, { etcd, clusterId: 'c1', nodeId: 'n1', signal })
  // The first one dies before it has claimed the cluster, and takes its box key with it.
  await move()
  const own = await move()
  await claimCluster(etcd, 'c1', { signal })
  await expect(move()).rejects.toThrowCode('CLUSTER_EXISTS')

  const member = { id: 'n1.1', key: openMemberKey(own.secretKey) }
  const parts = { ...cluster.parts('n1.1'), etcd, clusterId: 'c1', logId: 'cluster', suite: nodeCipherSuite, member }
  if (own.pin === null || own.head === null) throw new Error('nothing was remembered')
  const log = await openSharedLog({ ...parts, pin: own.pin, remembered: own.head }, { signal })
  expect(await readAll(log)).toEqual(['3:1:c', '4:2:d'])
  expect((await log.loadSnapshot())?.data).toEqual(utf8('two'))
  expect(log.membership.members).toHaveLength(1)
  await log.close()
})
