import { clearWrapper, createSealedLog, openSealedLog, type SealedLog, type SealedLogParts } from '@leastwise/raftlog'
import { dataKeyCache, nodeCipherSuite } from '@leastwise/raftlog/node'
import { manualClock } from '../support/manual-clock.ts'
import { seededRandom } from '../support/seeded-random.ts'
import type { CrashDisk } from './crash-disk.ts'

export const CLUSTER = 'cluster-1'
export const LOG = 'node-1'

let seed = 1

/** Everything a log needs, on a disk in memory. Each call draws other random bytes. */
export function partsOn(disk: CrashDisk, overrides: Partial<SealedLogParts> = {}): SealedLogParts {
  seed += 1
  return {
    clusterId: CLUSTER,
    logId: LOG,
    keys: disk.keys,
    wrapper: clearWrapper,
    files: disk.files,
    suite: nodeCipherSuite,
    random: seededRandom(seed),
    cache: dataKeyCache({ maxKeys: 2, maxAgeMs: 60_000, clock: manualClock() }),
    turn: async () => {
      await new Promise<void>((resolve) => setImmediate(resolve))
    },
    ...overrides,
  }
}

export const createOn = async (disk: CrashDisk, overrides: Partial<SealedLogParts> = {}): Promise<SealedLog> =>
  await createSealedLog(partsOn(disk, overrides))

export const openOn = async (disk: CrashDisk, overrides: Partial<SealedLogParts> = {}): Promise<SealedLog> =>
  await openSealedLog(partsOn(disk, overrides))

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
export const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/** All entries as `index:term:text`. */
export async function readAll(log: SealedLog, from?: bigint): Promise<string[]> {
  const seen: string[] = []
  for await (const entry of log.entries(from === undefined ? {} : { from })) {
    seen.push(`${entry.index}:${entry.term}:${text(entry.data)}`)
  }
  return seen
}

export function contains(haystack: Uint8Array, needle: Uint8Array): boolean {
  return Buffer.from(haystack).includes(Buffer.from(needle))
}
