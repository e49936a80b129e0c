import { describe, expect, it } from 'vitest'
import { type CrashDisk, crashDisk } from './crash-disk.ts'
import { createOn, openOn, readAll, utf8 } from './log-support.ts'
import {
  directoryOf,
  diskOf,
  flipped,
  frameOffsets,
  repairOn,
  salvagedLines,
  threeSegments,
  verifyOn,
  withFile,
} from './tools-support.ts'

const segment = (sequence: number): string => `${String(sequence).padStart(20, '0')}.log`
const lines = (from: number, to: number): readonly string[] =>
  Array.from({ length: to - from + 1 }, (_, at) => `${from + at}:1:entry-${from + at}`)

const damaged = (disk: CrashDisk, name: string, at: number): CrashDisk => {
  const directory = directoryOf(disk)
  return diskOf(withFile(directory, name, flipped(directory.files.get(name)!, at)))
}

/** More than one byte of a header. */
const headless = (disk: CrashDisk, name: string): CrashDisk => damaged(damaged(disk, name, 60), name, 70)

describe('a repair', () => {
  it('of a log that is whole gives the same log', async () => {
    const disk = await threeSegments()
    const { report, target, salvage } = await repairOn(disk)
    expect(report).toMatchObject({ salvaged: [], lost: [], dropped: [], possiblyReplacedFrom: null })
    expect(report.log).toMatchObject({ firstIndex: 1n, lastIndex: 9n })
    expect(await readAll(await openOn(target))).toEqual(lines(1, 9))
    expect(salvage.contents.size).toBe(0)
  })

  it('keeps what stands before a hole as the log, and what stands behind it beside it', async () => {
    const disk = await threeSegments()
    const before = directoryOf(disk)
    const bytes = before.files.get(segment(2))!
    const broken = diskOf(withFile(before, segment(2), flipped(bytes, frameOffsets(bytes)[1]! + 42)))
    await expect(openOn(broken)).rejects.toThrowCode('RECORD_NOT_AUTHENTIC')
    const { report, target, salvage } = await repairOn(broken)
    expect(report.log).toMatchObject({ firstIndex: 1n, lastIndex: 4n })
    expect(report.lost).toEqual([{ from: 5n, to: 5n }])
    expect(report.salvaged.map(({ firstIndex, lastIndex }) => [firstIndex, lastIndex])).toEqual([
      [6n, 6n],
      [7n, 9n],
    ])
    expect(report.dropped).toMatchObject([
      { kind: 'damage', file: segment(2), offset: frameOffsets(bytes)[1], code: 'RECORD_NOT_AUTHENTIC' },
    ])
    const log = await openOn(target)
    expect(await readAll(log)).toEqual(lines(1, 4))
    await log.append([utf8('on')])
    await log.close()
    expect(await salvagedLines(salvage)).toEqual(lines(6, 9))
    // What was salvaged is never taken for a log, whole or not.
    await expect(openOn(salvage)).rejects.toThrowCode('LOG_MISSING')
  })

  it('changes nothing in the damaged directory', async () => {
    const disk = damaged(await threeSegments(), segment(2), 400)
    const before = directoryOf(disk)
    await repairOn(disk)
    expect(directoryOf(disk)).toEqual(before)
  })

  it('loses nothing where only a tag is damaged: the next frame names it', async () => {
    const disk = await threeSegments()
    const bytes = disk.contents.get(segment(2))!.bytes
    const offsets = frameOffsets(bytes)
    for (const [nth, end] of offsets.slice(1).entries()) {
      for (let at = end - 16; at < end; at += 1) {
        const broken = damaged(disk, segment(2), at)
        expect((await verifyOn(broken)).verdict).toBe('damaged')
        const { report, target } = await repairOn(broken)
        expect(report, `tag of frame ${nth}`).toMatchObject({ lost: [], salvaged: [] })
        expect(await readAll(await openOn(target))).toEqual(lines(1, 9))
      }
    }
  })

  it('loses one segment where its header is damaged, and says that it may have replaced entries', async () => {
    const disk = headless(await threeSegments(), segment(2))
    const { report, target, salvage } = await repairOn(disk)
    expect(report.log).toMatchObject({ firstIndex: 1n, lastIndex: 3n })
    expect(report.lost).toEqual([{ from: 4n, to: 6n }])
    expect(report.possiblyReplacedFrom).toBe(1n)
    expect(await readAll(await openOn(target))).toEqual(lines(1, 3))
    expect(await salvagedLines(salvage)).toEqual(lines(7, 9))
  })

  it('loses nothing where one byte of a header is damaged', async () => {
    const disk = crashDisk()
    const log = await createOn(disk)
    await log.append([utf8('entry-1')])
    await log.close()
    const { bytes } = disk.contents.get(segment(1))!
    for (let at = 0; at < frameOffsets(bytes)[0]!; at += 1) {
      const { report, target } = await repairOn(damaged(disk, segment(1), at))
      expect(report, `byte ${at}`).toMatchObject({ lost: [], salvaged: [], log: { lastIndex: 1n } })
      expect(report.dropped).toMatchObject([{ file: segment(1), offset: 0 }])
      expect(await readAll(await openOn(target))).toEqual(lines(1, 1))
    }
  })

  it('of a segment that is missing does the same', async () => {
    const { report } = await repairOn(diskOf(withFile(directoryOf(await threeSegments()), segment(2), null)))
    expect(report).toMatchObject({ log: { firstIndex: 1n, lastIndex: 3n }, lost: [{ from: 4n, to: 6n }] })
  })

  it('without the last segment says that nobody knows how much is lost', async () => {
    const { report } = await repairOn(headless(await threeSegments(), segment(3)))
    expect(report).toMatchObject({ log: { lastIndex: 6n }, lost: [{ from: 7n, to: null }] })
  })

  it('finds segments under swapped names', async () => {
    const directory = directoryOf(await threeSegments())
    const [one, two] = [directory.files.get(segment(1))!, directory.files.get(segment(2))!]
    const swapped = diskOf(withFile(withFile(directory, segment(1), two), segment(2), one))
    await expect(openOn(swapped)).rejects.toThrowCode('RECORD_NOT_AUTHENTIC')
    const { report, target } = await repairOn(swapped)
    expect(report).toMatchObject({ log: { firstIndex: 1n, lastIndex: 9n }, lost: [], salvaged: [] })
    expect(await readAll(await openOn(target))).toEqual(lines(1, 9))
  })

  it('does not bring back entries that a later segment replaced', async () => {
    const disk = crashDisk()
    const log = await createOn(disk)
    await log.append(['one', 'two', 'three'].map(utf8))
    await log.append([utf8('TWO')], { at: 2n, term: 2n })
    await log.append([utf8('THREE')], { term: 2n })
    await log.append([utf8('four')], { at: 4n, term: 3n })
    await log.append([utf8('FOUR')], { at: 4n, term: 4n })
    await log.close()
    // The segment that replaced from 2 on is gone; the one behind it says that something from 4 on was replaced.
    const { report, target, salvage } = await repairOn(diskOf(withFile(directoryOf(disk), segment(2), null)))
    expect(await readAll(await openOn(target))).toEqual(['1:1:one', '2:1:two', '3:1:three'])
    expect(report.possiblyReplacedFrom).toBe(1n)
    expect(await salvagedLines(salvage)).toEqual(['4:4:FOUR'])
    const whole = await repairOn(disk)
    expect(await readAll(await openOn(whole.target))).toEqual(['1:1:one', '2:2:TWO', '3:2:THREE', '4:4:FOUR'])
  })

  it('does not join what comes from two histories, where every index fits', async () => {
    const start = crashDisk()
    const log = await createOn(start)
    await log.append([utf8('one')])
    await log.close()
    const goOn = async (disk: CrashDisk, entry: string): Promise<CrashDisk> => {
      const opened = await openOn(disk)
      await opened.append([utf8(entry)])
      await opened.close()
      return disk
    }
    const one = await goOn(await goOn(diskOf(directoryOf(start)), 'two'), 'three')
    const other = await goOn(diskOf(directoryOf(start)), 'TWO')
    const mixed = diskOf(withFile(directoryOf(one), segment(2), other.contents.get(segment(2))!.bytes))
    await expect(openOn(mixed)).rejects.toThrowCode('RECORD_NOT_AUTHENTIC')
    const { report, target, salvage } = await repairOn(mixed)
    expect(await readAll(await openOn(target))).toEqual(['1:1:one', '2:1:TWO'])
    expect(await salvagedLines(salvage)).toEqual(['3:1:three'])
    expect(report.lost).toEqual([])
  })

  it('keeps a vote, and lowers a commit that lies behind the end', async () => {
    const disk = crashDisk()
    const log = await createOn(disk)
    await log.append([utf8('entry-1')], { state: { term: 1n, vote: 'node-2', commit: 1n } })
    await log.append([utf8('entry-2')])
    await log.append([utf8('entry-3')], { state: { term: 7n, vote: 'node-3', commit: 3n } })
    await log.close()
    const bytes = disk.contents.get(segment(1))!.bytes
    const { report, target } = await repairOn(damaged(disk, segment(1), frameOffsets(bytes)[1]! + 45))
    expect(report.log).toMatchObject({ lastIndex: 1n, state: { term: 7n, vote: 'node-3', commit: 1n } })
    expect((await openOn(target)).state).toEqual({ term: 7n, vote: 'node-3', commit: 1n })
  })
})

describe('a repair behind a snapshot', () => {
  async function behindSnapshot(): Promise<CrashDisk> {
    const disk = crashDisk()
    const log = await createOn(disk, { segmentBytes: 330 })
    for (let index = 1; index <= 5; index += 1) await log.append([utf8(`entry-${index}`)])
    await log.saveSnapshot({ index: 4n, term: 1n, data: utf8('state after four') })
    for (let index = 6; index <= 9; index += 1) await log.append([utf8(`entry-${index}`)])
    await log.close()
    return disk
  }
  const snapshot = `${'4'.padStart(20, '0')}.snap`

  it('goes on from the snapshot, and keeps the entries that it covers', async () => {
    const disk = await behindSnapshot()
    const { report, target } = await repairOn(disk)
    expect(report).toMatchObject({ log: { firstIndex: 1n, lastIndex: 9n, snapshotAt: { index: 4n } }, lost: [] })
    const log = await openOn(target)
    expect(await readAll(log)).toEqual(lines(1, 9))
    expect((await log.loadSnapshot())?.data).toEqual(utf8('state after four'))
    await log.compact(3n)
    await log.close()
  })

  it('does not need what the snapshot covers', async () => {
    const { report, target, salvage } = await repairOn(headless(await behindSnapshot(), segment(1)))
    expect(report).toMatchObject({ log: { lastIndex: 9n, snapshotAt: { index: 4n } }, lost: [] })
    expect((await readAll(await openOn(target))).at(-1)).toBe('9:1:entry-9')
    expect(await salvagedLines(salvage)).toEqual([])
  })

  it('of a damaged snapshot takes the entries from the beginning', async () => {
    const disk = await behindSnapshot()
    const { report, target } = await repairOn(damaged(disk, snapshot, disk.contents.get(snapshot)!.bytes.length - 20))
    expect(report).toMatchObject({ log: { firstIndex: 1n, lastIndex: 9n, snapshotAt: null }, lost: [] })
    expect(await readAll(await openOn(target))).toEqual(lines(1, 9))
  })

  it('of which nothing stands on a beginning salvages only, and makes no log', async () => {
    const disk = await behindSnapshot()
    const directory = withFile(withFile(directoryOf(disk), segment(1), null), snapshot, null)
    const { report, target, salvage } = await repairOn(diskOf(directory))
    expect(report.log).toBeNull()
    expect(report.lost).toEqual([{ from: 1n, to: 3n }])
    expect(target.contents.size).toBe(0)
    expect((await salvagedLines(salvage)).at(-1)).toBe('9:1:entry-9')
  })

  it('says what is lost in front of the end of the last segment', async () => {
    const disk = await threeSegments()
    const bytes = disk.contents.get(segment(3))!.bytes
    const [, , last = 0] = frameOffsets(bytes)
    const { report, target } = await repairOn(damaged(disk, segment(3), last + 42))
    expect(report).toMatchObject({ log: { lastIndex: 8n }, lost: [{ from: 9n, to: 9n }], salvaged: [] })
    expect(await readAll(await openOn(target))).toEqual(lines(1, 8))
  })

  it('says what is lost in front of a hard state that ends the log', async () => {
    const disk = crashDisk()
    const log = await createOn(disk)
    for (let index = 1; index <= 3; index += 1) await log.append([utf8(`entry-${index}`)])
    await log.saveState({ term: 1n, vote: null, commit: 3n })
    const bytes = disk.contents.get(segment(1))!.bytes
    const { report } = await repairOn(
      damaged(diskOf(directoryOf(disk)), segment(1), (frameOffsets(bytes)[2] ?? 0) + 42),
    )
    expect(report).toMatchObject({ log: { lastIndex: 2n, state: { commit: 2n } }, lost: [{ from: 3n, to: 3n }] })
  })

  it('says what is lost where only a snapshot reached so far', async () => {
    const disk = crashDisk()
    const log = await createOn(disk)
    await log.append([utf8('entry-1')])
    const before = new Map([...disk.contents].map(([name, { bytes }]) => [name, bytes.slice()]))
    await log.installSnapshot({ index: 20n, term: 2n, data: utf8('state after twenty') })
    // A crash before the first segment was removed, and a snapshot that rots afterwards.
    const behind = { ...directoryOf(disk), files: new Map([...before, ...directoryOf(disk).files]) }
    const name = `${'20'.padStart(20, '0')}.snap`
    const { report } = await repairOn(damaged(diskOf(behind), name, behind.files.get(name)!.length - 20))
    expect(report).toMatchObject({ log: { lastIndex: 1n }, lost: [{ from: 2n, to: 20n }] })
  })

  it('of a log in which nothing was written yet gives such a log', async () => {
    const disk = crashDisk()
    await (await createOn(disk)).close()
    const torn = crashDisk()
    await (await createOn(torn)).append([utf8('entry-1')])
    const cut = torn.contents.get(segment(1))!.bytes
    const broken = diskOf(withFile(directoryOf(torn), segment(1), cut.slice(0, frameOffsets(cut).at(0)! + 50)))
    for (const [which, state] of [
      ['empty', disk],
      ['torn', broken],
    ] as const) {
      const { report, target } = await repairOn(state)
      expect(report, which).toMatchObject({ log: { firstIndex: 1n, lastIndex: 0n }, lost: [], salvaged: [] })
      const log = await openOn(target)
      expect((await log.append([utf8('on')])).first).toBe(1n)
    }
  })

  it('does not put a snapshot under another history', async () => {
    const disk = await behindSnapshot()
    const other = await openOn(diskOf(directoryOf(disk)))
    await other.installSnapshot({ index: 20n, term: 2n, data: utf8('state after twenty') })
    await other.append([utf8('entry-21')])
    await other.close()
    const { report } = await repairOn(disk)
    expect(report.log?.snapshotAt?.index).toBe(4n)
  })
})

describe('a repair is refused', () => {
  it('while the log is held', async () => {
    const disk = await threeSegments()
    await openOn(disk)
    await expect(repairOn(disk)).rejects.toThrowCode('LOG_BUSY')
    await expect(verifyOn(disk)).rejects.toThrowCode('LOG_BUSY')
  })

  it('where nothing can be proven', async () => {
    await expect(repairOn(crashDisk({ ring: (await threeSegments()).ring() }))).rejects.toThrowCode('LOG_MISSING')
  })
})
