import { type SealedLog, verifyLog } from '@leastwise/raftlog'
import { nodeCipherSuite } from '@leastwise/raftlog/node'
import { describe, expect, it } from 'vitest'
import { type CrashDisk, crashDisk } from './crash-disk.ts'
import { contains, createOn, openOn, readAll, utf8 } from './log-support.ts'
import { frameOffsets, inspectAll, toolKeys } from './tools-support.ts'

const STEP_BYTES = 512

const name = (sequence: number): string => `${String(sequence).padStart(20, '0')}.log`
const bytesOf = (disk: CrashDisk, file: string): Uint8Array => disk.contents.get(file)!.bytes
const copyOf = (disk: CrashDisk): CrashDisk =>
  crashDisk({ names: disk.contents, ring: disk.ring(), stepBytes: STEP_BYTES })
const withBytes = (disk: CrashDisk, file: string, bytes: Uint8Array): CrashDisk => {
  const copy = copyOf(disk)
  copy.put(file, bytes)
  return copy
}
const joined = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts))

const compact = async (log: SealedLog): Promise<void> => {
  const index = log.lastIndex
  await log.saveSnapshot({ index, term: log.lastTerm, data: utf8(`state ${index}`) })
  await log.compact(index)
}

/** The last segment, number 3, is written over the first one; `below` is what that one held. */
interface WrittenOver {
  readonly disk: CrashDisk
  readonly log: SealedLog
  readonly file: string
  readonly below: Uint8Array
  readonly ring: Uint8Array
}

async function writtenOver(): Promise<WrittenOver> {
  const disk = crashDisk({ stepBytes: STEP_BYTES })
  const log = await createOn(disk)
  for (let nth = 1; nth <= 12; nth += 1) await log.append([utf8(`below ${nth} ${'.'.repeat(nth * 7)}`)])
  await log.saveSnapshot({ index: 12n, term: 1n, data: utf8('state 12') })
  const below = bytesOf(disk, name(1)).slice()
  await log.compact(12n)
  await log.append([utf8('between')])
  await compact(log)
  return { disk, log, file: name(3), below, ring: disk.ring()! }
}

/** Opens what a crash left, and tells what it holds behind the snapshot. */
async function opened(
  disk: CrashDisk,
): Promise<{ readonly lines: readonly string[]; readonly dropped: number | null }> {
  const log = await openOn(disk)
  const lines = await readAll(log, (log.snapshotAt?.index ?? 0n) + 1n)
  const dropped = log.repair?.droppedBytes ?? null
  await log.close()
  return { lines, dropped }
}

describe('a segment that is written over an older one', () => {
  it('takes its blocks, says so, and leaves what it did not reach', async () => {
    const { disk, log, file, below } = await writtenOver()
    expect(bytesOf(disk, file).length).toBe(below.length)
    expect(bytesOf(disk, file)[4]).toBe(2)
    expect(contains(bytesOf(disk, file), below.subarray(-200))).toBe(true)
    const [seen] = (await inspectAll(disk)).filter((item) => item.type === 'tail' && item.file === file)
    expect(seen).toMatchObject({ holds: 'earlier' })
    await log.append([utf8('over it')])
    expect(await opened(copyOf(disk))).toEqual({ lines: ['14:1:over it'], dropped: null })
    await log.close()
    // Behind the frames of a log that was closed lies nothing, and no spare stays.
    const bytes = bytesOf(disk, file)
    expect([...disk.contents.keys()].filter((each) => each.endsWith('.tmp'))).toEqual([])
    expect(contains(bytes, below.subarray(-200))).toBe(false)
    expect(frameOffsets(bytes).at(-1)).toBe(bytes.length)
    expect(await opened(copyOf(disk))).toEqual({ lines: ['14:1:over it'], dropped: null })
  })

  it('goes on behind the end of the older one, and is whole once it is full', async () => {
    const { disk, log } = await writtenOver()
    const lines: string[] = []
    for (let index = 14; index < 60; index += 1) {
      await log.append([utf8(`over ${index}`)])
      lines.push(`${index}:1:over ${index}`)
    }
    expect(await opened(copyOf(disk))).toEqual({ lines, dropped: null })
    await log.saveSnapshot({ index: 20n, term: 1n, data: utf8('state 20') })
    await log.append([utf8('behind it')])
    expect(await opened(copyOf(disk))).toEqual({ lines: [...lines.slice(7), '60:1:behind it'], dropped: null })
    await log.close()
  })

  it('torn at any byte, from the front or the back, in patches or not at all, holds what was acknowledged', async () => {
    const { disk, log, file } = await writtenOver()
    await log.append([utf8('acknowledged')])
    const before = bytesOf(disk, file).slice()
    const state = copyOf(disk)
    await log.append([utf8('under way, and longer than what is below it '.repeat(3))])
    const after = bytesOf(disk, file)
    const from = before.findIndex((byte, at) => byte !== after[at])
    const until = before.findLastIndex((byte, at) => byte !== after[at]) + 1
    const whole = ['14:1:acknowledged', `15:1:${'under way, and longer than what is below it '.repeat(3)}`]
    const frameEnd = from + 56 + 4 + 132
    for (let at = from; at <= until; at += 1) {
      const front = joined(after.subarray(0, at), before.subarray(at))
      const back = joined(before.subarray(0, at), after.subarray(at))
      const patch = joined(
        after.subarray(0, from),
        before.subarray(from, at),
        after.subarray(at, at + 9),
        before.subarray(at + 9),
      )
      for (const [what, bytes] of Object.entries({ front, back, patch })) {
        const isWhole = after.subarray(0, frameEnd).every((byte, place) => bytes[place] === byte)
        const { lines } = await opened(withBytes(state, file, bytes))
        expect(lines, `${what} at ${at}`).toEqual(isWhole ? whole : whole.slice(0, 1))
      }
    }
  })

  it('says that a frame was begun once a byte of it is there', async () => {
    const { disk, log, file } = await writtenOver()
    await log.append([utf8('acknowledged')])
    const before = bytesOf(disk, file).slice()
    const state = copyOf(disk)
    await log.append([utf8('under way')])
    const after = bytesOf(disk, file)
    const from = before.findIndex((byte, at) => byte !== after[at])
    const cut = (at: number) => joined(after.subarray(0, at), before.subarray(at))
    expect((await opened(state)).dropped).toBeNull()
    expect((await opened(withBytes(state, file, cut(from + 1)))).dropped).toBe(40)
    expect((await opened(withBytes(state, file, cut(from + 40)))).dropped).toBe(56 + 4 + 9)
  })

  it('is refused when a frame that others follow is damaged, at any byte', async () => {
    const { disk, log, file } = await writtenOver()
    for (const each of ['one', 'two', 'three']) await log.append([utf8(each)])
    const bytes = bytesOf(disk, file)
    const [first, , third] = frameOffsets(bytes) as [number, number, number]
    for (let at = first; at < third; at += 1) {
      const flipped = bytes.slice()
      flipped[at]! ^= 1
      await expect(openOn(withBytes(disk, file, flipped)), `${at}`).rejects.toThrowCode('RECORD_NOT_AUTHENTIC')
    }
  })

  it('is refused when zeros hide a frame, or the whole of what is below lies over it', async () => {
    const { disk, log, file, below } = await writtenOver()
    for (const each of ['one', 'two', 'three']) await log.append([utf8(each)])
    const bytes = bytesOf(disk, file)
    const [first, second, third] = frameOffsets(bytes) as [number, number, number]
    const hidden = bytes.slice().fill(0, first, second)
    await expect(openOn(withBytes(disk, file, hidden))).rejects.toThrowCode('RECORD_NOT_AUTHENTIC')
    const older = joined(bytes.subarray(0, second), below.subarray(second, third), bytes.subarray(third))
    await expect(openOn(withBytes(disk, file, older))).rejects.toThrowCode('RECORD_NOT_AUTHENTIC')
    await expect(openOn(withBytes(disk, file, below))).rejects.toThrowCode('RECORD_NOT_AUTHENTIC')
  })

  it('is refused with a frame of its own, or of a third file, in what is left of the older one', async () => {
    const { disk, log, file } = await writtenOver()
    for (const each of ['one', 'two', 'three']) await log.append([utf8(each)])
    const bytes = bytesOf(disk, file)
    const [first, second, , end] = frameOffsets(bytes) as [number, number, number, number]
    const other = await writtenOver()
    await other.log.append([utf8('from elsewhere')])
    const theirs = bytesOf(other.disk, file)
    const [from, until] = frameOffsets(theirs) as [number, number]
    const withPart = (at: number, part: Uint8Array): CrashDisk =>
      withBytes(disk, file, joined(bytes.subarray(0, at), part, bytes.subarray(at + part.length)))
    for (const at of [end, end + 1, end + 100, bytes.length - 90]) {
      for (const part of [bytes.slice(first, second), theirs.subarray(from, until)])
        await expect(openOn(withPart(at, part)), `${at}`).rejects.toThrowCode('RECORD_NOT_AUTHENTIC')
    }
  })

  it('takes nothing from a frame that bears the mark of the one below, wherever it comes from', async () => {
    const { disk, log, file, ring } = await writtenOver()
    await log.append([utf8('one')])
    const bytes = bytesOf(disk, file)
    const end = frameOffsets(bytes)[1]!
    const other = crashDisk({ ring })
    await (await createOn(other)).append([utf8('from elsewhere')])
    const theirs = bytesOf(other, name(1))
    const part = theirs.subarray(frameOffsets(theirs)[0])
    const put = joined(bytes.subarray(0, end), part, bytes.subarray(end + part.length))
    expect((await opened(withBytes(disk, file, put))).lines).toEqual(['14:1:one'])
  })

  it('and spare files bear no byte under an older key once a rotation is done', async () => {
    const { disk, log } = await writtenOver()
    await log.append([utf8('one')])
    const pieces: Uint8Array[] = []
    for (const { bytes } of disk.contents.values())
      for (let at = 124; at + 24 <= bytes.length; at += 24) pieces.push(bytes.slice(at, at + 24))
    const isThere = (piece: Uint8Array): boolean =>
      [...disk.contents.values()].some(({ bytes }) => contains(bytes, piece))
    const sealed = pieces.filter((piece) => piece.some((byte) => byte !== 0))
    expect(sealed.filter(isThere)).toHaveLength(sealed.length)
    await log.rotateDek({ snapshot: (index) => ({ index, term: 1n, data: utf8('state') }) })
    expect(sealed.filter(isThere)).toEqual([])
    await log.append([utf8('two')])
    await compact(log)
    expect(sealed.filter(isThere)).toEqual([])
    await log.close()
  })

  it('is not begun over what somebody reads', async () => {
    const disk = crashDisk({ stepBytes: STEP_BYTES })
    const log = await createOn(disk, { segmentBytes: 400 })
    for (let nth = 1; nth <= 12; nth += 1) await log.append([utf8(`entry ${nth} ${'.'.repeat(60)}`)])
    const reader = log.entries()[Symbol.asyncIterator]()
    await reader.next()
    await compact(log)
    expect([...disk.contents.keys()].some((file) => file.endsWith('.tmp'))).toBe(false)
    await reader.return?.()
    for (let nth = 13; nth <= 20; nth += 1) await log.append([utf8(`entry ${nth} ${'.'.repeat(60)}`)])
    await compact(log)
    expect([...disk.contents.keys()].filter((file) => file.endsWith('.tmp'))).toHaveLength(2)
    await log.close()
  })

  it('is whole to the tools, and a spare file is what an opening removes', async () => {
    const { disk, log, file } = await writtenOver()
    await log.append([utf8('one')])
    const report = await verifyLog({
      files: copyOf(disk).files,
      suite: nodeCipherSuite,
      keys: toolKeys(disk),
      lock: 'none',
    })
    expect(report.verdict).toBe('whole')
    expect(report.findings.map(({ kind, file: found }) => [kind, found])).toEqual([['leftover', `${name(2)}.tmp`]])
    const [header] = (await inspectAll(disk)).filter((item) => item.type === 'file' && item.file === file)
    expect(header).toMatchObject({ header: { version: 2 }, isProven: true })
    const again = copyOf(disk)
    await openOn(again)
    expect([...again.contents.keys()].filter((each) => each.endsWith('.tmp'))).toEqual([])
  })
})
