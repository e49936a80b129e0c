import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { clearWrapper, counterAnchor, type SealedLog } from '@leastwise/raftlog'
import { createLog, fileKeyStore, headFile, nodeCipherSuite, openLog, tpmCounter } from '@leastwise/raftlog/node'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { describePeer } from './support/needs.ts'
import { until } from './support/until.ts'

const SWTPM = '/usr/bin/swtpm'
const TOOLS = '/usr/bin'
const HANDLE = 0x1500020

const missing = [SWTPM, `${TOOLS}/tpm2_nvread`].find((path) => !existsSync(path))
const lack = missing === undefined ? null : `no ${missing} (Debian packages swtpm, tpm2-tools)`

async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  server.listen(port, '127.0.0.1')
  const free = await Promise.race([once(server, 'listening').then(() => true), once(server, 'error').then(() => false)])
  server.close()
  return free
}

/** The tools expect the control port right behind the other one. */
async function freePair(): Promise<number> {
  for (let port = 24_000 + (process.pid % 8000); port < 40_000; port += 2) {
    if ((await isFree(port)) && (await isFree(port + 1))) return port
  }
  throw new Error('no two free ports')
}

describePeer('a counter of a TPM', lack, () => {
  const directory = mkdtempSync(join(tmpdir(), 'leastwise-tpm-'))
  let tpm: ChildProcess | undefined
  let tcti = ''
  const tool = (program: string, ...args: readonly string[]): number | null =>
    spawnSync(`${TOOLS}/${program}`, args, { env: { TPM2TOOLS_TCTI: tcti } }).status

  /** The chip keeps its memory in the directory, also across a restart. */
  const start = async (): Promise<void> => {
    const port = await freePair()
    tcti = `swtpm:host=127.0.0.1,port=${port}`
    const socket = (at: number): string => `type=tcp,port=${at},bindaddr=127.0.0.1`
    const args = [
      'socket',
      '--tpm2',
      '--tpmstate',
      `dir=${directory}`,
      '--server',
      socket(port),
      '--ctrl',
      socket(port + 1),
    ]
    tpm = spawn(SWTPM, [...args, '--flags', 'not-need-init,startup-clear'], { stdio: 'ignore' })
    await until('the TPM', 10_000, () => (tool('tpm2_getcap', 'properties-fixed') === 0 ? true : null))
  }
  const stop = async (): Promise<void> => {
    if (tpm?.exitCode !== null) return
    const gone = once(tpm, 'exit')
    tpm.kill('SIGTERM')
    await gone
  }

  beforeAll(async () => {
    await start()
    expect(
      tool(
        'tpm2_nvdefine',
        `${HANDLE}`,
        '-C',
        'o',
        '-s',
        '8',
        '-a',
        'ownerread|ownerwrite|authread|authwrite|nt=counter',
      ),
    ).toBe(0)
  })
  afterAll(async () => {
    await stop()
    rmSync(directory, { recursive: true, force: true })
  })

  it('counts, also across a restart of the chip', async () => {
    const fresh = tpmCounter({ handle: HANDLE, tcti })
    await expect(fresh.read()).rejects.toThrowCode('ANCHOR_UNREACHABLE')
    await fresh.increment()
    const before = await fresh.read()
    await fresh.increment()
    expect(await fresh.read()).toBe(before + 1n)
    await stop()
    await expect(fresh.read()).rejects.toThrowCode('ANCHOR_UNREACHABLE')
    await start()
    expect(await tpmCounter({ handle: HANDLE, tcti }).read()).toBe(before + 1n)
  })

  it('finds a log that was put back together with the file beside the counter', async () => {
    const home = join(directory, 'home')
    const options = {
      directory: join(home, 'log'),
      clusterId: 'cluster-1',
      logId: 'node-1',
      keys: fileKeyStore(join(home, 'keys')),
      wrapper: clearWrapper,
      anchoring: {
        anchor: counterAnchor({
          counter: tpmCounter({ handle: HANDLE, tcti }),
          file: headFile(join(home, 'head')),
          key: new Uint8Array(32).fill(0x7b),
          suite: nodeCipherSuite,
        }),
      },
    }
    const write = async (log: SealedLog, word: string): Promise<void> => {
      await log.append([new TextEncoder().encode(word)])
      await log.close()
    }
    mkdirSync(home, { mode: 0o700 })
    await write(await createLog(options), 'a')
    const copy = join(directory, 'copy')
    cpSync(home, copy, { recursive: true })
    await write(await openLog(options), 'b')
    await write(await openLog(options), 'c')
    rmSync(home, { recursive: true })
    spawnSync('cp', ['-a', copy, home])
    spawnSync('chmod', ['-R', 'go-rwx', home])
    await expect(openLog(options)).rejects.toThrowCode('ROLLED_BACK')
  })

  it('refuses what is no handle of its memory', async () => {
    for (const handle of [0, 0x81000000, 1.5]) expect(() => tpmCounter({ handle })).toThrow(RangeError)
    await expect(tpmCounter({ handle: HANDLE + 1, tcti }).read()).rejects.toThrowCode('ANCHOR_UNREACHABLE')
    const reason = new Error('enough')
    await expect(tpmCounter({ handle: HANDLE, tcti }).read({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  })
})
