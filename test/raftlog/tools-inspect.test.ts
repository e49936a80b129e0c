import { inspect } from 'node:util'
import { type Inspected, MAX_FINDINGS, unlockKeyWrapper } from '@leastwise/raftlog'
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../support/seeded-random.ts'
import { type CrashDisk, crashDisk } from './crash-disk.ts'
import { createOn, openOn, utf8 } from './log-support.ts'
import {
  directoryOf,
  diskOf,
  flipped,
  frameOffsets,
  inspectAll,
  threeSegments,
  verifyOn,
  withFile,
} from './tools-support.ts'

const FIRST = `${'1'.padStart(20, '0')}.log`
const MARK = 'MARKED-CONTENT'
const wrapper = unlockKeyWrapper(new Uint8Array(32).fill(0x5a), seededRandom(3))

async function marked(): Promise<CrashDisk> {
  const disk = crashDisk()
  const log = await createOn(disk, { wrapper })
  await log.append([utf8(`${MARK} one`), utf8('two')], { state: { term: 1n, vote: 'node-2', commit: 1n } })
  await log.saveSnapshot({ index: 2n, term: 1n, data: utf8(`${MARK} snapshot`) })
  await log.close()
  return disk
}

const of = <T extends Inspected['type']>(
  seen: readonly Inspected[],
  type: T,
): readonly Extract<Inspected, { type: T }>[] =>
  seen.filter((item): item is Extract<Inspected, { type: T }> => item.type === type)

describe('inspecting without the key', () => {
  it('lists files, sizes, key ids, ranges and the key ring, and no entry', async () => {
    const disk = await marked()
    disk.put(`${'9'.padStart(20, '0')}.log.tmp`, new Uint8Array(3))
    disk.put('notes', utf8('x'))
    const seen = await inspectAll(disk, { keyless: true })
    const [ring] = of(seen, 'keyring')
    expect(ring).toMatchObject({ wrapperId: wrapper.id, keys: [{ role: 'current', wrappedBytes: 72 }] })
    const keyId = ring!.keys[0]!.id
    expect(of(seen, 'file').map(({ file, kind, isProven }) => [file, kind, isProven])).toEqual([
      [FIRST, 'segment', false],
      [`${'2'.padStart(20, '0')}.log`, 'segment', false],
      [`${'2'.padStart(20, '0')}.snap`, 'snapshot', false],
      [`${'9'.padStart(20, '0')}.log.tmp`, 'temporary', false],
      ['notes', 'unknown', false],
    ])
    expect(of(seen, 'file')[0]).toMatchObject({
      sizeBytes: disk.contents.get(FIRST)!.bytes.length,
      header: { version: 1, sequence: 1n, index: 1n, keyId, clusterId: 'cluster-1', logId: 'node-1' },
    })
    expect(of(seen, 'frame')[0]).toMatchObject({ file: FIRST, holds: 'state', index: 1n, count: 2 })
    expect(of(seen, 'entry')).toEqual([])
    expect(of(seen, 'damage')).toMatchObject([{ file: `${'9'.padStart(20, '0')}.log.tmp`, code: 'RECORD_TRUNCATED' }])
    expect(inspect(seen, { depth: 9 })).not.toContain(MARK)
  })

  it('sees damage to the structure, and none to what is sealed', async () => {
    const directory = directoryOf(await threeSegments())
    const bytes = directory.files.get(FIRST)!
    const [, second] = frameOffsets(bytes) as [number, number]
    const damage = async (at: number) =>
      of(await inspectAll(diskOf(withFile(directory, FIRST, flipped(bytes, at))), { keyless: true }), 'damage')
    expect(await damage(second + 20)).toMatchObject([{ file: FIRST, offset: second, code: 'RECORD_NOT_AUTHENTIC' }])
    expect(await damage(second + 42)).toEqual([])
    // The head of the next frame names the tag before it.
    expect(await damage(second - 16)).toMatchObject([{ file: FIRST, offset: second }])
    expect(await damage(20)).toMatchObject([{ file: FIRST, offset: 0, code: 'RECORD_MALFORMED' }])
  })

  it('of a damaged key ring says so', async () => {
    const disk = crashDisk({ ring: utf8('LWKR') })
    expect(await inspectAll(disk, { keyless: true })).toEqual([
      { type: 'damage', file: null, offset: 0, sizeBytes: 0, code: 'KEYS_MALFORMED' },
    ])
  })
})

describe('inspecting with the key', () => {
  it('lists entries and the hard state, content redacted unless asked for', async () => {
    const disk = await marked()
    const redacted = await inspectAll(disk, { wrapper })
    expect(
      of(redacted, 'entry').map(({ index, term, sizeBytes, content }) => [index, term, sizeBytes, content]),
    ).toEqual([
      [1n, 1n, MARK.length + 4, null],
      [2n, 1n, 3, null],
    ])
    expect(of(redacted, 'state')[0]).toMatchObject({ term: 1n, vote: 'node-2', commit: 1n })
    expect(of(redacted, 'file').every(({ isProven }) => isProven)).toBe(true)
    expect(inspect(redacted, { depth: 9 })).not.toContain(MARK)
    const shown = await inspectAll(disk, { wrapper, content: 'shown' })
    expect(of(shown, 'entry')[0]?.content).toEqual(utf8(`${MARK} one`))
  })

  it('needs the right one', async () => {
    const disk = await marked()
    await expect(inspectAll(disk)).rejects.toThrowCode('KEYS_LOCKED')
    const wrong = unlockKeyWrapper(new Uint8Array(32).fill(0x5b), seededRandom(4))
    await expect(inspectAll(disk, { wrapper: wrong })).rejects.toThrowCode('KEYS_WRONG')
    await expect(verifyOn(disk, wrong)).rejects.toThrowCode('KEYS_WRONG')
  })

  it('sees a changed body, goes on behind it, and shows nothing of what it cannot prove', async () => {
    const directory = directoryOf(await threeSegments())
    const bytes = directory.files.get(FIRST)!
    const [, second, third] = frameOffsets(bytes) as [number, number, number]
    const seen = await inspectAll(diskOf(withFile(directory, FIRST, flipped(bytes, second + 42))), { content: 'shown' })
    expect(of(seen, 'damage')).toEqual([
      { type: 'damage', file: FIRST, offset: second, sizeBytes: third - second, code: 'RECORD_NOT_AUTHENTIC' },
    ])
    expect(of(seen, 'entry').map(({ index }) => index)).toEqual([1n, 3n, 4n, 5n, 6n, 7n, 8n, 9n])
  })

  it('tells an unfinished frame from zeros that were written ahead', async () => {
    const disk = crashDisk()
    const log = await createOn(disk)
    await log.append([utf8('one')])
    const { bytes } = disk.contents.get(FIRST)!
    const tail = async (rest: Uint8Array) => {
      const longer = diskOf(withFile(directoryOf(disk), FIRST, Uint8Array.of(...bytes, ...rest)))
      return [of(await inspectAll(longer), 'tail'), (await verifyOn(longer)).verdict]
    }
    expect(await tail(new Uint8Array(200))).toMatchObject([[{ offset: bytes.length, holds: 'zeros' }], 'whole'])
    expect(await tail(Uint8Array.of(7, 7))).toMatchObject([[{ offset: bytes.length, holds: 'torn' }], 'torn'])
  })
})

describe('verifying', () => {
  it('counts what a whole log holds', async () => {
    expect(await verifyOn(await threeSegments())).toMatchObject({
      verdict: 'whole',
      clusterId: 'cluster-1',
      logId: 'node-1',
      files: 3,
      entries: 9n,
      firstIndex: 1n,
      lastIndex: 9n,
      findings: [],
      unlisted: 0,
    })
  })

  it('sees damage in the chunks of a snapshot, which opening does not read', async () => {
    const directory = directoryOf(await marked())
    const name = `${'2'.padStart(20, '0')}.snap`
    const bytes = directory.files.get(name)!
    const disk = diskOf(withFile(directory, name, flipped(bytes, bytes.length - 20)))
    await openOn(diskOf(withFile(directory, name, flipped(bytes, bytes.length - 20))), { wrapper })
    const report = await verifyOn(disk, wrapper)
    expect(report.verdict).toBe('damaged')
    expect(report.findings[0]).toMatchObject({ kind: 'damage', file: name, code: 'RECORD_NOT_AUTHENTIC' })
  })

  it('lists what opening would remove, and removes nothing', async () => {
    const disk = await threeSegments()
    disk.put(`${'4'.padStart(20, '0')}.log.tmp`, new Uint8Array(3))
    disk.put('notes', utf8('x'))
    const before = directoryOf(disk)
    const report = await verifyOn(disk)
    expect(report.verdict).toBe('whole')
    expect(report.findings.map(({ kind, file }) => [kind, file])).toEqual([
      ['foreign', 'notes'],
      ['leftover', `${'4'.padStart(20, '0')}.log.tmp`],
    ])
    expect(directoryOf(disk)).toEqual(before)
  })

  it('lists a thousand findings and counts the rest', async () => {
    const disk = await threeSegments()
    for (let at = 0; at < MAX_FINDINGS + 5; at += 1) disk.put(`foreign-${at}`, new Uint8Array(0))
    const { findings, unlisted } = await verifyOn(disk)
    expect([findings.length, unlisted]).toEqual([MAX_FINDINGS, 5])
  })

  it('gives the directory back', async () => {
    const disk = await threeSegments()
    await verifyOn(disk)
    await (await openOn(disk)).close()
  })
})
