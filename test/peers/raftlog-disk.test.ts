import { type SpawnSyncReturns, spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { clearWrapper, RAFT_LOG_ERROR_CODES, type SealedLog, unlockKeyWrapper } from '@leastwise/raftlog'
import { createLog, fileKeyStore, type LogOptions, openLog, systemRandom } from '@leastwise/raftlog/node'
import { describe, expect, it } from 'vitest'
import { tempDir } from '../support/temp-dir.ts'
import { describePeer, needs, program } from './support/needs.ts'

/** Both ends know it, for a child may die between switching the lock on and saying so. */
const UNLOCK_KEY = '7b'.repeat(32)

/**
 * A life that says on a line what is durable, and at its end which code it met. `argv`: directory, key file, rounds, and
 * if it is to be killed the number of lines after which that may happen at any moment.
 */
const LIFE = `
  import { clearWrapper, unlockKeyWrapper } from '@leastwise/raftlog'
  import { fileKeyStore, openLog, systemRandom } from '@leastwise/raftlog/node'
  const [directory, keyFile, rounds, mortal] = process.argv.slice(1)
  let lines = 0
  const say = (what) => {
    process.stdout.write(what + '\\n')
    lines += 1
    if (lines === Number(mortal)) setTimeout(() => process.kill(process.pid, 'SIGKILL'), Math.random() * 15)
  }
  const lock = unlockKeyWrapper(new Uint8Array(Buffer.from('${UNLOCK_KEY}', 'hex')), systemRandom)
  const options = { directory, clusterId: 'cluster-1', logId: 'node-1', keys: fileKeyStore(keyFile), segmentBytes: 20000 }
  let log
  const text = (index) => new TextEncoder().encode(index + ' ' + 'x'.repeat(Number(index % 7n) * 40))
  const snapshot = (index) => ({ index, term: 1n, data: new TextEncoder().encode('state ' + index) })
  try {
    log = await openLog({ ...options, wrapper: clearWrapper }).catch(async (error) => {
      if (error.code !== 'KEYS_LOCKED') throw error
      return await openLog({ ...options, wrapper: lock })
    })
    for (let round = 0; round < Number(rounds); round += 1) {
      for (let nth = 0; nth < 20; nth += 1) {
        const from = log.lastIndex + 1n
        const { last } = await log.append([text(from), text(from + 1n)])
        say('entry ' + last)
      }
      await log.saveSnapshot(snapshot(log.lastIndex))
      say('snapshot ' + log.lastIndex)
      await log.compact(log.lastIndex)
      await log.rotateDek({ snapshot })
      if (round % 3 === 1) {
        await log.lock(lock, { snapshot })
        say('locked')
      }
      if (round % 3 === 2) await log.rewrap(lock)
    }
    await log.close()
    say('end')
  } catch (error) {
    say('code ' + error.code)
    if (log !== undefined) {
      await log.append([text(log.lastIndex + 1n)]).then(() => say('entry ' + log.lastIndex), (more) => say('then ' + more.code))
      await log.close().catch(() => undefined)
    }
  }
`

const lifeArgs = (options: Place, rounds: number, mortal?: number): string[] => [
  '--conditions=default',
  '--input-type=module',
  '-e',
  LIFE,
  options.directory,
  options.keyFile,
  String(rounds),
  ...(mortal === undefined ? [] : [String(mortal)]),
]

type Place = LogOptions & { readonly keyFile: string }

function place(root: string): Place {
  const keyFile = join(root, 'keys')
  const directory = join(root, 'log')
  return {
    directory,
    keyFile,
    clusterId: 'cluster-1',
    logId: 'node-1',
    keys: fileKeyStore(keyFile),
    wrapper: clearWrapper,
    segmentBytes: 20_000,
  }
}

interface Told {
  readonly entry: bigint
  readonly snapshot: bigint
  readonly locked: boolean
  readonly codes: readonly string[]
  readonly ended: boolean
}

/** What a life said before it ended; a last line may be half. */
function told({ stdout, stderr }: SpawnSyncReturns<string>): Told {
  const lines = stdout.split('\n').slice(0, -1)
  const highest = (word: string): bigint =>
    lines.reduce((most, line) => {
      const [what, number] = line.split(' ')
      return what === word && BigInt(number!) > most ? BigInt(number!) : most
    }, 0n)
  expect(stderr).not.toContain('Error')
  return {
    entry: highest('entry'),
    snapshot: highest('snapshot'),
    locked: lines.includes('locked'),
    codes: lines.flatMap((line) => (/^(code|then) /.test(line) ? [line.split(' ')[1]!] : [])),
    ended: lines.includes('end'),
  }
}

/** Opens with or without the lock, and finds everything that was told. */
async function check(options: Place, { entry, snapshot, locked }: Told): Promise<void> {
  const key = new Uint8Array(Buffer.from(UNLOCK_KEY, 'hex'))
  let log: SealedLog
  try {
    log = await openLog(options)
    expect(locked).toBe(false)
  } catch (error) {
    if ((error as { code: string }).code !== 'KEYS_LOCKED') throw error
    log = await openLog({ ...options, wrapper: unlockKeyWrapper(key, systemRandom) })
  }
  expect(log.lastIndex).toBeGreaterThanOrEqual(entry)
  const kept = await log.loadSnapshot()
  expect(kept?.index ?? 0n).toBeGreaterThanOrEqual(snapshot)
  if (kept !== null) expect(new TextDecoder().decode(kept.data)).toBe(`state ${kept.index}`)
  let next = log.firstIndex
  for await (const { index, data } of log.entries()) {
    expect(index).toBe(next)
    expect(new TextDecoder().decode(data)).toBe(`${index} ${'x'.repeat(Number(index % 7n) * 40)}`)
    next += 1n
  }
  expect(next).toBe(log.lastIndex + 1n)
  await log.close()
}

describe('a log whose process is killed at any moment', () => {
  it('loses nothing that it had told, through appends, snapshots, compactions, new keys and the lock', async () => {
    const options = place(tempDir())
    await (await createLog(options)).close()
    let [entry, snapshot, locked] = [0n, 0n, false]
    let killed = 0
    for (let round = 0; round < 16; round += 1) {
      const child = spawnSync(process.execPath, lifeArgs(options, 1000, 1 + ((round * 13) % 70)), {
        cwd: import.meta.dirname,
        encoding: 'utf8',
        killSignal: 'SIGTERM',
        timeout: 30_000,
        maxBuffer: 1 << 28,
      })
      expect(child.signal).toBe('SIGKILL')
      killed += 1
      const now = told(child)
      entry = now.entry > entry ? now.entry : entry
      snapshot = now.snapshot > snapshot ? now.snapshot : snapshot
      locked ||= now.locked
      await check(options, { ...now, entry, snapshot, locked })
    }
    expect(killed).toBe(16)
    expect(entry).toBeGreaterThan(100n)
    expect(snapshot).toBeGreaterThan(0n)
    expect(locked).toBe(true)
  })
})

describePeer('a log whose system calls fail (strace)', needs('strace'), () => {
  const calls = ['pwritev', 'pwrite64', 'fdatasync', 'fsync', 'ftruncate', 'rename', 'unlink'] as const

  it.each(calls)('%s: stops with a code, loses nothing that it had told, and opens again', async (call) => {
    const error = call.startsWith('pwrite') ? 'ENOSPC' : 'EIO'
    let stopped = 0
    for (const when of [2, 6]) {
      const options = place(tempDir())
      await (await createLog(options)).close()
      const child = spawnSync(
        program('strace'),
        ['-f', '-qqq', '-o', '/dev/null', `--inject=${call}:error=${error}:when=${when}`, process.execPath].concat(
          lifeArgs(options, 4),
        ),
        { cwd: import.meta.dirname, encoding: 'utf8', timeout: 60_000, killSignal: 'SIGKILL' },
      )
      expect(child.status, child.stderr).toBe(0)
      const now = told(child)
      // Zeros that find no room are done without, and what cannot be removed before it is written anew is no failure.
      if (!now.ended) expect(now.codes[0]).toBe(error === 'ENOSPC' ? 'DISK_FULL' : 'LOG_FAILED')
      for (const code of now.codes) expect(RAFT_LOG_ERROR_CODES).toContain(code)
      if (!now.ended) stopped += 1
      await check(options, now)
    }
    if (call !== 'pwrite64' && call !== 'unlink') expect(stopped).toBeGreaterThan(0)
  })
})

describePeer('a log on a disk that is full (tmpfs)', needs('root', 'setpriv'), () => {
  it('stops with DISK_FULL, keeps what it had told, and goes on once there is room', () => {
    const root = tempDir()
    const mounted = join(root, 'small')
    mkdirSync(mounted)
    const options = place(mounted)
    // In a namespace of its own, so that the mount is gone with the processes that see it.
    const inside = `
      import { clearWrapper } from '@leastwise/raftlog'
      import { createLog, fileKeyStore, openLog } from '@leastwise/raftlog/node'
      import { execFileSync } from 'node:child_process'
      const [mounted, directory, keyFile] = process.argv.slice(1)
      const mount = (...args) => execFileSync('mount', [...args, mounted])
      mount('-t', 'tmpfs', '-o', 'size=1m,mode=0700', 'tmpfs')
      const options = { directory, clusterId: 'cluster-1', logId: 'node-1', keys: fileKeyStore(keyFile), wrapper: clearWrapper }
      let log = await createLog(options)
      const record = new Uint8Array(3000).fill(7)
      let told = 0n
      const told3 = []
      for (const attempt of ['append', 'snapshot', 'append']) {
        try {
          for (;;) told = (await log.append([record])).last
        } catch (error) {
          told3.push(error.code)
        }
        told3.push(await log.append([record]).catch((error) => error.code))
        await log.close().catch((error) => told3.push('close ' + error.code))
        log = await openLog(options)
        if (log.lastIndex < told) throw new Error('entries are gone')
        if (attempt === 'snapshot') {
          const data = new Uint8Array(900_000)
          told3.push(await log.saveSnapshot({ index: log.lastIndex, term: 1n, data }).catch((error) => error.code))
          told = (await log.append([new Uint8Array(1)]).catch((error) => ({ last: told, code: error.code }))).last
          await log.close().catch(() => undefined)
          log = await openLog(options)
        }
      }
      mount('-o', 'remount,size=4m')
      await log.close().catch(() => undefined)
      log = await openLog(options)
      for (let nth = 0; nth < 100; nth += 1) told = (await log.append([record])).last
      await log.rotateDek({ snapshot: (index) => ({ index, term: 1n, data: new Uint8Array(10) }) })
      await log.close()
      log = await openLog(options)
      if (log.lastIndex !== told) throw new Error('entries are gone')
      await log.close()
      process.stdout.write(JSON.stringify(told3))
    `
    const args = ['--mount', process.execPath, '--conditions=default', '--input-type=module', '-e', inside]
    const child = spawnSync('unshare', [...args, mounted, options.directory, options.keyFile], {
      cwd: import.meta.dirname,
      encoding: 'utf8',
      timeout: 60_000,
      killSignal: 'SIGKILL',
    })
    expect(child.status, child.stderr).toBe(0)
    const codes = JSON.parse(child.stdout) as string[]
    expect(codes.slice(0, 2)).toEqual(['DISK_FULL', 'LOG_FAILED'])
    expect(codes).toContain('DISK_FULL')
  })
})
