import { createHash } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { SecretAnswer, TaskAnswer } from '../../examples/orchestrator/operator/answers.ts'
import {
  answerOf,
  deliveryRoots,
  isRoot,
  type Manager,
  Sandbox,
  until,
  type WorkerProcess,
} from './cluster-processes.ts'

let sandbox: Sandbox
let manager: Manager
let worker: WorkerProcess
let reports: string

beforeAll(async () => {
  sandbox = new Sandbox()
  reports = sandbox.path('reports')
  mkdirSync(reports)
  // Tasks with users of their own leave their findings here.
  chmodSync(reports, 0o1777)
  manager = await sandbox.manager()
  worker = await sandbox.worker(manager, 'worker')
})
afterAll(async () => {
  await sandbox[Symbol.asyncDispose]()
})

const create = async (name: string, value: Uint8Array | string): Promise<SecretAnswer> =>
  answerOf<SecretAnswer>(await manager.operate(['secret', 'create', name], value))
const start = async (secrets: readonly string[], ...command: readonly string[]): Promise<TaskAnswer> =>
  answerOf<TaskAnswer>(
    await manager.operate([
      'task',
      'run',
      '--node',
      worker.nodeId,
      ...secrets.flatMap((secret) => ['--secret', secret]),
      '--',
      ...command,
    ]),
  )
const taskOf = async (id: string): Promise<TaskAnswer | null> =>
  (await manager.call<readonly TaskAnswer[]>('task/ls')).find((task) => task.id === id) ?? null
const reach = async (id: string, ...states: readonly string[]): Promise<TaskAnswer> =>
  await until(`task in ${states.join(' or ')}`, async () => {
    const task = await taskOf(id)
    return task !== null && states.includes(task.state) ? task : null
  })
/** What of the task is still on tmpfs. */
const filesOf = (id: string): readonly string[] =>
  deliveryRoots(worker.nodeId).flatMap((root) => (existsSync(join(root, id)) ? readdirSync(join(root, id)) : []))
const usersOf = async (name: string): Promise<readonly string[]> =>
  (await manager.call<SecretAnswer>('secret/inspect', { secret: name })).users
/** How many processes of a group live; one that only waits to be taken note of does not. */
const livingIn = (group: number): number =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
        return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      } catch {
        return []
      }
    })
    .filter(([state, , pgrp]) => state !== 'Z' && Number(pgrp) === group).length
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

const LOOK = `
const fs = require('node:fs')
const { createHash } = require('node:crypto')
const dir = process.env.LEASTWISE_SECRETS_DIR
const files = Object.fromEntries(fs.readdirSync(dir).sort().map((name) => {
  const { uid, gid, mode } = fs.statSync(dir + '/' + name)
  let sha256 = null
  try { sha256 = createHash('sha256').update(fs.readFileSync(dir + '/' + name)).digest('hex') } catch {}
  return [name, { uid, gid, mode: mode & 0o7777, sha256 }]
}))
const report = { uid: process.getuid(), gid: process.getgid(), files, env: Object.keys(process.env).sort() }
fs.writeFileSync(process.argv[1], JSON.stringify(report))
`
interface Look {
  readonly uid: number
  readonly gid: number
  readonly files: Readonly<
    Record<
      string,
      { readonly uid: number; readonly gid: number; readonly mode: number; readonly sha256: string | null }
    >
  >
  readonly env: readonly string[]
}
async function look(name: string, ...secrets: readonly string[]): Promise<Look> {
  const path = join(reports, name)
  const { id } = await start(secrets, process.execPath, '-e', LOOK, path)
  const ended = await reach(id, 'complete', 'failed', 'rejected')
  expect(ended).toMatchObject({ state: 'complete', exitCode: 0 })
  return JSON.parse(readFileSync(path, 'utf8')) as Look
}

describe.concurrent('a task', () => {
  it('reads each value byte for byte as it went in, zero bytes and line ends too', async () => {
    const values = {
      'with-newline': Buffer.from('a line\n'),
      'two-newlines': Buffer.from('\n\n'),
      zeros: Buffer.from([0, 0, 0]),
      mixed: Buffer.from([0xff, 0xfe, 0x00, 0x0d, 0x0a, 0x80, 0x1a, 0x04]),
      largest: Buffer.alloc(511_999, 7),
    }
    for (const [name, value] of Object.entries(values)) await create(name, value)
    const { files } = await look('bytes', ...Object.keys(values).map((name) => `source=${name}`))
    expect(Object.fromEntries(Object.entries(files).map(([name, file]) => [name, file.sha256]))).toEqual(
      Object.fromEntries(Object.entries(values).map(([name, value]) => [name, sha256(value)])),
    )
  })

  it('owns its files, which nobody else may read, and finds them under the names that it asked for', async () => {
    await create('owned', 'x')
    const { uid, gid, files } = await look('owned', 'source=owned', 'source=owned,target=twice.txt,mode=0440')
    expect(Object.keys(files)).toEqual(['owned', 'twice.txt'])
    expect(files['owned']).toMatchObject({ uid, gid, mode: 0o400 })
    expect(files['twice.txt']).toMatchObject({ uid, gid, mode: 0o440 })
    if (isRoot) expect(uid).not.toBe(0)
  })

  it.skipIf(!isRoot)('finds owner, group and mode as it asked for them (needs a worker that is root)', async () => {
    await create('given', 'x')
    const { files } = await look(
      'given',
      'source=given,target=a,uid=1234,gid=5678,mode=0440',
      'source=given,target=b,uid=4321,mode=0444',
    )
    expect(files['a']).toEqual({ uid: 1234, gid: 5678, mode: 0o440, sha256: null })
    expect(files['b']).toMatchObject({ uid: 4321, mode: 0o444, sha256: sha256(Buffer.from('x')) })
  })

  it('inherits nothing of the environment of its worker', async () => {
    const { env } = await look('env')
    expect(env.filter((name) => !['PWD', 'SHLVL', '_', 'OLDPWD'].includes(name))).toEqual([
      'HOME',
      'LEASTWISE_NODE_ID',
      'LEASTWISE_SECRETS_DIR',
      'LEASTWISE_TASK_ID',
      'PATH',
    ])
  })

  it.each([
    ['complete', 'exit 0', { state: 'complete', exitCode: 0, message: 'complete' }],
    ['failed with its exit code', 'exit 7', { state: 'failed', exitCode: 7, message: 'exit code 7' }],
    ['failed with the highest exit code', 'exit 255', { state: 'failed', exitCode: 255 }],
  ] as const)('that ends is %s, and its files are gone', async (what, script, expected) => {
    const name = `end-${what.replaceAll(' ', '-')}`
    await create(name, 'x')
    const { id } = await start([`source=${name}`], 'sh', '-c', `test -r "$LEASTWISE_SECRETS_DIR/${name}" && ${script}`)
    expect(await reach(id, 'complete', 'failed', 'rejected')).toMatchObject(expected)
    expect(filesOf(id)).toEqual([])
    expect(await usersOf(name)).toEqual([])
    answerOf(await manager.operate(['secret', 'rm', name]))
  })

  it('that kills itself is failed, and its files are gone', async () => {
    await create('suicide', 'x')
    const { id } = await start(['source=suicide'], 'sh', '-c', 'kill -9 $$')
    const task = await reach(id, 'complete', 'failed', 'rejected')
    expect(task.state).toBe('failed')
    expect(filesOf(id)).toEqual([])
  })

  it.each(['no-such-command-anywhere', '/no/such/path', '/etc/passwd'])(
    'whose command cannot be run (%s) ends badly, and its files are gone',
    async (command) => {
      const name = `unrunnable-${command.replaceAll('/', '-').replace(/^-/, '')}`
      await create(name, 'x')
      const { id } = await start([`source=${name}`], command)
      const task = await reach(id, 'complete', 'failed', 'rejected')
      expect(['failed', 'rejected']).toContain(task.state)
      if (task.state === 'failed') expect([126, 127]).toContain(task.exitCode)
      else expect(task.message).not.toBe('')
      expect(filesOf(id)).toEqual([])
      expect(await usersOf(name)).toEqual([])
    },
  )

  it('that is removed is killed at once, with its children, and its files are gone', async () => {
    await create('removed', 'x')
    const { id } = await start(['source=removed'], 'sh', '-c', 'trap "" TERM; sleep 61 & sleep 61')
    await reach(id, 'running')
    const { pid } = await worker.process.wait('task-started', (line) => line['taskId'] === id)
    expect(filesOf(id)).toEqual(['removed'])
    answerOf(await manager.operate(['task', 'rm', id]))
    await worker.process.wait('task-ended', (line) => line['taskId'] === id)
    expect(await taskOf(id)).toBeNull()
    expect(filesOf(id)).toEqual([])
    await until('the end of its children', () => livingIn(Number(pid)) === 0)
    expect(await usersOf('removed')).toEqual([])
  })

  it('keeps running when the session of its worker is lost and found again, and is not started twice', async () => {
    await using other = new Sandbox()
    const second = await other.manager()
    const runner = await other.worker(second, 'worker')
    const { id } = await second.call<TaskAnswer>('task/run', {
      node: runner.nodeId,
      secrets: [],
      command: ['sleep', '60'],
    })
    await runner.process.wait('task-started')
    await second.process.kill('SIGKILL')
    const sessions = runner.process.events.filter(({ event }) => event === 'session').length
    const again = await other.manager('manager', second.address)
    await until(
      'a new session',
      () => runner.process.events.filter(({ event }) => event === 'session').length > sessions,
    )
    await until('the task', async () =>
      (await again.call<readonly TaskAnswer[]>('task/ls')).some((task) => task.id === id && task.state === 'running'),
    )
    expect(runner.process.events.filter(({ event }) => event === 'task-started')).toHaveLength(1)
  })

  it('is over with its files when its worker is told to stop, however often and from how many sides', async () => {
    const told = await sandbox.worker(manager, 'told')
    const { name } = await create('of-the-told', 'gone with its task')
    answerOf<TaskAnswer>(
      await manager.operate(['task', 'run', '--node', told.nodeId, '--secret', `source=${name}`, '--', 'sleep', '60']),
    )
    await told.process.wait('task-started')
    expect(deliveryRoots(told.nodeId)).toHaveLength(1)
    const { pid } = told.process
    const ended = told.process.kill('SIGTERM')
    // Again and again until it is gone. In its very last moment, with everything done, a signal may still be what ends it.
    for (let isThere = true; isThere; ) {
      await new Promise((resolve) => setImmediate(resolve))
      try {
        for (const signal of ['SIGINT', 'SIGTERM'] as const) process.kill(pid, signal)
      } catch {
        isThere = false
      }
    }
    await ended
    expect(deliveryRoots(told.nodeId)).toEqual([])
  })
})
