import {
  clearWrapper,
  type Inspected,
  inspectLog,
  type KeyWrapper,
  type RepairReport,
  repairLog,
  type SealedLogParts,
  type ToolKeys,
  type Verification,
  verifyLog,
} from '@leastwise/raftlog'
import { dataKeyCache, nodeCipherSuite } from '@leastwise/raftlog/node'
import { manualClock } from '../support/manual-clock.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { type CrashDisk, crashDisk } from './crash-disk.ts'
import { createOn, text, utf8 } from './log-support.ts'

let seed = 40_000

export const toolKeys = (disk: CrashDisk, wrapper: KeyWrapper = clearWrapper): ToolKeys => {
  seed += 1
  return {
    store: disk.keys,
    wrapper,
    cache: dataKeyCache({ maxKeys: 2, maxAgeMs: 60_000, clock: manualClock() }),
    random: seededRandom(seed),
  }
}

/** A directory with other contents, and its key ring. */
export interface Directory {
  readonly files: ReadonlyMap<string, Uint8Array>
  readonly ring: Uint8Array | null
  readonly wrapper: KeyWrapper
}

export const directoryOf = (disk: CrashDisk, wrapper: KeyWrapper = clearWrapper): Directory => ({
  files: new Map([...disk.contents].map(([name, { bytes }]) => [name, bytes.slice()])),
  ring: disk.ring()?.slice() ?? null,
  wrapper,
})

export function diskOf({ files, ring }: Directory): CrashDisk {
  const disk = crashDisk({ ring })
  for (const [name, bytes] of files) disk.put(name, bytes)
  return disk
}

export const withFile = (directory: Directory, name: string, bytes: Uint8Array | null): Directory => {
  const files = new Map(directory.files)
  if (bytes === null) files.delete(name)
  else files.set(name, bytes)
  return { ...directory, files }
}

export const flipped = (bytes: Uint8Array, at: number): Uint8Array => {
  const copy = bytes.slice()
  copy[at]! ^= 0x11
  return copy
}

export async function inspectAll(
  disk: CrashDisk,
  options: { readonly wrapper?: KeyWrapper; readonly content?: 'shown' | 'redacted'; readonly keyless?: true } = {},
): Promise<readonly Inspected[]> {
  const seen: Inspected[] = []
  const keys = options.keyless === true ? {} : { keys: toolKeys(disk, options.wrapper) }
  const { content = 'redacted' } = options
  for await (const item of inspectLog({
    files: disk.files,
    suite: nodeCipherSuite,
    ring: disk.keys,
    content,
    ...keys,
  })) {
    seen.push(item)
  }
  return seen
}

export const verifyOn = async (disk: CrashDisk, wrapper?: KeyWrapper): Promise<Verification> =>
  await verifyLog({ files: disk.files, suite: nodeCipherSuite, keys: toolKeys(disk, wrapper) })

export interface Repaired {
  readonly report: RepairReport
  readonly target: CrashDisk
  readonly salvage: CrashDisk
}

export async function repairOn(disk: CrashDisk, wrapper?: KeyWrapper): Promise<Repaired> {
  const target = crashDisk({ ring: disk.ring() })
  const salvage = crashDisk({ ring: disk.ring() })
  const report = await repairLog({
    files: disk.files,
    target: target.files,
    salvage: salvage.files,
    suite: nodeCipherSuite,
    keys: toolKeys(disk, wrapper),
  })
  return { report, target, salvage }
}

/** Salvaged entries as `index:term:text`. */
export async function salvagedLines(salvage: CrashDisk, wrapper?: KeyWrapper): Promise<readonly string[]> {
  const seen = await inspectAll(salvage, { content: 'shown', ...(wrapper === undefined ? {} : { wrapper }) })
  return seen.flatMap((item) =>
    item.type === 'entry' ? [`${item.index}:${item.term}:${text(item.content ?? utf8('?'))}`] : [],
  )
}

/** Where the frames of a file begin, and its end. */
export function frameOffsets(bytes: Uint8Array): readonly number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const offsets: number[] = []
  let at = view.getUint16(6)
  for (; at + 56 <= bytes.length && bytes[at] === 0x4c; at += 56 + view.getUint32(at + 12)) offsets.push(at)
  return [...offsets, at]
}

/** Three segments: entries 1 to 3, 4 to 6, 7 to 9, one a frame, closed orderly. */
export async function threeSegments(overrides: Partial<SealedLogParts> = {}): Promise<CrashDisk> {
  const disk = crashDisk()
  const log = await createOn(disk, { segmentBytes: 330, ...overrides })
  for (let index = 1; index <= 9; index += 1) await log.append([utf8(`entry-${index}`)])
  await log.close()
  return disk
}
