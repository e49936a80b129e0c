import { spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { type EtcdMembers, startEtcd } from '../../examples/demo/etcd-members.ts'
import type { NodeAnswer, SecretAnswer, TaskAnswer } from '../../examples/orchestrator/operator/answers.ts'
import { type Manager, run, Sandbox, until, type WorkerProcess } from '../orchestrator/cluster-processes.ts'
import { describePeer, needs } from './support/needs.ts'

const DEMO = fileURLToPath(new URL('../../examples/dist/demo/main.js', import.meta.url))
const TEST_MS = 90_000

interface Three extends AsyncDisposable {
  readonly sandbox: Sandbox
  readonly etcd: EtcdMembers
  readonly managers: readonly [Manager, Manager, Manager]
}

/** Three members of etcd, and three managers that share a log in it. */
async function three(): Promise<Three> {
  const sandbox = new Sandbox()
  const etcd = await startEtcd(sandbox.directory)
  const more = etcd.managerArguments
  const first = await sandbox.manager('m1', '127.0.0.1:0', { more })
  await first.process.wait('leading')
  const join = ['--join', first.address, '--token-file', sandbox.tokenFile(first.managerToken)]
  const second = await sandbox.manager('m2', '127.0.0.1:0', { more: [...more, ...join] })
  const third = await sandbox.manager('m3', '127.0.0.1:0', { more: [...more, ...join] })
  return {
    sandbox,
    etcd,
    managers: [first, second, third],
    [Symbol.asyncDispose]: async () => {
      await sandbox[Symbol.asyncDispose]()
      await etcd.close()
    },
  }
}

const secretNames = async (manager: Manager): Promise<readonly string[]> =>
  (await manager.call<readonly SecretAnswer[]>('secret/ls')).map(({ name }) => name).toSorted()

const createSecret = async (manager: Manager, name: string): Promise<Uint8Array> => {
  const value = randomBytes(24)
  await manager.call('secret/create', value, { name, labels: '{}' })
  return value
}

/** Runs a task with the secret and gives the SHA-256 of what it read. */
async function readByTask(manager: Manager, worker: WorkerProcess, secret: string): Promise<string> {
  const hash =
    "require('node:crypto').createHash('sha256').update(require('node:fs').readFileSync(process.env.LEASTWISE_SECRETS_DIR+'/s')).digest('hex')"
  const task = ['task', 'run', '--node', worker.nodeId, '--secret', `source=${secret},target=s`, '--', process.execPath]
  // Its exit code says whether the first byte of the hash is what was expected; the whole is printed by the worker.
  const made = await manager.operate([...task, '-e', `process.exitCode = parseInt(${hash}.slice(0, 2), 16) & 0x7f`])
  expect(made.code).toBe(0)
  const { id } = JSON.parse(made.stdout) as TaskAnswer
  const ended = await until('the end of the task', async () => {
    const all = await manager.call<readonly TaskAnswer[]>('task/ls')
    return all.find((one) => one.id === id && one.exitCode !== null) ?? null
  })
  return String(ended.exitCode)
}

const expected = (value: Uint8Array): string =>
  String(Number.parseInt(createHash('sha256').update(value).digest('hex').slice(0, 2), 16) & 0x7f)

describePeer('three managers over three members of etcd', needs('etcd'), () => {
  it('run the whole demo', { timeout: TEST_MS }, () => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [DEMO, '--engine', 'etcd', '--json'], {
      encoding: 'utf8',
    })
    expect(stderr).toBe('')
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>)
    expect(lines.at(-1)).toMatchObject({ done: true, ok: true })
    expect(status).toBe(0)
    expect(lines.filter((line) => 'check' in line).length).toBeGreaterThan(40)
  })

  it('go on when two of them are killed, one after the other, and take a killed one back', {
    timeout: TEST_MS,
  }, async () => {
    await using cluster = await three()
    const { managers, sandbox, etcd } = cluster
    const [first, second, third] = managers
    const worker = await sandbox.worker(first, 'w1')
    const before = await createSecret(second, 'before')
    expect(await readByTask(third, worker, 'before')).toBe(expected(before))

    await first.process.kill('SIGKILL')
    const between = await createSecret(second, 'between')
    expect(await readByTask(third, worker, 'between')).toBe(expected(between))
    await second.process.kill('SIGKILL')
    await third.process.wait('leading')
    const after = await createSecret(third, 'after')
    expect(await readByTask(third, worker, 'after')).toBe(expected(after))

    const back = await sandbox.manager('m1', first.address, { more: etcd.managerArguments })
    expect(await secretNames(back)).toEqual(['after', 'before', 'between'])
    await createSecret(back, 'again')
    // Nobody waits for the other one to notice: whoever is asked knows what any of them has acknowledged.
    expect(await secretNames(third)).toContain('again')
  })

  it('let a leader that slept commit nothing on what it remembers', { timeout: TEST_MS }, async () => {
    await using cluster = await three()
    const [first, second] = cluster.managers
    process.kill(first.process.pid, 'SIGSTOP')
    try {
      await Promise.any(cluster.managers.slice(1).map(async ({ process: one }) => await one.wait('leading')))
      await createSecret(second, 'meanwhile')
    } finally {
      process.kill(first.process.pid, 'SIGCONT')
    }
    // Its own memory knows no such secret; what it decides on does.
    const refused = await run(['secret', 'create', 'meanwhile', '--data', first.data, '--json'], { input: 'x' })
    expect(JSON.parse(refused.stdout)).toMatchObject({ error: { code: 'SECRET_EXISTS' } })
    await first.process.wait('leading-ended')
    await createSecret(first, 'later')
    expect(await secretNames(first)).toEqual(['later', 'meanwhile'])
  })

  it('shut a removed manager out of the log and of the cluster at once', { timeout: TEST_MS }, async () => {
    await using cluster = await three()
    const [first, second, third] = cluster.managers
    await createSecret(first, 'a')
    await first.call('node/rm', { node: third.nodeId })
    const { code, stderr } = await third.process.ended
    expect(code).toBe(1)
    expect(stderr).toMatch(/NODE_EVICTED|MEMBER_UNKNOWN/)
    const again = await run(
      ['manager', '--data', third.data, '--listen', '127.0.0.1:0', '--json', ...cluster.etcd.managerArguments],
      {},
    )
    expect([again.code, again.stderr]).toEqual([1, expect.stringMatching(/MEMBER_UNKNOWN/)])
    await createSecret(second, 'b')
    expect(await secretNames(first)).toEqual(['a', 'b'])
    const nodes = await second.call<readonly NodeAnswer[]>('node/ls')
    expect(nodes.map(({ id }) => id)).not.toContain(third.nodeId)
  })

  it('are locked one by one, and a locked one comes back with its own key', { timeout: TEST_MS }, async () => {
    await using cluster = await three()
    const [first, second, third] = cluster.managers
    const locked = await second.operate(['autolock', 'on'])
    const { unlockKey } = JSON.parse(locked.stdout) as { readonly unlockKey: string }
    // The data key changes, without the box key that had lain open on the disk of the second one.
    await third.call('node/rm', { node: first.nodeId })
    await createSecret(second, 'under-lock')
    await second.process.kill('SIGKILL')
    const more = cluster.etcd.managerArguments
    const restarted = cluster.sandbox.start([
      ...['manager', '--data', second.data, '--listen', second.address],
      ...more,
    ])
    await restarted.wait('locked')
    await createSecret(third, 'meanwhile')
    expect((await second.operate(['unlock'], unlockKey)).code).toBe(0)
    await restarted.wait('ready')
    expect(await secretNames(second)).toEqual(['meanwhile', 'under-lock'])
    await createSecret(second, 'after')
    expect(await secretNames(third)).toContain('after')
  })

  it('refuse a second cluster in the same etcd, and an engine that is not the one of the data directory', {
    timeout: TEST_MS,
  }, async () => {
    await using sandbox = new Sandbox()
    const etcd = await startEtcd(sandbox.directory)
    try {
      const more = etcd.managerArguments
      const first = await sandbox.manager('m1', '127.0.0.1:0', { more })
      const words = (name: string): readonly string[] => [
        ...['manager', '--data', sandbox.path(name), '--listen', '127.0.0.1:0', '--json'],
      ]
      const second = await run([...words('m2'), ...more])
      expect(second.stderr).toContain('CLUSTER_EXISTS')
      await first.process.kill('SIGTERM')
      expect((await run(words('m1'))).stderr).toContain('ENGINE_DIFFERS')
      const worker = ['--join', first.address, '--token', first.workerToken]
      expect((await run([...words('m3'), ...more, ...worker])).code).toBe(1)
    } finally {
      await etcd.close()
    }
  })
})
