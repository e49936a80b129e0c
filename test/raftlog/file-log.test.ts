import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { clearWrapper, unlockKeyWrapper } from '@leastwise/raftlog'
import { createLog, fileKeyStore, type LogOptions, openLog, systemRandom } from '@leastwise/raftlog/node'
import { describe, expect, it } from 'vitest'
import { tempDir } from '../support/temp-dir.ts'
import { contains, readAll, utf8 } from './log-support.ts'

const isRoot = process.geteuid?.() === 0

function place(): LogOptions & { readonly keyFile: string } {
  const root = tempDir()
  const keyFile = join(root, 'keys')
  return {
    directory: join(root, 'log'),
    keyFile,
    clusterId: 'cluster-1',
    logId: 'node-1',
    keys: fileKeyStore(keyFile),
    wrapper: clearWrapper,
  }
}

const modeOf = (path: string): number => statSync(path).mode & 0o777

describe('a log in a directory', () => {
  it('writes a new segment over the file of one that was compacted away, and ends without spare files', async () => {
    const options = place()
    const entry = (index: bigint): Uint8Array => utf8(`${index} ${'x'.repeat(9000)}`)
    const log = await createLog(options)
    const compact = async (): Promise<void> => {
      const index = log.lastIndex
      await log.saveSnapshot({ index, term: 1n, data: utf8('state') })
      await log.compact(index)
    }
    const file = (sequence: number): string => join(options.directory, `${String(sequence).padStart(20, '0')}.log`)
    for (let index = 1n; index <= 40n; index += 1n) await log.append([entry(index)])
    const { ino, size } = statSync(file(1))
    await compact()
    await log.append([entry(41n)])
    await compact()
    expect(existsSync(file(1))).toBe(false)
    expect([statSync(file(3)).ino, readFileSync(file(3))[4]]).toEqual([ino, 2])
    expect(statSync(file(3)).size).toBeGreaterThan(40 * 9000)
    expect(statSync(file(3)).size).toBeLessThanOrEqual(size)
    for (let index = 42n; index <= 50n; index += 1n) await log.append([entry(index)])
    const expected = Array.from({ length: 9 }, (_, nth) => `${42 + nth}:1:${42 + nth} ${'x'.repeat(9000)}`)
    expect(await readAll(log, 42n)).toEqual(expected)
    await log.close()
    expect(statSync(file(3)).size).toBeLessThan(10 * 9100)
    expect(readdirSync(options.directory).filter((name) => name.endsWith('.tmp'))).toEqual([])
    const again = await openLog(options)
    expect([await readAll(again, 42n), again.repair]).toEqual([expected, null])
    await again.close()
  })

  it('keeps everything to its owner', async () => {
    const options = place()
    const log = await createLog(options)
    await log.append([utf8('a')])
    await log.saveSnapshot({ index: 1n, term: 1n, data: utf8('s') })
    expect(modeOf(options.directory)).toBe(0o700)
    expect(modeOf(options.keyFile)).toBe(0o600)
    const names = readdirSync(options.directory)
    expect(names.sort()).toEqual([
      '00000000000000000001.log',
      '00000000000000000001.snap',
      '00000000000000000002.log',
      'LOCK',
    ])
    for (const name of names) expect(modeOf(join(options.directory, name))).toBe(0o600)
    await log.close()
    expect(readdirSync(options.directory)).not.toContain('LOCK')
  })

  it('holds no plain byte of an entry or snapshot, and no data key when locked', async () => {
    const options = place()
    const wrapper = unlockKeyWrapper(systemRandom.bytes(32), systemRandom)
    const deks: Uint8Array[] = []
    const spying = { ...wrapper, wrap: (key: Uint8Array) => (deks.push(key.slice()), wrapper.wrap(key)) }
    const log = await createLog({ ...options, wrapper: spying })
    await log.append([utf8('MARKED-ENTRY')])
    await log.saveSnapshot({ index: 1n, term: 1n, data: utf8('MARKED-SNAPSHOT') })
    await log.close()
    expect(deks).toHaveLength(1)
    const files = [...readdirSync(options.directory).map((name) => join(options.directory, name)), options.keyFile]
    for (const file of files) {
      const bytes = readFileSync(file)
      for (const secret of [...deks, utf8('MARKED')]) expect(contains(bytes, secret), file).toBe(false)
    }
  })

  it('is busy while another handle of this process has it', async () => {
    const options = place()
    const log = await createLog(options)
    await expect(openLog(options)).rejects.toThrowCode('LOG_BUSY')
    await expect(createLog(options)).rejects.toThrowCode('LOG_BUSY')
    await log.close()
    await (await openLog(options)).close()
  })

  it('is busy while another process has it, and free once that one is gone', async () => {
    const options = place()
    await (await createLog(options)).close()
    const lock = join(options.directory, 'LOCK')
    const held = spawnSync(process.execPath, ['-e', 'process.stdout.write(String(process.pid))'])
    writeFileSync(lock, `${held.stdout.toString()} 1 x y\n`)
    await (await openLog(options)).close()
    writeFileSync(lock, `${process.ppid}  ${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} y\n`)
    await expect(openLog(options)).rejects.toThrowCode('LOG_BUSY')
    // The same number in an earlier life of the machine, or started at another moment, is somebody else.
    writeFileSync(lock, `${process.ppid}  another-boot y\n`)
    await (await openLog(options)).close()
    writeFileSync(lock, `${process.pid} 1  y\n`)
    await (await openLog(options)).close()
    writeFileSync(lock, 'nonsense')
    await (await openLog(options)).close()
    expect(readdirSync(options.directory).filter((name) => name.startsWith('LOCK'))).toEqual([])
  })

  it('is taken by one of many that try at the same time over the lock of a dead process', async () => {
    const options = place()
    await (await createLog(options)).close()
    writeFileSync(join(options.directory, 'LOCK'), '999999999 1 x y\n')
    // The breaker of that lock died as well.
    writeFileSync(join(options.directory, 'LOCK.break'), '999999998 1 x y\n')
    const tries = await Promise.allSettled(Array.from({ length: 20 }, async () => await openLog(options)))
    const won = tries.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
    expect(won).toHaveLength(1)
    for (const result of tries) {
      if (result.status === 'rejected') expect((result.reason as { code: string }).code).toBe('LOG_BUSY')
    }
    await won[0]!.close()
    expect(readdirSync(options.directory)).toEqual(['00000000000000000001.log'])
  })

  it('says what is wrong with its directory', async () => {
    const options = place()
    await expect(openLog(options)).rejects.toThrowCode('LOG_MISSING')
    expect(existsSync(options.directory)).toBe(false)
    mkdirSync(options.directory, { mode: 0o700 })
    await expect(openLog(options)).rejects.toThrowCode('LOG_MISSING')
    chmodSync(options.directory, 0o770)
    await expect(createLog(options)).rejects.toThrowCode('DIRECTORY_UNSAFE')
    chmodSync(options.directory, 0o707)
    await expect(openLog(options)).rejects.toThrowCode('DIRECTORY_UNSAFE')
    const file = place()
    writeFileSync(file.directory, '')
    await expect(createLog(file)).rejects.toThrowCode('DIRECTORY_UNSAFE')
    expect(existsSync(options.keyFile)).toBe(false)
  })

  it.runIf(isRoot)('refuses a directory of another user', async () => {
    const options = place()
    mkdirSync(options.directory, { mode: 0o700 })
    chownSync(options.directory, 65534, 65534)
    await expect(createLog(options)).rejects.toThrowCode('DIRECTORY_UNSAFE')
  })

  it.skipIf(isRoot)('refuses a directory that it cannot write', async () => {
    const options = place()
    mkdirSync(options.directory, { mode: 0o500 })
    await expect(createLog(options)).rejects.toThrowCode('DIRECTORY_UNWRITABLE')
  })

  it('says when there is no directory to create it in', async () => {
    const options = place()
    await expect(createLog({ ...options, directory: join(options.directory, 'no', 'where') })).rejects.toThrow(
      expect.objectContaining({
        code: 'DIRECTORY_UNWRITABLE',
        message: expect.stringContaining('directory above it exists') as unknown,
      }),
    )
  })

  it.runIf(existsSync('/dev/full'))('says when the disk is full', async () => {
    const options = place()
    const log = await createLog(options)
    const { nodeFiles } = await import('@leastwise/raftlog/node')
    await log.close()
    // A directory whose device has no room: every new file is a way to /dev/full.
    const files = nodeFiles(options.directory)
    const full = { ...files, create: async () => await nodeFiles('/dev').create('full') }
    const again = await openLog({ ...options, files: full })
    await expect(again.append([utf8('a')])).rejects.toThrowCode('DISK_FULL')
    await expect(again.append([utf8('b')])).rejects.toThrowCode('LOG_FAILED')
    await again.close()
  })

  it('takes entries of every size up to the largest', async () => {
    const options = place()
    const log = await createLog(options)
    const sizes = [0, 1, 65_532, 65_533, 1024 * 1024, 3 * 1024 * 1024, 16 * 1024 * 1024]
    for (const size of sizes) await log.append([new Uint8Array(size).fill(size % 250)])
    await log.close()
    const again = await openLog(options)
    const seen: number[] = []
    for await (const { data } of again.entries()) {
      seen.push(data.length)
      expect([data[0], data.at(-1)]).toEqual(
        data.length === 0 ? [undefined, undefined] : [data.length % 250, data.length % 250],
      )
    }
    expect(seen).toEqual(sizes)
    await again.close()
  })
})

describe('fileKeyStore', () => {
  const keys = Uint8Array.of(1, 2, 3)

  it('has nothing, then what was saved last', async () => {
    const path = join(tempDir(), 'keys')
    const store = fileKeyStore(path)
    expect(await store.load()).toBeNull()
    await store.save(Uint8Array.of(9, 9, 9, 9, 9), clearWrapper)
    await store.save(keys, clearWrapper)
    expect(await store.load()).toEqual(keys)
    expect(readdirSync(join(path, '..'))).toEqual(['keys'])
  })

  it('refuses a file that others can read, that is too large, or that is none', async () => {
    const path = join(tempDir(), 'keys')
    const store = fileKeyStore(path)
    await store.save(keys, clearWrapper)
    chmodSync(path, 0o640)
    await expect(store.load()).rejects.toThrowCode('DIRECTORY_UNSAFE')
    chmodSync(path, 0o600)
    writeFileSync(path, new Uint8Array(16 * 1024 + 1))
    await expect(store.load()).rejects.toThrowCode('KEYS_MALFORMED')
    const directory = tempDir()
    await expect(fileKeyStore(directory).load()).rejects.toThrowCode('KEYS_MALFORMED')
  })

  it('replaces what a crash left half written', async () => {
    const path = join(tempDir(), 'keys')
    writeFileSync(`${path}.tmp`, 'half', { mode: 0o644 })
    await fileKeyStore(path).save(keys, clearWrapper)
    expect(await fileKeyStore(path).load()).toEqual(keys)
    expect(modeOf(path)).toBe(0o600)
  })
})

describe('a process that is killed while it appends', () => {
  const script = `
    import { clearWrapper } from '@leastwise/raftlog'
    import { fileKeyStore, openLog } from '@leastwise/raftlog/node'
    const [directory, keyFile] = process.argv.slice(1)
    const log = await openLog({ directory, clusterId: 'cluster-1', logId: 'node-1', keys: fileKeyStore(keyFile), wrapper: clearWrapper, segmentBytes: 20000 })
    const client = async () => {
      for (let n = 0; ; n += 1) {
        const { last } = await log.append([new TextEncoder().encode('x'.repeat(n % 300))])
        process.stdout.write(last + '\\n')
      }
    }
    for (let n = 0; n < 8; n += 1) client()
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), 60 + Math.random() * 60)
  `

  it('loses nothing that it had reported', async () => {
    const options = place()
    await (await createLog(options)).close()
    let reported = 0n
    for (let round = 0; round < 4; round += 1) {
      const args = ['--conditions=default', '--input-type=module', '-e', script, options.directory, options.keyFile]
      const child = spawnSync(process.execPath, args, { cwd: import.meta.dirname, maxBuffer: 1 << 28 })
      expect(child.signal, child.stderr.toString()).toBe('SIGKILL')
      for (const line of child.stdout.toString().split('\n').slice(0, -1)) {
        const index = BigInt(line)
        if (index > reported) reported = index
      }
      const log = await openLog(options)
      expect(log.lastIndex).toBeGreaterThanOrEqual(reported)
      expect(await readAll(log)).toHaveLength(Number(log.lastIndex))
      await log.close()
    }
    expect(reported).toBeGreaterThan(0n)
  })
})
