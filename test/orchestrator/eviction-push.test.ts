import { copyFileSync, existsSync, writeFileSync } from 'node:fs'
import { get } from 'node:https'
import { join } from 'node:path'
import { connect, type TLSSocket } from 'node:tls'
import { clientContextOptions } from '@leastwise/identity/node'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { EvictionsAnswer, NodeAnswer } from '../../examples/orchestrator/operator/answers.ts'
import { answerOf, type Manager, Sandbox, until, type WorkerProcess } from './cluster-processes.ts'
import { contentOfKeyFile } from './key-file-of-a-process.ts'

const SERVE = ['--serve', '127.0.0.1:0']
const DAY_MS = 86_400_000

let sandbox: Sandbox
let manager: Manager
let service: WorkerProcess
let leaving: WorkerProcess
let other: WorkerProcess

beforeAll(async () => {
  sandbox = new Sandbox()
  manager = await sandbox.manager()
  service = await sandbox.worker(manager, 'service', { more: SERVE })
  leaving = await sandbox.worker(manager, 'leaving')
  other = await sandbox.worker(manager, 'other')
})
afterAll(async () => {
  await sandbox[Symbol.asyncDispose]()
})

/** A connection from one worker to the service of the other, under its own identity and with no manager in between. */
async function reach(keyFile: string): Promise<TLSSocket> {
  const { privateKey, certificateChain, trustBundle } = await contentOfKeyFile(keyFile)
  const { address } = await service.process.wait('serving')
  const socket = connect({
    ...clientContextOptions({ privateKey, certificateChain: certificateChain ?? '', trustBundle }),
    host: '127.0.0.1',
    port: Number(String(address).split(':')[1]),
    servername: 'swarm-worker',
    ALPNProtocols: ['http/1.1'],
  })
  socket.on('error', () => undefined)
  await new Promise((resolve) => socket.once('secureConnect', resolve).once('close', resolve))
  return socket
}

/** What the service answers on that connection; null when there is nobody. */
const ask = async (socket: TLSSocket): Promise<unknown> =>
  await new Promise((resolve) => {
    if (socket.destroyed) {
      resolve(null)
      return
    }
    const request = get({ createConnection: () => socket, headers: { connection: 'keep-alive' } }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part
      })
      response.once('end', () => {
        resolve(JSON.parse(text))
      })
    })
    request.once('error', () => {
      resolve(null)
    })
  })
const keyOf = (worker: WorkerProcess): string => join(worker.data, 'node.key')
const refusals = (): readonly unknown[] =>
  service.process.events.filter(({ event }) => event === 'peer-refused').map(({ code }) => code)
const refusedTimes = async (count: number): Promise<void> => {
  await until(`${count} refusals are told`, () => Promise.resolve(refusals().length >= count))
}

describe('workers that talk to each other', () => {
  it('have the evictions of their cluster from the first moment on', async () => {
    const { sequence, validUntil } = await service.process.wait('evictions')
    expect(sequence).toBe(0)
    expect(Number(validUntil) - Date.now()).toBeGreaterThan(DAY_MS - 60_000)
    expect(await ask(await reach(keyOf(leaving)))).toEqual({ nodeId: leaving.nodeId, role: 'worker' })
  })

  it('cut an evicted one off at once, and let it in no more', async () => {
    const kept = sandbox.path('kept.key')
    copyFileSync(keyOf(leaving), kept)
    const open = await reach(kept)
    const gone = new Promise((resolve) => open.once('close', resolve))
    const before = performance.now()
    await manager.call('node/rm', { node: leaving.nodeId })
    await gone
    expect(performance.now() - before).toBeLessThan(1000)
    expect(await ask(await reach(kept))).toBe(null)
    // It is said on standard output, which the end of the connection may overtake.
    await refusedTimes(1)
    expect(refusals()).toEqual(['PEER_EVICTED'])
    expect(await ask(await reach(keyOf(other)))).toEqual({ nodeId: other.nodeId, role: 'worker' })
    await service.process.wait('evictions', ({ sequence }) => sequence === 1)
    // It takes along what it has heard, as well as its key.
    await leaving.process.ended
    expect(existsSync(join(leaving.data, 'evictions'))).toBe(false)
  })

  it('refuse the certificate of a role that was taken away, and take the new one', async () => {
    const before = sandbox.path('before.key')
    copyFileSync(keyOf(other), before)
    answerOf(await manager.operate(['node', 'promote', other.nodeId]))
    await until('it is a manager', async () => {
      const nodes = await manager.call<readonly NodeAnswer[]>('node/ls')
      return nodes.some(
        ({ id, role, certificate }) => id === other.nodeId && role === 'manager' && certificate === 'issued',
      )
    })
    await service.process.wait('evictions', ({ sequence }) => sequence === 2)
    expect(await ask(await reach(before))).toBe(null)
    await refusedTimes(2)
    expect(refusals().at(-1)).toBe('PEER_EVICTED')
    await until('it has its new certificate', async () => {
      const answer = await ask(await reach(keyOf(other)))
      return JSON.stringify(answer) === JSON.stringify({ nodeId: other.nodeId, role: 'manager' })
    })
    answerOf(await manager.operate(['node', 'demote', other.nodeId]))
    await service.process.wait('evictions', ({ sequence }) => sequence === 3)
  })

  it('remember it over a restart, while no manager can be reached', async () => {
    await service.process.kill('SIGTERM')
    await manager.process.kill('SIGTERM')
    // Not over its session, which there is none of.
    const words = ['worker', '--data', service.data, '--join', manager.address, ...SERVE]
    service = { ...service, process: sandbox.start(words) }
    await service.process.wait('serving')
    expect(await ask(await reach(sandbox.path('kept.key')))).toBe(null)
    // It is said on standard output, which the end of the connection may overtake.
    await refusedTimes(1)
    expect(refusals()).toEqual(['PEER_EVICTED'])
    await service.process.wait('disconnected')
    expect(service.process.events.some(({ event }) => event === 'evictions')).toBe(false)
  })

  it('let nobody in when what they had heard is damaged, until a manager is there again', async () => {
    await service.process.kill('SIGTERM')
    writeFileSync(join(service.data, 'evictions'), 'nothing of the kind', { mode: 0o600 })
    service = {
      ...service,
      process: sandbox.start(['worker', '--data', service.data, '--join', manager.address, ...SERVE]),
    }
    expect(await service.process.wait('evictions-lost')).toMatchObject({ code: 'EVICTION_FILE_MALFORMED' })
    await service.process.wait('serving')
    expect(await ask(await reach(keyOf(other)))).toBe(null)
    await refusedTimes(1)
    expect(refusals()).toEqual(['EVICTIONS_STALE'])
    manager = await sandbox.manager('manager', manager.address)
    await service.process.wait('evictions', ({ sequence }) => sequence === 3)
    expect(await ask(await reach(sandbox.path('kept.key')))).toBe(null)
    await refusedTimes(2)
    expect(refusals().at(-1)).toBe('PEER_EVICTED')
    expect((await manager.call<EvictionsAnswer>('node/evictions')).nodes).toMatchObject([{ id: leaving.nodeId }])
  })
})
