import { join } from 'node:path'
import { clearWrapper, memoryLog } from '@leastwise/raftlog'
import { createLog, fileKeyStore, openLog } from '@leastwise/raftlog/node'
import { logEngineContract } from '../contract/log-engine.ts'
import { tempDir } from '../support/temp-dir.ts'
import { crashDisk } from './crash-disk.ts'
import { createOn, openOn } from './log-support.ts'

logEngineContract('memory', () => ({ create: async () => memoryLog() }))

logEngineContract('files in memory', () => {
  const disk = crashDisk()
  return {
    create: async () => await createOn(disk),
    reopen: async (wrapper = clearWrapper) => await openOn(disk, { wrapper }),
  }
})

logEngineContract('files in memory, a segment for each frame', () => {
  const disk = crashDisk()
  const segmentBytes = 1
  return {
    create: async () => await createOn(disk, { segmentBytes }),
    reopen: async (wrapper = clearWrapper) => await openOn(disk, { wrapper, segmentBytes }),
  }
})

logEngineContract('directory', () => {
  const root = tempDir()
  const options = {
    directory: join(root, 'log'),
    clusterId: 'cluster-1',
    logId: 'node-1',
    keys: fileKeyStore(join(root, 'keys')),
    wrapper: clearWrapper,
  }
  return {
    create: async () => await createLog(options),
    reopen: async (wrapper = clearWrapper) => await openLog({ ...options, wrapper }),
  }
})
