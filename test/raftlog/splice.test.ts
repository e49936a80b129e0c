import { describe, expect, it } from 'vitest'
import { type CrashDisk, crashDisk } from './crash-disk.ts'
import { createOn, openOn, readAll, utf8 } from './log-support.ts'

const name = (sequence: number): string => `${String(sequence).padStart(20, '0')}.log`
const snap = (index: number): string => `${String(index).padStart(20, '0')}.snap`

/** Segments 1 (empty), 2 … 5, with one entry each. */
async function segments(ring: Uint8Array | null = null, overrides: Record<string, unknown> = {}): Promise<CrashDisk> {
  const disk = crashDisk({ ring })
  const log = await createOn(disk, { segmentBytes: 1, ...overrides })
  for (const each of ['one', 'two', 'three', 'four', 'five']) await log.append([utf8(each)])
  await log.close()
  return disk
}

const copyOf = (disk: CrashDisk): CrashDisk => crashDisk({ names: disk.contents, ring: disk.ring() })
const bytesOf = (disk: CrashDisk, file: string): Uint8Array => disk.contents.get(file)!.bytes

/** One segment with four frames after its header, not ended. */
async function frames(): Promise<{
  readonly disk: CrashDisk
  readonly header: Uint8Array
  readonly parts: readonly Uint8Array[]
}> {
  const disk = crashDisk()
  const log = await createOn(disk)
  const at = [bytesOf(disk, name(1)).length]
  for (const each of ['same', 'same', 'same', 'same']) {
    await log.append([utf8(each)])
    at.push(bytesOf(disk, name(1)).length)
  }
  const bytes = bytesOf(disk, name(1))
  return { disk, header: bytes.slice(0, at[0]), parts: [0, 1, 2, 3].map((nth) => bytes.slice(at[nth], at[nth + 1])) }
}

async function withFrames(order: readonly number[]): Promise<CrashDisk> {
  const { disk, header, parts } = await frames()
  const copy = copyOf(disk)
  copy.put(name(1), new Uint8Array(Buffer.concat([header, ...order.map((nth) => parts[nth]!)])))
  return copy
}

describe('frames inside a segment', () => {
  it.each([
    ['swapped', [0, 2, 1, 3]],
    ['written twice', [0, 1, 1, 2, 3]],
    ['cut out of the middle', [0, 2, 3]],
    ['cut off at the beginning', [1, 2, 3]],
    ['moved to the end', [0, 2, 3, 1]],
    ['repeated at the end', [0, 1, 2, 3, 3]],
  ])('are refused when %s', async (_, order) => {
    await expect(openOn(await withFrames(order))).rejects.toThrowCode('RECORD_NOT_AUTHENTIC')
  })

  it('cannot be told from fewer when whole ones are cut off at the very end', async () => {
    const log = await openOn(await withFrames([0, 1]))
    expect(log.lastIndex).toBe(2n)
    await log.close()
  })
})

describe('segments', () => {
  it('open as they are', async () => {
    const log = await openOn(await segments())
    expect(await readAll(log)).toEqual(['1:1:one', '2:1:two', '3:1:three', '4:1:four', '5:1:five'])
  })

  it('are refused when one is cut out of the middle, or the first ones are gone', async () => {
    for (const gone of [2, 3, 4]) {
      const disk = copyOf(await segments())
      disk.erase(name(gone))
      await expect(openOn(disk)).rejects.toThrowCode('LOG_GAP')
    }
  })

  it('are refused when two change places', async () => {
    const disk = await segments()
    const copy = copyOf(disk)
    copy.put(name(3), bytesOf(disk, name(4)))
    copy.put(name(4), bytesOf(disk, name(3)))
    await expect(openOn(copy)).rejects.toThrowCode('RECORD_NOT_AUTHENTIC')
  })

  it('are refused when one stands there twice', async () => {
    const disk = await segments()
    const copy = copyOf(disk)
    copy.put(name(6), bytesOf(disk, name(5)))
    await expect(openOn(copy)).rejects.toThrowCode('RECORD_NOT_AUTHENTIC')
  })

  it('are refused when one comes from another log under the same keys, of the same number and length', async () => {
    const disk = await segments()
    const other = await segments(disk.ring())
    for (const sequence of [1, 2, 3, 4]) {
      const copy = copyOf(disk)
      copy.put(name(sequence), bytesOf(other, name(sequence)))
      await expect(openOn(copy), `segment ${sequence}`).rejects.toThrowCode('RECORD_NOT_AUTHENTIC')
    }
  })

  it('are refused when an older state of one is put back', async () => {
    const disk = crashDisk()
    const log = await createOn(disk)
    await log.append([utf8('one')])
    const older = bytesOf(disk, name(1)).slice()
    await log.append([utf8('two')])
    await log.saveSnapshot({ index: 1n, term: 1n, data: utf8('one') })
    await log.append([utf8('three')])
    await log.close()
    const copy = copyOf(disk)
    copy.put(name(1), older)
    await expect(openOn(copy)).rejects.toThrowCode('RECORD_NOT_AUTHENTIC')
  })

  it('of another node or another cluster are foreign', async () => {
    const disk = await segments()
    await expect(openOn(copyOf(disk), { logId: 'node-2' })).rejects.toThrowCode('LOG_FOREIGN')
    await expect(openOn(copyOf(disk), { clusterId: 'cluster-2' })).rejects.toThrowCode('LOG_FOREIGN')
  })

  it('cannot be made another node’s by renaming it in the header', async () => {
    const disk = copyOf(await segments())
    for (const file of disk.contents.keys()) {
      const bytes = bytesOf(disk, file).slice()
      const at = Buffer.from(bytes).indexOf('node-1')
      bytes[at + 5] = '2'.charCodeAt(0)
      disk.put(file, bytes)
    }
    await expect(openOn(disk, { logId: 'node-2' })).rejects.toThrowCode('RECORD_MALFORMED')
  })

  it('are refused under a data key that is not kept', async () => {
    const disk = await segments()
    const other = await segments()
    const copy = crashDisk({ names: disk.contents, ring: other.ring() })
    await expect(openOn(copy)).rejects.toThrowCode('RECORD_UNKNOWN_KEY')
  })

  it('that are all gone leave no empty log', async () => {
    const disk = copyOf(await segments())
    for (const file of [...disk.contents.keys()]) disk.erase(file)
    await expect(openOn(disk)).rejects.toThrowCode('LOG_MISSING')
  })
})

describe('snapshots', () => {
  async function withSnapshot(ring: Uint8Array | null = null): Promise<CrashDisk> {
    const disk = crashDisk({ ring })
    const log = await createOn(disk)
    await log.append([utf8('one'), utf8('two')])
    await log.saveSnapshot({ index: 1n, term: 1n, data: utf8('state one') })
    await log.append([utf8('three')])
    await log.saveSnapshot({ index: 2n, term: 1n, data: utf8('state two') })
    await log.compact(2n)
    await log.append([utf8('four')])
    await log.close()
    return disk
  }

  it('are refused under the name of another index', async () => {
    const disk = await withSnapshot()
    const copy = copyOf(disk)
    copy.put(snap(3), bytesOf(disk, snap(2)))
    await expect(openOn(copy)).rejects.toThrowCode('RECORD_NOT_AUTHENTIC')
  })

  it('are refused when they come from another log under the same keys', async () => {
    const disk = await withSnapshot()
    const other = await withSnapshot(disk.ring())
    const copy = copyOf(disk)
    copy.put(snap(2), bytesOf(other, snap(2)))
    await expect(openOn(copy)).rejects.toThrowCode('RECORD_NOT_AUTHENTIC')
  })

  it('are missed when they are gone, and so is what comes after them', async () => {
    const disk = await withSnapshot()
    const without = copyOf(disk)
    without.erase(snap(2))
    await expect(openOn(without)).rejects.toThrowCode('LOG_GAP')
    const alone = copyOf(disk)
    for (const file of [...alone.contents.keys()]) if (file.endsWith('.log')) alone.erase(file)
    await expect(openOn(alone)).rejects.toThrowCode('LOG_GAP')
  })

  it('are refused at any flipped bit and any cut, before their data is given', async () => {
    const disk = await withSnapshot()
    const bytes = bytesOf(disk, snap(2))
    const attempt = async (damaged: Uint8Array): Promise<void> => {
      const copy = copyOf(disk)
      copy.put(snap(2), damaged)
      const log = await openOn(copy)
      await log.loadSnapshot()
    }
    for (let at = 0; at < bytes.length; at += 1) {
      const flipped = bytes.slice()
      flipped[at]! ^= 1 << (at % 8)
      const refused = await attempt(flipped).catch((error: unknown) => (error as { code: string }).code)
      expect(refused, `byte ${at}`).toMatch(/^RECORD_|^LOG_FOREIGN$/)
      await expect(attempt(bytes.slice(0, at)), `cut at ${at}`).rejects.toMatchObject({ code: 'RECORD_TRUNCATED' })
    }
    await expect(attempt(new Uint8Array([...bytes, 0]))).rejects.toThrowCode('RECORD_MALFORMED')
  })
})

describe('what a compaction left behind', () => {
  it('is removed, and harmless', async () => {
    const disk = crashDisk()
    const log = await createOn(disk, { segmentBytes: 1 })
    for (const each of ['one', 'two', 'three']) await log.append([utf8(each)])
    const old = copyOf(disk)
    await log.saveSnapshot({ index: 3n, term: 1n, data: utf8('state') })
    await log.compact(3n)
    await log.append([utf8('four')])
    await log.close()
    // As if the removal of segment 2 alone had not reached the disk, and a file had been left unfinished.
    const copy = copyOf(disk)
    copy.put(name(2), bytesOf(old, name(2)))
    copy.put(`${name(9)}.tmp`, utf8('half a header'))
    copy.put('NOTES', utf8('not ours'))
    const again = await openOn(copy)
    expect([again.firstIndex, again.lastIndex]).toEqual([4n, 4n])
    expect([...copy.contents.keys()].filter((file) => file === name(2) || file.endsWith('.tmp'))).toEqual([])
    expect(copy.contents.has('NOTES')).toBe(true)
  })

  it('never includes the segment that the snapshot names, also when that one holds nothing', async () => {
    const disk = crashDisk()
    const log = await createOn(disk)
    await log.append([utf8('one')])
    await log.saveSnapshot({ index: 1n, term: 1n, data: utf8('state') })
    await log.close()
    const second = await openOn(disk)
    await second.append([utf8('two')])
    await second.compact(1n)
    await second.close()
    expect([...disk.contents.keys()].filter((file) => file.endsWith('.log'))).toEqual([name(2), name(3)])
    expect(await readAll(await openOn(disk))).toEqual(['2:1:two'])
  })
})

describe('a segment that replaces entries', () => {
  async function replaced(): Promise<CrashDisk> {
    const disk = crashDisk()
    const log = await createOn(disk)
    await log.append(['one', 'two', 'three'].map(utf8))
    await log.append([utf8('TWO')], { term: 2n, at: 2n })
    await log.append([utf8('THREE')])
    await log.append([utf8('Three')], { term: 3n, at: 3n })
    await log.close()
    return disk
  }

  it('cannot be taken out from under a later one', async () => {
    const disk = copyOf(await replaced())
    expect(await readAll(await openOn(copyOf(disk)))).toEqual(['1:1:one', '2:2:TWO', '3:3:Three'])
    disk.erase(name(2))
    await expect(openOn(disk)).rejects.toThrowCode('LOG_GAP')
  })

  it('cannot be swapped for the one that it replaced', async () => {
    const disk = await replaced()
    const copy = copyOf(disk)
    copy.put(name(3), bytesOf(disk, name(2)))
    await expect(openOn(copy)).rejects.toThrowCode('RECORD_NOT_AUTHENTIC')
  })

  it('is proven like any other where the entries that it replaced are damaged', async () => {
    const disk = await replaced()
    const copy = copyOf(disk)
    const bytes = bytesOf(disk, name(2)).slice()
    // The last frame of segment 2 holds an entry that nobody reads any more.
    bytes[bytes.length - 20]! ^= 1
    copy.put(name(2), bytes)
    await expect(openOn(copy)).rejects.toThrowCode('RECORD_NOT_AUTHENTIC')
  })
})

describe('an installed snapshot', () => {
  async function installed(entries: boolean): Promise<CrashDisk> {
    const disk = crashDisk()
    const log = await createOn(disk)
    await log.append(['one', 'two'].map(utf8))
    await log.installSnapshot({ index: 9n, term: 4n, data: utf8('nine') })
    if (entries) await log.append([utf8('ten')])
    await log.close()
    return disk
  }

  it('leaves nothing of what was before', async () => {
    const disk = await installed(true)
    expect([...disk.contents.keys()]).toEqual([name(2), snap(9)])
    expect(await readAll(await openOn(copyOf(disk)))).toEqual(['10:4:ten'])
  })

  it('is missed when it is gone, also with older segments put back', async () => {
    const disk = copyOf(await installed(true))
    disk.erase(snap(9))
    await expect(openOn(disk)).rejects.toThrowCode('LOG_GAP')
    const older = await segments(disk.ring())
    disk.put(name(1), bytesOf(older, name(1)))
    await expect(openOn(disk)).rejects.toThrowCode('LOG_GAP')
    const empty = copyOf(await installed(false))
    empty.erase(snap(9))
    await expect(openOn(empty)).rejects.toThrowCode('LOG_GAP')
  })

  it('is refused beside a segment that goes on from another one', async () => {
    const disk = await installed(true)
    const other = await installed(true)
    const copy = crashDisk({ names: disk.contents, ring: other.ring() })
    await expect(openOn(copy)).rejects.toThrowCode('RECORD_UNKNOWN_KEY')
    const again = crashDisk({ ring: disk.ring() })
    const log = await createOn(again)
    await log.append([utf8('one')])
    await log.installSnapshot({ index: 9n, term: 4n, data: utf8('other') })
    await log.close()
    const mixed = copyOf(disk)
    mixed.put(snap(9), bytesOf(again, snap(9)))
    await expect(openOn(mixed)).rejects.toThrowCode('RECORD_NOT_AUTHENTIC')
  })
})

describe('a hard state', () => {
  it('is that of the last frame that holds one, and cannot be cut out of the middle', async () => {
    const disk = crashDisk()
    const log = await createOn(disk)
    const at = [bytesOf(disk, name(1)).length]
    for (const term of [1n, 2n, 3n]) {
      await log.saveState({ term, vote: 'node-1', commit: 0n })
      at.push(bytesOf(disk, name(1)).length)
    }
    const bytes = bytesOf(disk, name(1))
    const without = copyOf(disk)
    without.put(name(1), new Uint8Array(Buffer.concat([bytes.slice(0, at[1]), bytes.slice(at[2])])))
    await expect(openOn(without)).rejects.toThrowCode('RECORD_NOT_AUTHENTIC')
    const torn = copyOf(disk)
    torn.put(name(1), bytes.slice(0, -1))
    const again = await openOn(torn)
    expect(again.state?.term).toBe(2n)
    expect(again.repair).not.toBeNull()
  })
})
