import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { NewTokenAnswer, NodeAnswer, TokenAnswer } from '../../examples/orchestrator/operator/answers.ts'
import {
  answerOf,
  deliveryRoots,
  type Manager,
  type Outcome,
  refusalCode,
  run,
  Sandbox,
  until,
} from './cluster-processes.ts'

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

let sandbox: Sandbox
let manager: Manager

beforeAll(async () => {
  sandbox = new Sandbox()
  manager = await sandbox.manager()
})
afterAll(async () => {
  await sandbox[Symbol.asyncDispose]()
})

const tokenOf = async (...args: readonly string[]): Promise<NewTokenAnswer> =>
  await answerOf(await manager.operate(['token', ...args]))
const nodes = async (): Promise<readonly NodeAnswer[]> => await manager.call('node/ls')

/** Tries to join with a token that must be refused. */
async function refusedJoin(
  name: string,
  token: string,
  address = manager.address,
  ...more: readonly string[]
): Promise<Outcome> {
  const data = sandbox.path(name)
  const outcome = await run(['worker', '--data', data, '--join', address, '--token', token, '--json', ...more])
  const [, , , secret = ''] = token.split('-')
  expect(outcome.stdout + outcome.stderr).not.toContain(secret)
  expect(existsSync(data), 'the refused worker left its data directory').toBe(false)
  return outcome
}

describe.concurrent('a worker joins', () => {
  it('once with a token for one use; the next worker is refused', async () => {
    const { token, id } = await tokenOf('create', 'worker', '--uses', '1')
    const worker = await sandbox.worker(manager, 'once', { token })
    expect((await nodes()).find((node) => node.id === worker.nodeId)).toMatchObject({ role: 'worker', state: 'ready' })
    expect(refusalCode(await refusedJoin('once-more', token))).toBe('JOIN_TOKEN_REJECTED')
    const listed = await manager.call<readonly TokenAnswer[]>('token/ls')
    expect(listed.find((one) => one.id === id)).toMatchObject({ state: 'exhausted', uses: 1, maxUses: 1 })
  })

  it('not from the data directory of another that runs, whose files stay as they are', async () => {
    const { token } = await tokenOf('create', 'worker')
    const worker = await sandbox.worker(manager, 'taken', { token })
    const data = sandbox.path('taken')
    // The last of its files: what it is told about others that were thrown out.
    await until('the worker has all its files', () => Promise.resolve(existsSync(join(data, 'evictions'))))
    const before = readdirSync(data).sort()
    const second = await run(['worker', '--data', data, '--join', manager.address, '--json'])
    expect(refusalCode(second)).toBe('ALREADY_RUNNING')
    expect(readdirSync(data).sort()).toEqual(before)
    expect((await nodes()).find((node) => node.id === worker.nodeId)).toMatchObject({ state: 'ready' })
  })

  it('not with a token that was revoked', async () => {
    const { token, id } = await tokenOf('create', 'worker')
    answerOf(await manager.operate(['token', 'revoke', id]))
    expect(refusalCode(await refusedJoin('revoked', token))).toBe('JOIN_TOKEN_REJECTED')
  })

  it('not with a token whose time is over', async () => {
    const { token, expiresAt } = await tokenOf('create', 'worker', '--ttl', '1s')
    await pause(Math.max(0, (expiresAt ?? 0) - Date.now()))
    expect(refusalCode(await refusedJoin('expired', token))).toBe('JOIN_TOKEN_REJECTED')
  })

  it('not with a secret that was never given out', async () => {
    const wrong = manager.workerToken.replace(/[0-9a-z]{25}$/, 'a'.repeat(25))
    expect(refusalCode(await refusedJoin('wrong', wrong))).toBe('JOIN_TOKEN_REJECTED')
  })

  it('not with the token of another cluster: nothing is sent to this one', async () => {
    const other = manager.workerToken.replace(/^SWMTKN-1-[0-9a-z]{50}/, `SWMTKN-1-${'1'.repeat(50)}`)
    expect(refusalCode(await refusedJoin('foreign', other))).toBe('CA_DIGEST_MISMATCH')
  })

  it('not where nothing that speaks the protocol listens', async () => {
    await using quiet = new Sandbox()
    const started = quiet.start([
      'worker',
      '--data',
      quiet.path('w'),
      '--join',
      '127.0.0.1:1',
      '--token',
      manager.workerToken,
    ])
    // The directory is made after the process has begun to listen for signals.
    await until('the first try', () => existsSync(quiet.path('w')))
    // It tries again for a while; being told to stop ends that at once.
    const outcome = await started.kill('SIGTERM')
    expect({ code: outcome.code, stderr: outcome.stderr }).toEqual({ code: 0, stderr: '' })
    expect(readdirSync(quiet.directory)).toEqual([])
  })

  it('not with a place for secrets that is no memory, and keeps its token for a better one', async () => {
    const { token, id } = await tokenOf('create', 'worker', '--uses', '1')
    const onDisk = sandbox.path('on-disk')
    const outcome = await refusedJoin('no-memory', token, manager.address, '--secrets', onDisk)
    expect(refusalCode(outcome)).toMatch(/^(NOT_TMPFS|MOUNT_UNSAFE)$/)
    expect(existsSync(onDisk)).toBe(false)
    expect((await manager.call<readonly TokenAnswer[]>('token/ls')).find((one) => one.id === id)?.uses).toBe(0)
    const link = await refusedJoin('below-nothing', token, manager.address, '--secrets', '/dev/shm/no-such-place/here')
    expect(refusalCode(link)).toMatch(/^MOUNT_(FAILED|UNSAFE)$/)
  })

  it('with a place of its own choice on tmpfs, which is gone when it ends', async () => {
    const place = `/dev/shm/leastwise-chosen-${process.pid}`
    const data = sandbox.path('chooser')
    const started = sandbox.start([
      'worker',
      '--data',
      data,
      '--join',
      manager.address,
      '--token',
      manager.workerToken,
      '--secrets',
      place,
    ])
    expect((await started.wait('delivery'))['root']).toBe(place)
    await started.wait('session')
    await started.kill('SIGTERM')
    expect(existsSync(place)).toBe(false)
  })
})

describe('the tokens of a role', () => {
  it('live on for the overlap when they are rotated, and no longer', async () => {
    const old = await tokenOf('create', 'worker')
    const fresh = await tokenOf('rotate', 'worker', '--overlap', '1h')
    const states = async (): Promise<ReadonlyMap<string, string>> =>
      new Map((await manager.call<readonly TokenAnswer[]>('token/ls')).map(({ id, state }) => [id, state]))
    expect((await states()).get(old.id)).toBe('live')
    await sandbox.worker(manager, 'in-overlap', { token: old.token })
    const third = await tokenOf('rotate', 'worker')
    const after = await states()
    expect([after.get(old.id), after.get(fresh.id), after.get(third.id)]).toEqual(['revoked', 'revoked', 'live'])
    expect(refusalCode(await refusedJoin('after-overlap', old.token))).toBe('JOIN_TOKEN_REJECTED')
    // Managers' tokens are another matter.
    expect([...after.values()].filter((state) => state === 'live')).toHaveLength(2)
  })
})

describe('a worker that has joined', () => {
  it('keeps its identity over a restart without a token', async () => {
    const { token } = await tokenOf('create', 'worker')
    const worker = await sandbox.worker(manager, 'restarted', { token })
    expect((await worker.process.kill('SIGTERM')).code).toBe(0)
    expect(deliveryRoots(worker.nodeId)).toEqual([])
    const again = await sandbox.worker(manager, 'restarted', { token: null })
    expect(again.nodeId).toBe(worker.nodeId)
    expect(again.process.events.some(({ event }) => event === 'joined')).toBe(false)
  })

  it('sweeps what it left on tmpfs when it was killed', async () => {
    const { token } = await tokenOf('create', 'worker')
    const worker = await sandbox.worker(manager, 'killed', { token })
    await manager.call('secret/create', new TextEncoder().encode('left behind'), { name: 'left-behind' })
    const task = await manager.call<{ readonly id: string }>('task/run', {
      node: worker.nodeId,
      secrets: ['source=left-behind'],
      command: ['sleep', '60'],
    })
    const started = await worker.process.wait('task-started')
    const killed = worker.process.kill('SIGKILL')
    const group = -Number(started['pid'])
    // In a namespace the task dies with its worker; elsewhere it goes here as with a machine that loses its power.
    if (started['isolation'] !== 'namespace') process.kill(group, 'SIGKILL')
    await killed
    await until('the end of the task', () => !isAlive(group))
    const [root] = deliveryRoots(worker.nodeId)
    expect(readdirSync(root!)).toEqual([task.id])
    answerOf(await manager.operate(['task', 'rm', task.id]))
    const again = await sandbox.worker(manager, 'killed', { token: null })
    expect(again.nodeId).toBe(worker.nodeId)
    expect(readdirSync(root!)).toEqual([])
  })

  it('is thrown out: it ends, wipes everything and needs a new token', async () => {
    const { token } = await tokenOf('create', 'worker')
    const worker = await sandbox.worker(manager, 'evicted', { token })
    await manager.call('secret/create', new TextEncoder().encode('taken back'), { name: 'taken-back' })
    await manager.call('task/run', { node: worker.nodeId, secrets: ['source=taken-back'], command: ['sleep', '60'] })
    const started = await worker.process.wait('task-started')
    const removed = answerOf<{ readonly cutSessions: number }>(await manager.operate(['node', 'rm', worker.nodeId]))
    expect(removed.cutSessions).toBeGreaterThan(0)
    const outcome = await worker.process.ended
    expect(refusalCode(outcome)).toBe('NODE_EVICTED')
    expect(worker.process.events.find(({ event }) => event === 'wiped')).toMatchObject({ held: 0, files: 0 })
    expect(deliveryRoots(worker.nodeId)).toEqual([])
    expect(() => process.kill(Number(started['pid']), 0)).toThrow('ESRCH')
    expect(existsSync(`${worker.data}/node.key`)).toBe(false)
    expect((await nodes()).some((node) => node.id === worker.nodeId)).toBe(false)
    expect(await manager.call('task/ls')).not.toContainEqual(expect.objectContaining({ nodeId: worker.nodeId }))
    const back = await run(['worker', '--data', worker.data, '--join', manager.address, '--json'])
    expect(refusalCode(back)).toBe('TOKEN_NEEDED')
  })

  it('is shown as gone after it was stopped', async () => {
    const { token } = await tokenOf('create', 'worker')
    const worker = await sandbox.worker(manager, 'stopped', { token })
    await worker.process.kill('SIGTERM')
    await until(
      'the manager noticing',
      async () => (await nodes()).find(({ id }) => id === worker.nodeId)?.state !== 'ready',
    )
  })

  it('refuses a key file that others can read, and starts no task', async () => {
    mkdirSync(sandbox.path('unsafe'), { mode: 0o700 })
    writeFileSync(sandbox.path('unsafe/node.key'), 'x', { mode: 0o644 })
    const outcome = await run(['worker', '--data', sandbox.path('unsafe'), '--join', manager.address, '--json'])
    expect(refusalCode(outcome)).toBe('KEY_FILE_UNSAFE')
  })
})
