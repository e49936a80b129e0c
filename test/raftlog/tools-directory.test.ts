import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { clearWrapper, inspectLog, type LogFiles, RaftLogError, type ToolKeys, verifyLog } from '@leastwise/raftlog'
import {
  createLog,
  dataKeyCache,
  fileKeyStore,
  nodeCipherSuite,
  nodeFiles,
  openLog,
  repairDirectory,
  systemRandom,
} from '@leastwise/raftlog/node'
import { beforeEach, describe, expect, it } from 'vitest'
import { MAX_BODY_BYTES, MAX_FRAME_BYTES } from '../../packages/raftlog/src/format/frame.ts'
import { manualClock } from '../support/manual-clock.ts'
import { tempDir } from '../support/temp-dir.ts'
import { utf8 } from './log-support.ts'
import { flipped, frameOffsets } from './tools-support.ts'

const FIRST = `${'1'.padStart(20, '0')}.log`

let home: string
let directory: string
let ring: string

const keys = (): ToolKeys => ({
  store: fileKeyStore(ring),
  wrapper: clearWrapper,
  cache: dataKeyCache({ maxKeys: 2, maxAgeMs: 60_000, clock: manualClock() }),
  random: systemRandom,
})
const place = () => ({ directory, clusterId: 'c', logId: 'n', keys: fileKeyStore(ring), wrapper: clearWrapper })
const repair = async () =>
  await repairDirectory({ directory, out: join(home, 'new'), salvage: join(home, 'salvage'), keys: keys() })

beforeEach(async () => {
  home = tempDir()
  directory = join(home, 'log')
  ring = join(home, 'keys')
  const log = await createLog({ ...place(), segmentBytes: 300 })
  for (let index = 1; index <= 9; index += 1) await log.append([utf8(`entry-${index}`)])
  await log.close()
})

const readAll = async (at: string): Promise<readonly string[]> => {
  const log = await openLog({ ...place(), directory: at })
  const lines: string[] = []
  for await (const { index, data } of log.entries()) lines.push(`${index}:${new TextDecoder().decode(data)}`)
  await log.close()
  return lines
}

const damage = (name: string, frame: number): void => {
  const bytes = new Uint8Array(readFileSync(join(directory, name)))
  writeFileSync(join(directory, name), flipped(bytes, frameOffsets(bytes)[frame]! + 42))
}

describe('repairing a directory', () => {
  it('gives a log that opens under its own name, and what is left beside it', async () => {
    damage(FIRST, 1)
    const report = await repair()
    expect(report).toMatchObject({ log: { firstIndex: 1n, lastIndex: 1n }, lost: [{ from: 2n, to: 2n }] })
    expect(await readAll(join(home, 'new'))).toEqual(['1:entry-1'])
    expect(readdirSync(join(home, 'salvage'))).toEqual(report.salvaged.map(({ file }) => file))
    expect(readdirSync(home).sort()).toEqual(['keys', 'log', 'new', 'salvage'])
  })

  it('makes no directory where it has nothing to put', async () => {
    const { salvaged } = await repair()
    expect(salvaged).toEqual([])
    expect(readdirSync(home).sort()).toEqual(['keys', 'log', 'new'])
  })

  it('leaves nothing behind when it is refused', async () => {
    const held = await openLog(place())
    await expect(repair()).rejects.toThrowCode('LOG_BUSY')
    await held.close()
    mkdirSync(join(home, 'new'))
    writeFileSync(join(home, 'new', 'x'), '')
    await expect(repair()).rejects.toThrowCode('LOG_EXISTS')
    await expect(
      repairDirectory({ directory, out: directory, salvage: join(home, 'salvage'), keys: keys() }),
    ).rejects.toThrow(RangeError)
    rmSync(ring)
    rmSync(join(home, 'new', 'x'))
    await expect(repair()).rejects.toThrowCode('LOG_MISSING')
    expect(readdirSync(home).sort()).toEqual(['log', 'new'])
  })
})

describe('a name that is taken by what is no file', () => {
  const replacements: Readonly<Record<string, (path: string) => void>> = {
    'a directory': (path) => {
      mkdirSync(path)
    },
    'a link': (path) => {
      renameSync(path, join(home, 'elsewhere'))
      symlinkSync(join(home, 'elsewhere'), path)
    },
    'a link to nothing': (path) => {
      symlinkSync(join(home, 'absent'), path)
    },
    'a pipe': (path) => {
      expect(spawnSync('mkfifo', [path]).status).toBe(0)
    },
  }
  const names = [FIRST, `${'2'.padStart(20, '0')}.log`, `${'7'.padStart(20, '0')}.snap`, 'x', 'LOCK']

  const coded = async (run: () => Promise<unknown>): Promise<string> => {
    try {
      await run()
      return 'done'
    } catch (error) {
      if (error instanceof RaftLogError) return error.code
      throw error
    }
  }

  for (const [what, put] of Object.entries(replacements)) {
    it.each(names)(`${what} as %s is refused or passed over, at once`, async (name) => {
      const path = join(directory, name)
      if (what === 'a link') writeFileSync(path, name.endsWith('.log') ? readFileSync(path) : 'x')
      else rmSync(path, { force: true })
      put(path)
      const parts = { files: nodeFiles(directory), suite: nodeCipherSuite, keys: keys() }
      const seen: string[] = []
      const inspected = await coded(async () => {
        for await (const item of inspectLog(parts)) if (item.type === 'damage') seen.push(item.code)
      })
      expect(inspected).toBe('done')
      const isCounted = /^\d{20}\.(?:log|snap)$/.test(name)
      if (isCounted) expect(seen.length).toBeGreaterThan(0)
      const opened = await coded(async () => await readAll(directory))
      expect(opened === 'done').toBe(name === 'x')
      if (what.startsWith('a link') && isCounted) expect(opened).toBe('DIRECTORY_UNSAFE')
      const verified = await coded(async () => await verifyLog({ ...parts, keys: keys() }))
      expect(verified).toBe(name === 'LOCK' ? opened : 'done')
      const repaired = await coded(repair)
      expect(repaired).toBe(name === 'LOCK' ? opened : 'done')
    })
  }

  it('a pipe in the place of the key ring is refused at once', async () => {
    rmSync(ring)
    expect(spawnSync('mkfifo', [ring]).status).toBe(0)
    await expect(openLog(place())).rejects.toThrowCode('KEYS_MALFORMED')
    await expect(repair()).rejects.toThrowCode('KEYS_MALFORMED')
  })
})

describe('lengths that a forger chose', () => {
  /** A segment of 64 MiB, nearly all of it holes, with a head at every 4 MiB that claims the largest body there is. */
  async function hostile(): Promise<void> {
    const path = join(directory, `${'3'.padStart(20, '0')}.log`)
    const handle = await open(path, 'r+')
    const { size } = await handle.stat()
    await handle.truncate(64 * 1024 * 1024)
    const head = new Uint8Array(40)
    const view = new DataView(head.buffer)
    head.set(utf8('LWFR'))
    head[4] = 1
    view.setUint32(8, 1)
    view.setUint32(12, MAX_BODY_BYTES)
    view.setUint32(36, crc32(head.subarray(0, 36)))
    for (let at = size + 100; at < 64 * 1024 * 1024; at += 4 * 1024 * 1024) await handle.write(head, 0, 40, at)
    await handle.close()
  }

  it('cost one frame of memory at a time, and bounded work', async () => {
    await hostile()
    let longest = 0
    let highest = 0
    const start = process.memoryUsage().arrayBuffers
    const inner = nodeFiles(directory)
    const files: LogFiles = {
      ...inner,
      open: async (name) => {
        const handle = await inner.open(name)
        if (handle === null) return null
        return {
          ...handle,
          read: async (offset, length) => {
            longest = Math.max(longest, length)
            highest = Math.max(highest, process.memoryUsage().arrayBuffers - start)
            return await handle.read(offset, length)
          },
        }
      },
    }
    const report = await verifyLog({ files, suite: nodeCipherSuite, keys: keys() })
    expect(report.verdict).toBe('damaged')
    expect(longest).toBeLessThanOrEqual(MAX_FRAME_BYTES + 1)
    // A frame in the read buffer, one decrypted, what the collector has not taken yet.
    expect(highest).toBeLessThan(160 * 1024 * 1024)
    await expect(openLog(place())).rejects.toThrowCode('RECORD_NOT_AUTHENTIC')
    for await (const item of inspectLog({ files, suite: nodeCipherSuite })) expect(item.type).toBeDefined()
    const { log } = await repair()
    expect(log).toMatchObject({ firstIndex: 1n })
    if (process.env['SHOW_MEMORY'] === '1') process.stdout.write(`${longest} ${highest}\n`)
  })
})
