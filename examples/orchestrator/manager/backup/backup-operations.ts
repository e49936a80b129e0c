import { isAbsolute } from 'node:path'
import { createBackup } from '@leastwise/raftlog'
import { nodeCipherSuite, systemRandom, writeBackupFile } from '@leastwise/raftlog/node'
import { OrchestratorError } from '../../errors.ts'
import type { BackupAnswer } from '../../operator/answers.ts'
import { text } from '../fields.ts'
import { foundedCluster } from '../issuing/issuing.ts'
import type { OperationContext } from '../operations.ts'
import type { Operation } from '../operator-server.ts'
import { encodeNode, NODE_COMPANION } from './node-companion.ts'

/** Writes backups: one file with the log and this manager's identity, under its unlock key. */
export function backupOperations({ engine, keys, store, nodeId, now }: OperationContext): Record<string, Operation> {
  return {
    'backup/create': async (request): Promise<BackupAnswer> => {
      const file = text(request.body(), 'file')
      if (!isAbsolute(file)) throw new OrchestratorError('USAGE', 'name the file by its whole path')
      if (!keys.locked())
        throw new OrchestratorError('NOT_LOCKED', 'a backup lies under the unlock key; switch autolock on first')
      const { clusterId } = foundedCluster(store.state())
      const making = createBackup(engine.source, {
        ...{ clusterId, logId: nodeId, wrapper: keys.wrapper(), suite: nodeCipherSuite, random: systemRandom },
        now: now(),
        companions: [{ name: NODE_COMPANION, bytes: encodeNode(keys.identity()) }],
      })
      const { last, digest } = await writeBackupFile(file, making)
      return { file, entries: Number(last.index), digest: Buffer.from(digest).toString('hex') }
    },
  }
}
