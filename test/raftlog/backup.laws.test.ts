import { memoryLog, verifyBackup } from '@leastwise/raftlog'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Backup, backupKey, backupOf, codeOf, inPieces, joined, restoreOn, suite } from './backup-support.ts'
import { crashDisk } from './crash-disk.ts'
import { createOn, openOn, readAll, utf8 } from './log-support.ts'

const change = fc.oneof(
  fc.record({
    kind: fc.constant('append' as const),
    size: fc.integer({ min: 0, max: 300 }),
    terms: fc.integer({ min: 0, max: 2 }),
  }),
  fc.record({ kind: fc.constantFrom('snapshot' as const, 'compact' as const, 'rotate' as const, 'state' as const) }),
)

const known = async (): Promise<Backup> => {
  const log = memoryLog()
  await log.append([utf8('a'), utf8('b')])
  await log.saveSnapshot({ index: 1n, term: 1n, data: utf8('state') })
  return await backupOf(log, { companions: [{ name: 'c', bytes: utf8('d') }] })
}

describe('a backup', () => {
  it('law: whatever the log went through, what is restored is what was there', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 12 }), fc.integer({ min: 1, max: 5000 }), async (changes, cut) => {
        const log = await createOn(crashDisk(), { segmentBytes: 500 })
        for (const one of changes) {
          const { lastIndex: index, lastTerm: term } = log
          const made = { index, term, data: utf8(`state ${index}`) }
          if (one.kind === 'append') {
            await log.append([new Uint8Array(one.size).fill(97)], {
              term: (term === 0n ? 1n : term) + BigInt(one.terms),
            })
          }
          if (one.kind === 'snapshot' && index > (log.snapshotAt?.index ?? 0n)) await log.saveSnapshot(made)
          if (one.kind === 'compact' && log.snapshotAt !== null) await log.compact(log.snapshotAt.index)
          if (one.kind === 'rotate') await log.rotateDek({ snapshot: () => made })
          if (one.kind === 'state') await log.saveState({ term: term + 9n, vote: null, commit: index })
        }
        const { bytes, receipt } = await backupOf(log)
        const verified = await verifyBackup(inPieces(bytes, cut), { suite, wrapper: backupKey, digest: receipt.digest })
        expect(verified.header.last).toEqual({ index: log.lastIndex, term: log.lastTerm })
        const target = crashDisk()
        await restoreOn(target, bytes)
        const copy = await openOn(target)
        const from = (log.snapshotAt?.index ?? 0n) + 1n
        expect(await readAll(copy, from)).toEqual(await readAll(log, from))
        expect(await copy.loadSnapshot()).toEqual(await log.loadSnapshot())
        expect(copy.state).toEqual(log.state)
        expect(copy.lastTerm).toBe(log.lastTerm)
        await copy.close()
        await log.close()
      }),
      { numRuns: 30 },
    )
  })

  it('law: with any bytes changed, cut out or put in, it is refused with a code', async () => {
    const { bytes } = await known()
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length), fc.nat(40), fc.uint8Array({ maxLength: 40 }), async (at, out, put) => {
        const changed = joined([bytes.subarray(0, at), put, bytes.subarray(at + out)])
        fc.pre(Buffer.compare(changed, bytes) !== 0)
        expect(await codeOf(verifyBackup(inPieces(changed), { suite, wrapper: backupKey }))).toMatch(
          /^(?:BACKUP_\w+|KEYS_WRONG|RECORD_UNSUPPORTED_VERSION)$/,
        )
        expect(await codeOf(verifyBackup(inPieces(changed), { suite }))).toMatch(
          /^(?:BACKUP_\w+|RECORD_UNSUPPORTED_VERSION)$/,
        )
      }),
      { numRuns: 300 },
    )
  })

  it('law: garbage is refused with a code', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 600 }), async (garbage) => {
        expect(await codeOf(verifyBackup(inPieces(garbage, 7), { suite, wrapper: backupKey }))).toMatch(
          /^BACKUP_(?:MALFORMED|TRUNCATED)$/,
        )
      }),
    )
  })

  it('reads no more than it must of what says that it is huge', async () => {
    const { bytes } = await known()
    let given = 0
    const endless = async function* (): AsyncGenerator<Uint8Array, void, void> {
      const start = bytes.slice(0, 9)
      new DataView(start.buffer).setUint32(5, 0xffffffff)
      yield start
      for (;;) {
        given += 1
        yield new Uint8Array(1024)
      }
    }
    await expect(verifyBackup(endless(), { suite })).rejects.toThrowCode('BACKUP_MALFORMED')
    expect(given).toBeLessThanOrEqual(1)
  })
})
