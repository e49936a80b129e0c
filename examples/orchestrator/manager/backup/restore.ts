import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { openKeyFile } from '@leastwise/identity/node'
import { type KeyStore, type SealedLog, verifyBackup } from '@leastwise/raftlog'
import { nodeCipherSuite, openLog, readBackupFile, restoreLog } from '@leastwise/raftlog/node'
import { prepareDataDirectory } from '../../data-directory.ts'
import { OrchestratorError } from '../../errors.ts'
import { encodePlain } from '../../plain-data.ts'
import { decide } from '../cluster-state.ts'
import { claimCluster, refuseSecondCluster } from '../etcd/cluster-claim.ts'
import { moveIntoEtcd } from '../etcd/move-into-etcd.ts'
import { encodeMembership, MEMBERSHIP } from '../etcd/own-membership.ts'
import { connectEtcd, type EtcdSettings } from '../etcd/settings.ts'
import { isFounded, makeState } from '../founding/found.ts'
import { RING } from '../manager-keys.ts'
import { openStore } from '../store.ts'
import { wrapperOf } from '../unlocking.ts'
import { decodeNode, NODE_COMPANION } from './node-companion.ts'

export interface Restored {
  readonly clusterId: string
  readonly nodeId: string
  /** Index of the last entry of the log. */
  readonly entries: number
}

export interface RestoreOptions {
  readonly unlockKey: Uint8Array
  /** Where the log is to be; null for the data directory. */
  readonly etcd: EtcdSettings | null
  readonly signal: AbortSignal
}

/** Nodes have heard of evictions that the backup does not know, under numbers that must not be given again. */
async function leaveNumbersOut(log: SealedLog): Promise<void> {
  const { state } = await openStore(log)
  await log.append([encodePlain(decide(state(), [{ part: 'evictions', command: { type: 'restored' } }]))])
}

/**
 * Makes a manager out of a backup, in a data directory that holds none. It is locked, under the unlock key of the backup, and has
 * its log in the directory or in an etcd that holds no cluster, wherever the log of the original was.
 *
 * The backup is proven to its last byte before anything gets its final name.
 *
 * @throws {@link OrchestratorError} `ALREADY_FOUNDED`, `CLUSTER_EXISTS`
 */
export async function restoreManager(
  dataDirectory: string,
  file: string,
  { unlockKey, etcd: settings, signal }: RestoreOptions,
): Promise<Restored> {
  const wrapper = wrapperOf(unlockKey)
  const takeBack = prepareDataDirectory(dataDirectory)
  try {
    if (isFounded(dataDirectory))
      throw new OrchestratorError('ALREADY_FOUNDED', 'the data directory holds a manager; restore into another one')
    await using etcd = settings === null ? null : connectEtcd(settings)
    if (etcd !== null) await refuseSecondCluster(etcd, { signal })
    const { header } = await verifyBackup(readBackupFile(file), { suite: nodeCipherSuite, wrapper, signal })
    const { clusterId, logId, last } = header
    await makeState(dataDirectory, async (founding) => {
      let ring: Uint8Array | null = null
      const keys: KeyStore = {
        load: () => Promise.resolve(ring),
        save: (bytes) => {
          ring = Uint8Array.from(bytes)
          return Promise.resolve()
        },
      }
      const directory = join(founding, 'log')
      const place = { directory, clusterId, logId, keys, wrapper }
      const { companions } = await restoreLog(readBackupFile(file), { ...place, backupWrapper: wrapper, signal })
      const node = companions.find(({ name }) => name === NODE_COMPANION)
      const identity = decodeNode(node?.bytes ?? new Uint8Array(0))
      const save = async (companion: Readonly<Record<string, Uint8Array>>): Promise<void> => {
        await (await openKeyFile(join(founding, 'node.key'))).save({ ...identity, companion }, wrapper)
      }
      const log = await openLog(place)
      const own = await (async () => {
        await leaveNumbersOut(log)
        return etcd === null ? null : await moveIntoEtcd(log, { etcd, clusterId, nodeId: logId, signal })
      })().finally(log.close)
      if (etcd === null || own === null) {
        const kept = await keys.load()
        if (kept === null) throw new OrchestratorError('INTERNAL', 'the restored log has no keys')
        await save({ [RING]: kept })
        return
      }
      rmSync(directory, { recursive: true })
      await save({ [MEMBERSHIP]: await encodeMembership(own, wrapper) })
      // Last, as when a cluster is founded: what a crash leaves before it stands in nobody's way.
      await claimCluster(etcd, clusterId, { signal })
    })
    return { clusterId, nodeId: logId, entries: Number(last.index) }
  } catch (error) {
    takeBack()
    throw error
  }
}
