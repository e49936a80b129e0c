import { inspect } from 'node:util'
import { clearWrapper, decodeKeyring, RaftLogError, unlockKeyWrapper } from '@leastwise/raftlog'
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../support/seeded-random.ts'
import { crashDisk } from './crash-disk.ts'
import { createOn, openOn, readAll, utf8 } from './log-support.ts'

const MARK = 'MARKED-SECRET'
const kek = new Uint8Array(32).fill(0x5a)
const wrapper = unlockKeyWrapper(kek, seededRandom(1))

/** Everything that a person or a log collector may come to see of an error. */
function shown(error: unknown): string {
  const chain: string[] = []
  for (let at: unknown = error; at instanceof Error; at = at.cause) chain.push(at.message, String(at.stack))
  return [...chain, inspect(error, { depth: 9, showHidden: true }), JSON.stringify(error)].join('\n')
}

async function refusalOf(run: () => Promise<unknown>): Promise<RaftLogError> {
  try {
    await run()
  } catch (error) {
    if (error instanceof RaftLogError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

describe('a refusal', () => {
  it('shows no entry, snapshot, data key or unlock key', async () => {
    const disk = crashDisk()
    const log = await createOn(disk, { wrapper })
    await log.append([utf8(`${MARK} entry`)])
    await log.saveSnapshot({ index: 1n, term: 1n, data: utf8(`${MARK} snapshot`) })
    await log.close()
    const names = [...disk.contents.keys()]
    const damaged = crashDisk({ names: disk.contents, ring: disk.ring() })
    const bytes = disk.contents.get(names[0]!)!.bytes.slice()
    bytes[bytes.length - 30]! ^= 1
    const refusals = [
      await refusalOf(() => openOn(disk)),
      await refusalOf(() =>
        openOn(disk, { wrapper: unlockKeyWrapper(new Uint8Array(32).fill(0x5b), seededRandom(2)) }),
      ),
      await refusalOf(() => openOn(disk, { wrapper, logId: 'node-2' })),
      await refusalOf(async () => decodeKeyring(utf8(MARK))),
      await refusalOf(() => openOn(crashDisk({ ring: utf8(MARK) }), { wrapper: clearWrapper })),
      await refusalOf(async () => {
        for (const name of names) damaged.put(name, bytes)
        await readAll(await openOn(damaged, { wrapper }))
      }),
    ]
    for (const refusal of refusals) {
      const seen = shown(refusal)
      expect(seen).not.toContain(MARK)
      expect(seen).not.toContain('90, 90, 90')
      expect(seen.toLowerCase()).not.toContain('5a5a5a')
      expect(refusal.message).toMatch(/^[a-z].*;.*[^.]$/)
    }
  })

  it('leaves an open log printable without its keys', async () => {
    const log = await createOn(crashDisk(), { wrapper })
    await log.append([utf8(MARK)])
    const seen = inspect(log, { depth: 9, showHidden: true, getters: true })
    expect(seen).not.toContain(MARK)
    expect(seen).not.toContain('90, 90, 90')
  })
})
