import {
  type BackupOptions,
  type BackupReceipt,
  type BackupSource,
  createBackup,
  type RestoredBackup,
  restoreBackup,
  type SealedLogParts,
  unlockKeyWrapper,
} from '@leastwise/raftlog'
import { nodeCipherSuite } from '@leastwise/raftlog/node'
import { seededRandom } from '../support/seeded-random.ts'
import type { CrashDisk } from './crash-disk.ts'
import { CLUSTER, LOG, partsOn } from './log-support.ts'

export const suite = nodeCipherSuite
export const backupKey = unlockKeyWrapper(new Uint8Array(32).fill(0xb4), seededRandom(0xb4))
export const otherKey = unlockKeyWrapper(new Uint8Array(32).fill(0xb5), seededRandom(0xb5))

let seed = 500

export const backupOptions = (more: Partial<BackupOptions> = {}): BackupOptions => {
  seed += 1
  const base = {
    clusterId: CLUSTER,
    logId: LOG,
    wrapper: backupKey,
    suite,
    random: seededRandom(seed),
    now: 1_790_000_000_000,
  }
  return { ...base, ...more }
}

/** A whole backup in memory, with its pieces. */
export interface Backup {
  readonly bytes: Uint8Array
  readonly pieces: readonly Uint8Array[]
  readonly receipt: BackupReceipt
}

export const joined = (pieces: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(pieces))

export async function backupOf(log: BackupSource, more: Partial<BackupOptions> = {}): Promise<Backup> {
  const pieces: Uint8Array[] = []
  const making = createBackup(log, backupOptions(more))
  for (;;) {
    const next = await making.next()
    if (next.done === true) return { bytes: joined(pieces), pieces, receipt: next.value }
    pieces.push(next.value)
  }
}

/** The bytes in pieces of one length. */
export async function* inPieces(bytes: Uint8Array, length = 4096): AsyncGenerator<Uint8Array, void, void> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length)
}

export const restoreOn = async (
  disk: CrashDisk,
  bytes: Uint8Array,
  more: Partial<SealedLogParts> = {},
  wrapper = backupKey,
): Promise<RestoredBackup> => await restoreBackup(inPieces(bytes), { wrapper, log: partsOn(disk, more) })

export const codeOf = async (doing: Promise<unknown>): Promise<string> =>
  await doing.then(
    () => 'no refusal',
    (error: unknown) => (error as { code?: string }).code ?? String(error),
  )
