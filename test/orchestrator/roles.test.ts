import { once } from 'node:events'
import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseCertificateChain, parseNodeSubject } from '@leastwise/identity'
import { clientContextOptions } from '@leastwise/identity/node'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type {
  CrlAnswer,
  EvictionsAnswer,
  NodeAnswer,
  RoleAnswer,
  TaskAnswer,
} from '../../examples/orchestrator/operator/answers.ts'
import { rawCall, rawHttp2 } from '../support/swarm-raw.ts'
import { answerOf, type Manager, refusalCode, run, Sandbox, until, type WorkerProcess } from './cluster-processes.ts'
import { contentOfKeyFile } from './key-file-of-a-process.ts'

let sandbox: Sandbox
let manager: Manager
let worker: WorkerProcess
let leaving: WorkerProcess

beforeAll(async () => {
  sandbox = new Sandbox()
  manager = await sandbox.manager()
  worker = await sandbox.worker(manager, 'worker')
})
afterAll(async () => {
  await sandbox[Symbol.asyncDispose]()
})

const nodeOf = async (id: string): Promise<NodeAnswer | undefined> =>
  (await manager.call<readonly NodeAnswer[]>('node/ls')).find((node) => node.id === id)
const evictions = async (): Promise<EvictionsAnswer> => await manager.call('node/evictions')
const credentialsIn = async (file: string) => {
  const { privateKey, certificateChain, trustBundle } = await contentOfKeyFile(file)
  const [leaf] = parseCertificateChain(certificateChain ?? '')
  return { identity: { privateKey, certificateChain: certificateChain ?? '', trustBundle }, leaf: leaf! }
}
const keyFile = (): string => join(worker.data, 'node.key')

/** What the manager answers to an empty call with these credentials. */
async function answerTo(file: string, method: string): Promise<string | null> {
  const { identity } = await credentialsIn(file)
  const session = await rawHttp2(Number(manager.address.split(':')[1]), clientContextOptions(identity))
  session.on('error', () => undefined)
  try {
    const { code } = await rawCall(session, method, new Uint8Array())
    return code
  } finally {
    const closed = once(session, 'close')
    session.destroy()
    await closed
  }
}

/** Changes the role of a node, and keeps the credentials that it had before. */
async function change(command: 'demote' | 'promote', role: string): Promise<string> {
  const { leaf } = await credentialsIn(keyFile())
  copyFileSync(keyFile(), sandbox.path(`before-${command}`))
  const answer = answerOf<RoleAnswer>(await manager.operate(['node', command, worker.nodeId.slice(0, 8)]))
  expect(answer).toMatchObject({ id: worker.nodeId, role })
  return leaf.serial
}

/** The node has renewed because it was told to, and is in a session again. */
async function isBack(role: string): Promise<void> {
  await until(`a ${role} that is ready`, async () => {
    const node = await nodeOf(worker.nodeId)
    return node?.role === role && node.state === 'ready' && node.certificate === 'issued'
  })
  await until('its certificate is kept', async () => {
    const { leaf } = await credentialsIn(keyFile())
    return parseNodeSubject(leaf.subject).role === role
  })
}

describe('a change of role', () => {
  it('gives the node a certificate of its new role, and refuses the old one', async () => {
    const before = await change('promote', 'manager')
    await isBack('manager')
    await worker.process.wait('renewed')
    expect(worker.process.events.filter(({ reason }) => reason === 'asked')).toHaveLength(1)
    const { leaf } = await credentialsIn(keyFile())
    expect(parseNodeSubject(leaf.subject).role).toBe('manager')
    expect(await nodeOf(worker.nodeId)).toMatchObject({ role: 'manager', serial: leaf.serial })
    const old = sandbox.path('before-promote')
    expect(await answerTo(old, 'Dispatcher/Assignments')).toBe('PEER_WRONG_ROLE')
    expect(await answerTo(old, 'Dispatcher/UpdateTaskStatus')).toBe('PEER_WRONG_ROLE')
    expect(await answerTo(keyFile(), 'Dispatcher/Assignments')).toBe('REQUEST_MALFORMED')
    expect((await evictions()).certificates).toMatchObject([{ serial: before, reason: 'affiliation-changed' }])
  })

  it('lets a promoted agent go on with what it does, and places nothing new on it', async () => {
    const task = ['task', 'run', '--node', worker.nodeId, '--', 'true']
    expect(refusalCode(await manager.operate(task))).toBe('NOT_FOUND')
  })

  it('goes back at once: the certificate of a manager is worth nothing after it', async () => {
    const before = await change('demote', 'worker')
    const old = sandbox.path('before-demote')
    expect(await answerTo(old, 'Dispatcher/Assignments')).toBe('PEER_WRONG_ROLE')
    // The role is right again and the certificate is not: it is from before the changes.
    expect(await answerTo(sandbox.path('before-promote'), 'Dispatcher/Assignments')).toBe('PEER_ROLE_STALE')
    expect((await evictions()).certificates.map(({ serial }) => serial)).toContain(before)
  })

  it('is nothing when the node has the role already', async () => {
    const { certificates } = await evictions()
    answerOf(await manager.operate(['node', 'demote', worker.nodeId]))
    expect((await evictions()).certificates).toEqual(certificates)
  })

  it('is refused for the last manager, for oneself and for nobody', async () => {
    expect(refusalCode(await manager.operate(['node', 'demote', manager.nodeId]))).toBe('LAST_MANAGER')
    expect(refusalCode(await manager.operate(['node', 'promote', 'nobody']))).toBe('NOT_FOUND')
    const other = await sandbox.worker(manager, 'other')
    answerOf(await manager.operate(['node', 'promote', other.nodeId]))
    await until('it has a certificate', async () => (await nodeOf(other.nodeId))?.certificate === 'issued')
    expect(refusalCode(await manager.operate(['node', 'demote', manager.nodeId]))).toBe('NODE_IS_THIS_MANAGER')
    expect(await nodeOf(manager.nodeId)).toMatchObject({ role: 'manager', certificate: 'issued' })
    leaving = other
  })
})

describe('the list of certificates that are refused', () => {
  it('holds what the evictions say, has a number of its own, and outlives a restart', async () => {
    const { certificates } = await evictions()
    const crl = await manager.call<CrlAnswer>('cluster/crl')
    expect(crl.entries).toBe(certificates.length)
    expect(crl.nextUpdate - Date.now()).toBeLessThanOrEqual(86_400_000)
    const { serial } = (await nodeOf(leaving.nodeId))!
    await manager.call('node/rm', { node: leaving.nodeId })
    await leaving.process.ended
    const after = await evictions()
    expect(after.nodes.at(-1)).toMatchObject({ id: leaving.nodeId, reason: 'removed by the operator' })
    // In the order of their seconds, which two of them may share.
    const serials = [...certificates.map((each) => each.serial), serial]
    expect(after.certificates.map((each) => each.serial).toSorted()).toEqual(serials.toSorted())

    await manager.process.kill('SIGTERM')
    manager = await sandbox.manager('manager')
    expect(await evictions()).toEqual(after)
    const next = await manager.call<CrlAnswer>('cluster/crl', { lifeMs: 3_600_000 })
    expect(next.number).toBeGreaterThan(crl.number)
    expect(next.entries).toBe(crl.entries + 1)
    expect(next.nextUpdate).toBeLessThan(crl.nextUpdate)

    const many = await Promise.all(Array.from({ length: 8 }, async () => await manager.call<CrlAnswer>('cluster/crl')))
    expect(new Set([next, ...many].map(({ number }) => number)).size).toBe(9)
  })

  it('is printed as PEM, and the evictions as a table', async () => {
    const shown = async (...words: readonly string[]): Promise<string> =>
      answerOf(await run([...words, '--data', manager.data]), (text) => text)
    expect(await shown('cluster', 'crl', '--valid', '2h')).toMatch(
      /^-----BEGIN X509 CRL-----\n[\s\S]+-----END X509 CRL-----\n$/,
    )
    expect(await shown('node', 'evictions')).toMatch(new RegExp(`^${leaving.nodeId} +removed by the operator `, 'm'))
    expect(refusalCode(await manager.operate(['cluster', 'crl', '--valid', 'soon']))).toBe('USAGE')
  })
})

describe('a node whose role was changed while it was away', () => {
  it('learns it when it comes back, and has tasks again', async () => {
    await worker.process.kill('SIGTERM')
    worker = await sandbox.worker(manager, 'worker', { token: null })
    await isBack('worker')
    const task = ['task', 'run', '--node', worker.nodeId, '--', 'true']
    const { id } = answerOf<TaskAnswer>(await manager.operate(task))
    await until('the task is done', async () => {
      const tasks = await manager.call<readonly TaskAnswer[]>('task/ls')
      return tasks.find((each) => each.id === id)?.exitCode === 0
    })
  })
})
