import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  decodeAnchorHead,
  encodeAnchorHead,
  memoryLog,
  type RandomSource,
  unlockKeyWrapper,
  verifyBackup,
} from '@leastwise/raftlog'
import { describe, expect, it } from 'vitest'
import { headAt } from '../contract/anchor.ts'
import { backupOf, inPieces, restoreOn, suite } from './backup-support.ts'
import { crashDisk } from './crash-disk.ts'
import { openOn, readAll, text, utf8 } from './log-support.ts'

const FILE = join(import.meta.dirname, '../vectors/raftlog/backup.json')
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const unhex = (digits: string): Uint8Array => new Uint8Array(Buffer.from(digits, 'hex'))

/** Bytes 01 02 03 …, so that the vectors can be made again by anybody. */
function countingRandom(): RandomSource {
  let next = 0
  return { bytes: (length) => Uint8Array.from({ length }, () => (next += 1) & 0xff) }
}

const unlockKey = Uint8Array.from({ length: 32 }, (_, at) => 0xe0 + at)

/** What the file records: a backup of a log with a snapshot, a hard state and two terms; and an anchored head. */
async function record() {
  const log = memoryLog()
  await log.append([utf8('one'), utf8('two')])
  await log.saveSnapshot({ index: 1n, term: 1n, data: utf8('state after one') })
  await log.append([utf8('three')], { term: 4n })
  await log.saveState({ term: 5n, vote: 'node-2', commit: 2n })
  const { bytes, receipt } = await backupOf(log, {
    wrapper: unlockKeyWrapper(unlockKey, countingRandom()),
    random: countingRandom(),
    companions: [{ name: 'node.key', bytes: utf8('locked bundle') }],
  })
  return {
    unlockKey: hex(unlockKey),
    backup: hex(bytes),
    digest: hex(receipt.digest),
    entries: ['2:1:two', '3:4:three'],
    snapshot: 'state after one',
    head: hex(encodeAnchorHead(headAt(3n))),
  }
}

describe('the vectors of backup and anchor', () => {
  it('are written as they stand', async () => {
    const made = `${JSON.stringify(await record(), null, 2)}\n`
    if (process.env['UPDATE_VECTORS'] === '1') writeFileSync(FILE, made)
    expect(JSON.parse(readFileSync(FILE, 'utf8'))).toEqual(JSON.parse(made))
  })

  it('are read as they say', async () => {
    const vector = JSON.parse(readFileSync(FILE, 'utf8')) as Awaited<ReturnType<typeof record>>
    const wrapper = unlockKeyWrapper(unhex(vector.unlockKey), countingRandom())
    const bytes = unhex(vector.backup)
    await verifyBackup(inPieces(bytes), { suite, wrapper, digest: unhex(vector.digest) })
    const target = crashDisk()
    await restoreOn(target, bytes, {}, wrapper)
    const log = await openOn(target)
    expect(await readAll(log, 2n)).toEqual(vector.entries)
    expect(text((await log.loadSnapshot())!.data)).toBe(vector.snapshot)
    expect(log.state).toEqual({ term: 5n, vote: 'node-2', commit: 2n })
    await log.close()
    expect(decodeAnchorHead(unhex(vector.head))).toEqual(headAt(3n))
  })
})
