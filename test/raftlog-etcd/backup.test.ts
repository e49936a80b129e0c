import { createBackup, openSealedLog, restoreBackup, unlockKeyWrapper, verifyBackup } from '@leastwise/raftlog'
import { nodeCipherSuite } from '@leastwise/raftlog/node'
import { describe, expect, it } from 'vitest'
import { crashDisk } from '../raftlog/crash-disk.ts'
import { partsOn } from '../raftlog/log-support.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { CLUSTER, LOG, readAll, testCluster, text, utf8 } from './etcd-support.ts'

const wrapper = unlockKeyWrapper(new Uint8Array(32).fill(0xb7), seededRandom(0xb7))
const making = { clusterId: CLUSTER, logId: LOG, wrapper, suite: nodeCipherSuite, random: seededRandom(0xb8), now: 1 }

async function* given(pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void, void> {
  for (const piece of pieces) yield await Promise.resolve(piece)
}

describe('a log in etcd', () => {
  it('is backed up as any other, and brought into an etcd that is empty', async () => {
    const log = await testCluster().create()
    for (const each of ['a', 'b', 'c']) await log.append([utf8(each)])
    await log.saveSnapshot({ index: 2n, term: 1n, data: utf8('a b') })
    await log.compact(2n)
    await log.append([utf8('d'), utf8('e')], { term: 4n })
    const pieces: Uint8Array[] = []
    for await (const piece of createBackup(log, making)) pieces.push(piece)
    expect(await verifyBackup(given(pieces), { suite: nodeCipherSuite, wrapper })).toMatchObject({
      proven: 'all',
      header: { last: { index: 5n, term: 4n }, snapshot: { index: 2n, term: 1n } },
    })

    // Restored beside, then written into the new one: its snapshot, and the entries behind.
    const disk = crashDisk()
    const parts = partsOn(disk, { clusterId: CLUSTER, logId: LOG })
    await restoreBackup(given(pieces), { wrapper, log: parts })
    await using restored = await openSealedLog(partsOn(disk, { clusterId: CLUSTER, logId: LOG }))
    const fresh = await testCluster().create()
    const snapshot = await restored.loadSnapshot()
    if (snapshot !== null) await fresh.installSnapshot(snapshot)
    for await (const { data, term, index } of restored.entries({ from: (snapshot?.index ?? 0n) + 1n })) {
      await fresh.append([data], { term, at: index })
    }
    expect(await readAll(fresh)).toEqual(['3:1:c', '4:4:d', '5:4:e'])
    expect(text((await fresh.loadSnapshot())!.data)).toBe('a b')
    expect([fresh.lastIndex, fresh.lastTerm]).toEqual([5n, 4n])
  })
})
