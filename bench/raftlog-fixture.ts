import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { clearWrapper, type SealedLog } from '@leastwise/raftlog'
import { createLog, fileKeyStore, type LogOptions, openLog } from '@leastwise/raftlog/node'

export const RECORD_BYTES = 1024
// What 256 clients make of a frame.
const FRAME_RECORDS = 256

const optionsIn = (directory: string): LogOptions => ({
  directory: join(directory, 'log'),
  clusterId: 'bench',
  logId: 'bench',
  keys: fileKeyStore(join(directory, 'keys')),
  wrapper: clearWrapper,
})

export const openBenchLog = async (directory: string): Promise<SealedLog> => await openLog(optionsIn(directory))

/** One frame's records; the same in every frame, for the cipher does not care. */
const frameRecords = (): readonly Uint8Array[] => {
  const bytes = new Uint8Array(randomBytes(FRAME_RECORDS * RECORD_BYTES))
  return Array.from({ length: FRAME_RECORDS }, (_, nth) => bytes.subarray(nth * RECORD_BYTES, (nth + 1) * RECORD_BYTES))
}

/** Fills a log with this many records, rounded up to whole frames, and closes it. */
export async function fillBenchLog(directory: string, records: number): Promise<void> {
  await using log = await createLog(optionsIn(directory))
  const frame = frameRecords()
  for (let done = 0; done < records; done += FRAME_RECORDS) await log.append(frame)
}
