import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  statfsSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  answerOf,
  contentOf,
  deliveryRoots,
  isRoot,
  NOBODY,
  noOrdinaryUser,
  refusalCode,
  run,
  Sandbox,
} from './cluster-processes.ts'

const managerAt = (data: string, listen = '127.0.0.1:0'): readonly string[] => [
  'manager',
  '--data',
  data,
  '--listen',
  listen,
  '--json',
]
const workerAt = (data: string, ...more: readonly string[]): readonly string[] => [
  'worker',
  '--data',
  data,
  '--join',
  '127.0.0.1:9',
  '--json',
  ...more,
]

/** A port where somebody listens. */
async function takenPort(sandbox: Sandbox): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  sandbox.atEnd(() => server.close())
  const address = server.address()
  return typeof address === 'object' ? (address?.port ?? 0) : 0
}

async function freePort(): Promise<number> {
  await using sandbox = new Sandbox()
  return await takenPort(sandbox)
}

const ordinary = noOrdinaryUser()

describe.concurrent('a data directory that cannot be used', () => {
  it.each([
    ['manager', managerAt],
    ['worker', workerAt],
  ] as const)('of a %s: its parent is missing', async (_name, at) => {
    await using sandbox = new Sandbox()
    const outcome = await run(at(sandbox.path('missing/data')))
    expect(refusalCode(outcome)).toBe('DATA_DIRECTORY_MISSING')
    expect(readdirSync(sandbox.directory)).toEqual([])
  })

  it.each([
    ['manager', managerAt],
    ['worker', workerAt],
  ] as const)('of a %s: it is a file, below a file, or a link', async (_name, at) => {
    await using sandbox = new Sandbox()
    writeFileSync(sandbox.path('file'), 'mine')
    mkdirSync(sandbox.path('real'), { mode: 0o700 })
    symlinkSync(sandbox.path('real'), sandbox.path('link'))
    const before = contentOf(sandbox.directory)
    const codes = await Promise.all(
      (at === managerAt ? ['file', 'file/data', 'link'] : ['file/data', 'link']).map(async (path) =>
        refusalCode(await run(at(sandbox.path(path)))),
      ),
    )
    expect(new Set(codes)).toEqual(new Set(['DATA_DIRECTORY_UNWRITABLE']))
    expect(contentOf(sandbox.directory)).toEqual(before)
  })

  it.each([
    ['manager', managerAt],
    ['worker', workerAt],
  ] as const)('of a %s: others can enter it', async (_name, at) => {
    await using sandbox = new Sandbox()
    const data = sandbox.path('data')
    mkdirSync(data)
    for (const mode of at === managerAt ? [0o755, 0o701] : [0o710]) {
      chmodSync(data, mode)
      const outcome = await run(at(data))
      expect(refusalCode(outcome)).toBe('DATA_DIRECTORY_OPEN')
      expect(outcome.stderr).toContain('chmod 700')
    }
    expect(readdirSync(data)).toEqual([])
  })

  it.skipIf(!isRoot).each([
    ['manager', managerAt],
    ['worker', workerAt],
  ] as const)('of a %s: it belongs to another user (needs root to give it away)', async (_name, at) => {
    await using sandbox = new Sandbox()
    const data = sandbox.path('data')
    mkdirSync(data, { mode: 0o700 })
    chownSync(data, NOBODY, NOBODY)
    const outcome = await run(at(data))
    expect(refusalCode(outcome)).toBe('DATA_DIRECTORY_FOREIGN')
    expect(outcome.stderr).toContain(`belongs to user ${NOBODY}`)
    expect(readdirSync(data)).toEqual([])
  })

  // An ordinary user meets this without help; root can write everywhere and lets somebody else try.
  it.skipIf(isRoot && ordinary !== null).each([
    ['manager', managerAt],
    ['worker', workerAt],
  ] as const)('of a %s: the user may not write there', async (_name, at) => {
    await using sandbox = new Sandbox()
    const user = { asNobody: isRoot, cwd: '/' }
    const own = sandbox.path('own')
    mkdirSync(own)
    if (isRoot) chownSync(own, NOBODY, NOBODY)
    chmodSync(own, 0o500)
    chmodSync(sandbox.directory, 0o555)
    sandbox.atEnd(() => {
      chmodSync(sandbox.directory, 0o700)
      chmodSync(own, 0o700)
    })
    expect(refusalCode(await run(at(sandbox.path('data')), user))).toBe('DATA_DIRECTORY_UNWRITABLE')
    const token = `SWMTKN-1-${'1'.repeat(50)}-${'1'.repeat(25)}`
    const outcome = await run([...at(own), ...(at === workerAt ? ['--token', token] : [])], user)
    expect(refusalCode(outcome)).toBe('DATA_DIRECTORY_UNWRITABLE')
    expect(readdirSync(own)).toEqual([])
  })

  it.skipIf(ordinary !== null)(
    `of a manager: another user's operator gets no word of it (${ordinary ?? 'as an ordinary user'})`,
    async () => {
      await using sandbox = new Sandbox()
      const manager = await sandbox.manager()
      const outcome = await run(['secret', 'ls', '--data', manager.data, '--json'], { asNobody: true, cwd: '/' })
      expect(refusalCode(outcome)).toBe('DATA_DIRECTORY_FOREIGN')
    },
  )

  it('of a manager: the path of its socket would be too long', async () => {
    await using sandbox = new Sandbox()
    const data = sandbox.path('d'.repeat(100))
    expect(refusalCode(await run(managerAt(data)))).toBe('SOCKET_PATH_TOO_LONG')
    expect(existsSync(data)).toBe(false)
  })
})

describe.concurrent('an address that cannot be used', () => {
  it('is taken: nothing has been founded, no token shown', async () => {
    await using sandbox = new Sandbox()
    const port = await takenPort(sandbox)
    const outcome = await run(managerAt(sandbox.path('data'), `127.0.0.1:${port}`))
    expect(refusalCode(outcome)).toBe('ADDRESS_IN_USE')
    expect(outcome.stdout).not.toContain('SWMTKN')
    expect(outcome.stderr).toContain(`port ${port}`)
    expect(readdirSync(sandbox.directory)).toEqual([])
  })

  it('is given for nodes and for operators alike: nothing has been founded', async () => {
    await using sandbox = new Sandbox()
    const port = await freePort()
    const words = managerAt(sandbox.path('data'), `127.0.0.1:${port}`)
    const outcome = await run([...words, '--operator-listen', `127.0.0.1:${port}`])
    expect(refusalCode(outcome)).toBe('ADDRESS_IN_USE')
    expect(readdirSync(sandbox.directory)).toEqual([])
  })

  it('is taken at a later start: the cluster stays as it was', async () => {
    await using sandbox = new Sandbox()
    const manager = await sandbox.manager()
    await manager.process.kill('SIGTERM')
    const port = await takenPort(sandbox)
    const outcome = await run(managerAt(manager.data, `127.0.0.1:${port}`))
    expect(refusalCode(outcome)).toBe('ADDRESS_IN_USE')
    expect(existsSync(join(manager.data, 'operator.sock'))).toBe(false)
    const again = await sandbox.manager()
    expect(again.nodeId).toBe(manager.nodeId)
  })

  it("is none of this machine's, or none at all", async () => {
    await using sandbox = new Sandbox()
    for (const address of ['192.0.2.1:2377', 'no-such-host.invalid:2377'])
      expect(refusalCode(await run(managerAt(sandbox.path('data'), address))), address).toBe('ADDRESS_REFUSED')
    expect(readdirSync(sandbox.directory)).toEqual([])
  })
})

/** A little tmpfs, as a disk that is soon full; null where this machine mounts nothing. */
function smallDisk(sandbox: Sandbox, sizeKib: number): string | null {
  const path = sandbox.path('disk')
  mkdirSync(path, { mode: 0o700 })
  const mounted =
    isRoot && spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeKib}k,mode=0700`, 'tmpfs', path]).status === 0
  if (!mounted) return null
  sandbox.atEnd(() => spawnSync('umount', ['-l', path]))
  return path
}

describe.concurrent('a full disk', () => {
  it('is said at the first start, and nothing of the cluster stays on it', async ({ skip }) => {
    await using sandbox = new Sandbox()
    const disk = smallDisk(sandbox, 16)
    if (disk === null) return void skip('only root can mount a small disk')
    writeFileSync(join(disk, 'ballast'), Buffer.alloc(4 * statfsSync(disk).bsize - 2 * 4096))
    const outcome = await run(managerAt(join(disk, 'data')))
    expect(refusalCode(outcome)).toBe('DISK_FULL')
    expect(readdirSync(disk)).toEqual(['ballast'])
  })

  it('refuses what it cannot keep, and keeps what was acknowledged', async ({ skip }) => {
    await using sandbox = new Sandbox()
    const disk = smallDisk(sandbox, 1_024)
    if (disk === null) return void skip('only root can mount a small disk')
    const manager = await sandbox.manager('disk/data')
    const kept: string[] = []
    for (let at = 0; ; at += 1) {
      const outcome = await manager.operate(['secret', 'create', `secret-${at}`], Buffer.alloc(200_000, at + 1))
      if (outcome.code === 0) kept.push(answerOf<{ readonly name: string }>(outcome).name)
      else {
        expect(refusalCode(outcome)).toBe('DISK_FULL')
        break
      }
    }
    expect(kept.length).toBeGreaterThan(0)
    // It goes on to answer questions, and takes no more.
    expect((await manager.call<readonly { readonly name: string }[]>('secret/ls')).map(({ name }) => name)).toEqual(
      kept,
    )
    for (let again = 0; again < 2; again += 1)
      expect(refusalCode(await manager.operate(['secret', 'rm', kept[0] ?? '']))).toBe('DISK_FULL')
    expect(await manager.call('status')).toMatchObject({ state: 'read-only' })
    await manager.process.wait('log-failed')
    await manager.process.kill('SIGTERM')
    spawnSync('mount', ['-o', 'remount,size=8192k', disk])
    const again = await sandbox.manager('disk/data')
    expect((await again.call<readonly { readonly name: string }[]>('secret/ls')).map(({ name }) => name)).toEqual(kept)
    answerOf(await again.operate(['secret', 'create', 'small'], 'x'))
  })
})

describe.concurrent('a worker that cannot start', () => {
  it('for a file that it cannot read leaves nothing on tmpfs', async () => {
    await using sandbox = new Sandbox()
    const manager = await sandbox.manager()
    const { data, nodeId, process } = await sandbox.worker(manager, 'worker')
    await process.kill('SIGTERM')
    mkdirSync(join(data, 'recovery.key'), { mode: 0o700 })
    expect(refusalCode(await run(workerAt(data)))).toBe('KEY_FILE_UNSAFE')
    expect(deliveryRoots(nodeId)).toEqual([])
  })

  it('has no token, or a file of it that cannot be read', async () => {
    await using sandbox = new Sandbox()
    expect(refusalCode(await run(workerAt(sandbox.path('data'))))).toBe('TOKEN_NEEDED')
    const outcome = await run(workerAt(sandbox.path('data'), '--token-file', sandbox.path('missing')))
    expect(refusalCode(outcome)).toBe('TOKEN_NEEDED')
    expect(outcome.stderr).toContain('--token-file')
    expect(readdirSync(sandbox.directory)).toEqual([])
  })

  it('has something else than a token, which is not repeated', async () => {
    await using sandbox = new Sandbox()
    const mark = `markedtokensecret00000000`
    for (const token of [
      `SWMTKN-1-${'1'.repeat(50)}-${mark}x`,
      mark,
      `SWMTKN-9-${'1'.repeat(50)}-${mark}`,
      `SWMTKN-1-${'1'.repeat(50)}`,
    ]) {
      const outcome = await run(workerAt(sandbox.path('data'), '--token', token))
      expect(['TOKEN_MALFORMED', 'TOKEN_UNSUPPORTED_VERSION']).toContain(refusalCode(outcome))
      expect(outcome.stdout + outcome.stderr).not.toContain(mark)
    }
    expect(readdirSync(sandbox.directory)).toEqual([])
  })
})
