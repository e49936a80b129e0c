import { readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import {
  acceptRolledBackLog,
  clearWrapper,
  createBackup,
  memoryAnchor,
  memoryLog,
  type SealedLog,
  unlockKeyWrapper,
  verifyBackup,
} from '@leastwise/raftlog'
import { createLog, fileKeyStore, openLog, readBackupFile, restoreLog, writeBackupFile } from '@leastwise/raftlog/node'
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../support/seeded-random.ts'
import { tempDir } from '../support/temp-dir.ts'
import {
  backupKey,
  backupOf,
  backupOptions,
  codeOf,
  inPieces,
  joined,
  otherKey,
  restoreOn,
  suite,
} from './backup-support.ts'
import { crashDisk } from './crash-disk.ts'
import { contains, createOn, LOG, openOn, readAll, text, utf8 } from './log-support.ts'
import { repairOn, verifyOn } from './tools-support.ts'

const rotation = { snapshot: (index: bigint) => ({ index, term: 1n, data: utf8(`state ${index}`) }) }
const lock = unlockKeyWrapper(new Uint8Array(32).fill(7), seededRandom(7))

/** A log with a past: rotated, locked, compacted, in two terms, with a hard state. */
async function logWithHistory(disk = crashDisk()) {
  const log = await createOn(disk, { segmentBytes: 400 })
  await log.append([utf8('one'), utf8('two')])
  await log.rotateDek(rotation)
  await log.append([utf8('three')])
  await log.lock(lock, rotation)
  await log.append([utf8('four'), utf8('five')])
  await log.append([utf8('six')], { term: 3n })
  await log.saveState({ term: 3n, vote: 'node-2', commit: 5n })
  return { disk, log }
}

/** All that a log holds; contents as digests, which compare quickly. */
async function everything(log: SealedLog) {
  const digest = (bytes: Uint8Array): string => Buffer.from(suite.sha256(bytes)).toString('hex')
  const snapshot = await log.loadSnapshot()
  const entries: string[] = []
  for await (const { index, term, data } of log.entries({ from: (snapshot?.index ?? 0n) + 1n })) {
    entries.push(`${index}:${term}:${digest(data)}`)
  }
  const kept = snapshot === null ? null : `${snapshot.index}:${snapshot.term}:${digest(snapshot.data)}`
  return { entries, snapshot: kept, state: log.state, last: [log.lastIndex, log.lastTerm] }
}

describe('a backup', () => {
  it('gives the same state in another place, under other keys', async () => {
    const { disk, log } = await logWithHistory()
    const companions = [
      { name: 'node.key', bytes: utf8('locked bundle') },
      { name: 'empty', bytes: new Uint8Array(0) },
    ]
    const { bytes, receipt } = await backupOf(log, { keys: disk.keys, companions })
    const target = crashDisk()
    const restored = await restoreOn(target, bytes, { wrapper: lock, logId: 'node-9' })
    expect(restored.header).toMatchObject({
      logId: LOG,
      last: { index: 6n, term: 3n },
      snapshot: { index: 3n, term: 1n },
    })
    expect(restored.companions).toEqual(companions)
    expect(restored.ring).toEqual(disk.ring())
    expect(restored.digest).toEqual(receipt.digest)
    const copy = await openOn(target, { wrapper: lock, logId: 'node-9' })
    expect(await everything(copy)).toEqual(await everything(log))
    expect(target.ring()).not.toEqual(disk.ring())
    await copy.append([utf8('onward')])
    await copy.close()
    await log.close()
  })

  it('of an empty log, of one without snapshot, and of one with nothing behind it, is whole as well', async () => {
    const grow: readonly ((log: SealedLog) => Promise<unknown>)[] = [
      async () => undefined,
      async (log) => await log.append([utf8('a'), new Uint8Array(0)]),
      async (log) => {
        await log.saveSnapshot({ index: 2n, term: 1n, data: new Uint8Array(0) })
      },
      async (log) => {
        await log.saveSnapshot({ index: 2n, term: 1n, data: new Uint8Array(2 ** 21 + 5).fill(3) })
      },
      async (log) => await log.append(Array.from({ length: 1024 }, (_, at) => utf8(`entry ${at}`))),
      async (log) => await log.append([new Uint8Array(2 ** 21).fill(9)]),
      async (log) => await log.append([utf8('z')], { term: 8n }),
    ]
    const log = await createOn(crashDisk())
    for (const step of grow) {
      await step(log)
      const { bytes } = await backupOf(log)
      const target = crashDisk()
      await restoreOn(target, bytes)
      const copy = await openOn(target)
      expect(await everything(copy)).toEqual(await everything(log))
      await copy.close()
    }
  })

  it('made while the log is written shows one point in time', async () => {
    const { log } = await logWithHistory()
    const making = createBackup(log, backupOptions())
    const pieces: Uint8Array[] = []
    const before = await everything(log)
    for (let nth = 0; ; nth += 1) {
      const next = await making.next()
      if (next.done === true) break
      pieces.push(next.value)
      await log.append([utf8(`later ${nth}`)])
      await log.saveState({ term: 9n, vote: null, commit: 6n })
    }
    const target = crashDisk()
    await restoreOn(target, joined(pieces))
    const copy = await openOn(target)
    expect(await everything(copy)).toEqual(before)
    expect(log.lastIndex).toBeGreaterThan(9n)
    await copy.close()
    await log.close()
  })

  it('ends where the host says, and never commits more than it holds', async () => {
    const { log } = await logWithHistory()
    const { bytes, receipt } = await backupOf(log, { upTo: 4n })
    expect(receipt.last).toEqual({ index: 4n, term: 1n })
    const target = crashDisk()
    await restoreOn(target, bytes)
    const copy = await openOn(target)
    expect(copy.lastIndex).toBe(4n)
    expect(copy.state).toEqual({ term: 3n, vote: 'node-2', commit: 4n })
    for (const upTo of [2n, 7n]) await expect(backupOf(log, { upTo })).rejects.toThrow(RangeError)
    await copy.close()
    await log.close()
  })

  it('says so when the log dropped what was still to be read', async () => {
    const { log } = await logWithHistory()
    const making = createBackup(log, backupOptions())
    await making.next()
    await making.next()
    await log.rotateDek({ snapshot: (index) => ({ index, term: 3n, data: utf8('s') }) })
    const rest = (async () => {
      while ((await making.next()).done !== true) continue
    })()
    expect(await codeOf(rest)).toMatch(/^(?:LOG_GAP|RECORD_UNKNOWN_KEY)$/)
    await log.close()
  })

  it('of a log in memory is possible too', async () => {
    const log = memoryLog()
    await log.append([utf8('a'), utf8('b')])
    const target = crashDisk()
    await restoreOn(target, (await backupOf(log)).bytes)
    const copy = await openOn(target)
    expect(await readAll(copy)).toEqual(['1:1:a', '2:1:b'])
    await copy.close()
  })

  it('holds no entry, snapshot, companion, key ring or data key in the clear', async () => {
    const disk = crashDisk()
    const log = await createOn(disk)
    await log.append([utf8('MARKED-entry')])
    await log.saveSnapshot({ index: 1n, term: 1n, data: utf8('MARKED-snapshot') })
    await log.append([utf8('MARKED-entry')])
    const random = seededRandom(77)
    const companions = [{ name: 'MARKED-name', bytes: utf8('MARKED-companion') }]
    const { bytes } = await backupOf(log, { keys: disk.keys, companions, random })
    expect(contains(bytes, utf8('MARKED'))).toBe(false)
    for (const drawn of random.draws) if (drawn.length === 32) expect(contains(bytes, drawn)).toBe(false)
    const ring = disk.ring()!
    expect(contains(bytes, ring.subarray(-32))).toBe(false)
    const target = crashDisk()
    // The log has no lock, so its ring would be its data key in the clear: that never goes along.
    expect((await restoreOn(target, bytes)).ring).toBeNull()
    await log.close()
  })

  it('is refused to whoever has no lock for it, or too much to give along', async () => {
    const log = memoryLog()
    await expect(backupOf(log, { wrapper: clearWrapper })).rejects.toThrow(TypeError)
    const one = { name: 'a', bytes: new Uint8Array(0) }
    const wrong = [
      { clusterId: 'a b' },
      { logId: '' },
      { companions: [one, one] },
      { companions: [{ ...one, name: 'a b' }] },
      { companions: [{ ...one, bytes: new Uint8Array(2 ** 20 + 1) }] },
      { companions: Array.from({ length: 17 }, (_, at) => ({ ...one, name: `n${at}` })) },
    ]
    for (const more of wrong) await expect(backupOf(log, more)).rejects.toThrow(RangeError)
  })

  it('stops with the reason of its signal', async () => {
    const { log } = await logWithHistory()
    const { bytes } = await backupOf(log)
    const controller = new AbortController()
    const reason = new Error('enough')
    const making = createBackup(log, backupOptions({ signal: controller.signal }))
    await making.next()
    controller.abort(reason)
    await expect(making.next()).rejects.toBe(reason)
    const { signal } = controller
    await expect(verifyBackup(inPieces(bytes), { suite, signal })).rejects.toBe(reason)
    await log.close()
  })
})

describe('verifying a backup', () => {
  it('proves all of it with the key, and its structure without', async () => {
    const { log } = await logWithHistory()
    const { bytes, receipt } = await backupOf(log, { companions: [{ name: 'a', bytes: utf8('b') }] })
    const full = await verifyBackup(inPieces(bytes, 1), { suite, wrapper: backupKey })
    expect(full).toMatchObject({ proven: 'all', companions: ['a'], digest: receipt.digest })
    expect(full.header).toMatchObject({
      wrapperId: backupKey.id,
      madeAt: 1_790_000_000_000,
      backupId: receipt.backupId,
    })
    const outside = await verifyBackup(inPieces(bytes), { suite, digest: receipt.digest })
    expect(outside).toMatchObject({ proven: 'structure', companions: null, parts: full.parts, digest: receipt.digest })
    await expect(verifyBackup(inPieces(bytes), { suite, wrapper: otherKey })).rejects.toThrowCode('KEYS_WRONG')
    await expect(verifyBackup(inPieces(bytes), { suite, digest: new Uint8Array(32) })).rejects.toThrowCode(
      'BACKUP_NOT_AUTHENTIC',
    )
    await log.close()
  })

  it('finds every cut, with the key and without', async () => {
    const { log } = await logWithHistory()
    const { bytes } = await backupOf(log)
    for (let length = 0; length < bytes.length; length += 1) {
      for (const wrapper of [backupKey, undefined]) {
        const options = wrapper === undefined ? { suite } : { suite, wrapper }
        expect(await codeOf(verifyBackup(inPieces(bytes.subarray(0, length)), options)), `cut to ${length}`).toBe(
          'BACKUP_TRUNCATED',
        )
      }
    }
    await expect(verifyBackup(inPieces(new Uint8Array([...bytes, 0])), { suite })).rejects.toThrowCode(
      'BACKUP_MALFORMED',
    )
    await log.close()
  })

  it('finds every changed byte, with the key and without', async () => {
    const { log } = await logWithHistory()
    const { bytes } = await backupOf(log)
    for (let at = 0; at < bytes.length; at += 1) {
      const changed = bytes.slice()
      changed[at]! ^= 1 << (at % 8)
      for (const options of [{ suite, wrapper: backupKey }, { suite }]) {
        expect(await codeOf(verifyBackup(inPieces(changed), options)), `byte ${at}`).toMatch(
          /^(?:BACKUP_\w+|KEYS_WRONG|RECORD_UNSUPPORTED_VERSION)$/,
        )
      }
    }
    await log.close()
  })

  it('finds parts that were left out, swapped, repeated, or taken from another backup', async () => {
    const log = memoryLog()
    // Large entries, so that each is a part of its own.
    for (let nth = 0; nth < 4; nth += 1) await log.append([new Uint8Array(2 ** 18).fill(nth)])
    const { pieces } = await backupOf(log)
    const other = await backupOf(log)
    const [header, about, a, b, c, d, end, trailer] = pieces as Uint8Array[] & { length: 8 }
    expect(pieces.length).toBe(8)
    const spliced: readonly (readonly (Uint8Array | undefined)[])[] = [
      [header, about, a, c, d, end, trailer],
      [header, about, b, a, c, d, end, trailer],
      [header, about, a, a, b, c, d, end, trailer],
      [header, about, a, b, c, d, trailer],
      [header, about, a, b, c, d, end, end, trailer],
      [header, a, b, c, d, end, trailer],
      [header, about, a, other.pieces[3], c, d, end, trailer],
      [other.pieces[0], about, a, b, c, d, end, trailer],
      [header, ...other.pieces.slice(1)],
      [header, about, a, b, c, d, other.pieces[6], other.pieces[7]],
    ]
    for (const [nth, parts] of spliced.entries()) {
      const bytes = joined(parts.filter((part) => part !== undefined))
      expect(await codeOf(verifyBackup(inPieces(bytes), { suite, wrapper: backupKey })), `splice ${nth}`).toMatch(
        /^BACKUP_/,
      )
      expect(await codeOf(verifyBackup(inPieces(bytes), { suite })), `splice ${nth}`).toMatch(/^BACKUP_/)
      const target = crashDisk()
      expect(await codeOf(restoreOn(target, bytes))).toMatch(/^BACKUP_/)
      expect(await codeOf(openOn(target))).toBe('RESTORE_UNFINISHED')
    }
  })

  it('names the term that it ends with, and no other', async () => {
    const log = memoryLog()
    await log.append([utf8('a')], { term: 2n })
    // Whoever has the key could make such a one; a log of it would not be the one that it names.
    const { bytes } = await backupOf({ ...log, lastIndex: 1n, state: null, termAt: async () => 3n })
    expect(await codeOf(verifyBackup(inPieces(bytes), { suite, wrapper: backupKey }))).toBe('BACKUP_MALFORMED')
    expect(await codeOf(restoreOn(crashDisk(), bytes))).toBe('BACKUP_MALFORMED')
  })

  it('that was restored by half is no whole log to the tools, and nothing to repair', async () => {
    const log = memoryLog()
    for (const each of ['a', 'b', 'c']) await log.append([new Uint8Array(600_000), utf8(each)])
    const { bytes } = await backupOf(log)
    const target = crashDisk()
    expect(await codeOf(restoreOn(target, bytes.subarray(0, -100)))).toBe('BACKUP_TRUNCATED')
    const report = await verifyOn(target)
    expect(report.verdict).toBe('damaged')
    expect(report.findings).toContainEqual(expect.objectContaining({ kind: 'damage', code: 'RESTORE_UNFINISHED' }))
    // A log made out of this would lack entries, and no place in it would tell.
    await expect(repairOn(target)).rejects.toThrowCode('RESTORE_UNFINISHED')
  })

  it('tells nothing of what it holds when it refuses', async () => {
    const log = memoryLog()
    await log.append([utf8('MARKED-entry')])
    const { bytes } = await backupOf(log, { companions: [{ name: 'MARKED', bytes: utf8('MARKED') }] })
    for (const at of [20, 150, 200, bytes.length - 60]) {
      const changed = bytes.slice()
      changed[at]! ^= 1
      const error = await verifyBackup(inPieces(changed), { suite, wrapper: backupKey }).catch(
        (caught: unknown) => caught,
      )
      expect(inspect(error, { depth: 9, showHidden: true })).not.toMatch(/MARKED|b4b4b4|180, 180, 180/)
    }
  })
})

describe('restoring', () => {
  it('changes nothing without the right key or cluster', async () => {
    const { log } = await logWithHistory()
    const { bytes } = await backupOf(log)
    const target = crashDisk()
    await expect(restoreOn(target, bytes, {}, otherKey)).rejects.toThrowCode('KEYS_WRONG')
    await expect(restoreOn(target, bytes, { clusterId: 'cluster-2' })).rejects.toThrowCode('LOG_FOREIGN')
    await expect(restoreOn(target, new Uint8Array(0))).rejects.toThrowCode('BACKUP_TRUNCATED')
    expect(target.contents.size).toBe(0)
    expect(target.ring()).toBeNull()
    await log.close()
  })

  it('takes an empty directory only', async () => {
    const { disk, log } = await logWithHistory()
    const { bytes } = await backupOf(log)
    await log.close()
    await expect(restoreOn(disk, bytes)).rejects.toThrowCode('LOG_EXISTS')
    const strange = crashDisk()
    strange.put('notes.txt', utf8('mine'))
    await expect(restoreOn(strange, bytes)).rejects.toThrowCode('LOG_EXISTS')
    expect([...strange.contents.keys()]).toEqual(['notes.txt'])
  })

  it('cut short at any call leaves what opens as no log, and can be repeated', async () => {
    const { log } = await logWithHistory()
    const { bytes } = await backupOf(log)
    const expected = await everything(log)
    await log.close()
    const probe = crashDisk()
    await restoreOn(probe, bytes)
    expect(probe.calls()).toBeGreaterThan(20)
    for (let at = 1; at <= probe.calls(); at += 1) {
      for (const loss of ['kept', at % 2 === 0 ? 'dropped' : 'patches'] as const) {
        const disk = crashDisk({}, { at, kind: 'crash' })
        await expect(restoreOn(disk, bytes)).rejects.toThrow()
        expect(disk.died()).toBe(true)
        const after = disk.afterCrash(loss, at)
        const opened = await openOn(after).catch((error: unknown) => (error as { code: string }).code)
        const context = `stopped at call ${at}, unsynced data ${loss}`
        if (typeof opened !== 'string') {
          expect(await everything(opened), context).toEqual(expected)
          await opened.close()
          continue
        }
        expect(['RESTORE_UNFINISHED', 'LOG_MISSING'], context).toContain(opened)
        if (opened === 'RESTORE_UNFINISHED') expect(await codeOf(createOn(after))).toBe('RESTORE_UNFINISHED')
        await restoreOn(after, bytes)
        const copy = await openOn(after)
        expect(await everything(copy), context).toEqual(expected)
        await copy.close()
      }
    }
  })

  it('says what a directory is that was left half-way', async () => {
    const { log } = await logWithHistory()
    const { bytes, receipt } = await backupOf(log)
    const target = crashDisk()
    await expect(restoreOn(target, bytes.subarray(0, -1))).rejects.toThrowCode('BACKUP_TRUNCATED')
    const mark = text(target.contents.get('RESTORING')!.bytes)
    expect(mark).toContain(Buffer.from(receipt.backupId).toString('hex'))
    expect(mark).toContain(LOG)
    await log.close()
  })

  it('is refused by the anchor of the log, until an operator accepts it; another log id has an anchor of its own', async () => {
    const disk = crashDisk()
    const anchor = memoryAnchor()
    const log = await createOn(disk, { anchoring: { anchor } })
    await log.append([utf8('a')])
    const { bytes } = await backupOf(log)
    await log.append([utf8('b')])
    await log.close()

    const same = crashDisk()
    await restoreOn(same, bytes)
    await expect(openOn(same, { anchoring: { anchor } })).rejects.toThrowCode('ROLLED_BACK')
    await (await openOn(same, { anchoring: { anchor, [acceptRolledBackLog]: 2 } })).close()
    await expect(openOn(disk, { anchoring: { anchor } })).rejects.toThrowCode('ROLLED_BACK')

    const renamed = crashDisk()
    await restoreOn(renamed, bytes, { logId: 'node-2' })
    await expect(openOn(renamed, { logId: 'node-2', anchoring: { anchor } })).rejects.toThrowCode('LOG_FOREIGN')
    await expect(openOn(renamed)).rejects.toThrowCode('LOG_FOREIGN')
    const own = { anchor: memoryAnchor(), [acceptRolledBackLog]: 1 }
    const copy = await openOn(renamed, { logId: 'node-2', anchoring: own })
    expect(await readAll(copy)).toEqual(['1:1:a'])
    await copy.close()
  })
})

describe('the drill on real disks', () => {
  it('backs up under load into a file, and restores it in another directory', async () => {
    const [home, away] = [tempDir(), tempDir()]
    const keys = fileKeyStore(join(home, 'keys'))
    const options = { directory: join(home, 'log'), clusterId: 'cluster-1', logId: LOG, keys, segmentBytes: 100_000 }
    const log = await createLog({ ...options, wrapper: clearWrapper })
    const busy = { on: true }
    const written: string[] = []
    const load = (async () => {
      for (let nth = 0; busy.on; nth += 1) {
        await Promise.all(
          [0, 1, 2, 3].map(async (part) => await log.append([utf8(`load ${nth} ${part} ${'x'.repeat(200)}`)])),
        )
        written.push(`${nth}`)
      }
    })()
    while (written.length < 20) await log.saveState(log.state ?? { term: 1n, vote: null, commit: 0n })
    await log.lock(lock, rotation)
    const before = log.lastIndex
    const path = join(home, 'backup')
    const receipt = await writeBackupFile(path, createBackup(log, backupOptions({ keys })))
    busy.on = false
    await load
    expect(log.lastIndex).toBeGreaterThan(receipt.last.index)
    expect(receipt.last.index).toBeGreaterThanOrEqual(before)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    await expect(writeBackupFile(path, createBackup(log, backupOptions()))).rejects.toThrowCode('LOG_EXISTS')

    const target = {
      ...options,
      directory: join(away, 'log'),
      keys: fileKeyStore(join(away, 'keys')),
      wrapper: otherKey,
      logId: 'node-2',
    }
    await restoreLog(readBackupFile(path), { ...target, backupWrapper: backupKey })
    const copy = await openLog(target)
    const from = (copy.snapshotAt?.index ?? 0n) + 1n
    expect(copy.lastIndex).toBe(receipt.last.index)
    const original: string[] = []
    for await (const { index, data } of log.entries({ from, to: receipt.last.index }))
      original.push(`${index}:1:${text(data)}`)
    expect(await readAll(copy, from)).toEqual(original)
    await copy.close()
    await log.close()
    await expect(restoreLog(readBackupFile(path), { ...target, backupWrapper: backupKey })).rejects.toThrowCode(
      'LOG_EXISTS',
    )
  })

  it('leaves no file under the name of a backup that failed', async () => {
    const directory = tempDir()
    const path = join(directory, 'backup')
    const failing = async function* (): ReturnType<typeof createBackup> {
      yield new Uint8Array(10)
      throw new Error('log is gone')
    }
    await expect(writeBackupFile(path, failing())).rejects.toThrow('log is gone')
    expect(readdirSync(directory)).toEqual([])
    writeFileSync(`${path}.part`, 'of another one')
    await expect(writeBackupFile(path, failing())).rejects.toThrowCode('LOG_EXISTS')
    expect(readdirSync(directory)).toEqual(['backup.part'])
    const reading = (async () => {
      for await (const piece of readBackupFile(path)) expect(piece).toBeNull()
    })()
    await expect(reading).rejects.toThrowCode('LOG_MISSING')
  })

  it('is no directory', async () => {
    const reading = readBackupFile(tempDir())[Symbol.asyncIterator]().next()
    await expect(reading).rejects.toThrowCode('DIRECTORY_UNSAFE')
  })
})
