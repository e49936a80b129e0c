import { join } from 'node:path'
import { openKeyFile } from '@leastwise/identity/node'
import { type KeyStore, verifyBackup } from '@leastwise/raftlog'
import { nodeCipherSuite, readBackupFile, restoreLog } from '@leastwise/raftlog/node'
import { prepareDataDirectory } from '../data-directory.ts'
import { OrchestratorError } from '../errors.ts'
import { isFounded, makeState } from './found.ts'
import { RING } from './manager-keys.ts'
import { decodeNode, NODE_COMPANION } from './node-companion.ts'
import { wrapperOf } from './unlocking.ts'

export interface Restored {
  readonly clusterId: string
  readonly nodeId: string
  /** Index of the last entry of the log. */
  readonly entries: number
}

/**
 * Makes a manager out of a backup, in a data directory that holds none. It is locked, under the unlock key of the backup, and has
 * its log in the directory, wherever the log of the original was.
 *
 * The backup is proven to its last byte before anything gets its final name.
 */
export async function restoreManager(
  dataDirectory: string,
  file: string,
  { unlockKey, signal }: { readonly unlockKey: Uint8Array; readonly signal: AbortSignal },
): Promise<Restored> {
  const wrapper = wrapperOf(unlockKey)
  const takeBack = prepareDataDirectory(dataDirectory)
  try {
    if (isFounded(dataDirectory))
      throw new OrchestratorError('ALREADY_FOUNDED', 'the data directory holds a manager; restore into another one')
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
      const { companions } = await restoreLog(readBackupFile(file), {
        ...{ directory: join(founding, 'log'), clusterId, logId, keys, wrapper, backupWrapper: wrapper, signal },
      })
      const node = companions.find(({ name }) => name === NODE_COMPANION)
      const identity = decodeNode(node?.bytes ?? new Uint8Array(0))
      const kept = await keys.load()
      if (kept === null) throw new OrchestratorError('INTERNAL', 'the restored log has no keys')
      await (await openKeyFile(join(founding, 'node.key'))).save({ ...identity, companion: { [RING]: kept } }, wrapper)
    })
    return { clusterId, nodeId: logId, entries: Number(last.index) }
  } catch (error) {
    takeBack()
    throw error
  }
}
