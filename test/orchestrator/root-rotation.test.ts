import { join } from 'node:path'
import { parseCertificate, parseCertificateChain, parseTrustBundle } from '@leastwise/identity'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { CaAnswer, NewTokenAnswer, RootAnswer } from '../../examples/orchestrator/operator/answers.ts'
import { answerOf, type Manager, refusalCode, Sandbox, until, type WorkerProcess } from './cluster-processes.ts'
import { contentOfKeyFile } from './key-file-of-a-process.ts'

let sandbox: Sandbox
let manager: Manager
const workers: WorkerProcess[] = []

beforeAll(async () => {
  sandbox = new Sandbox()
  manager = await sandbox.manager()
})
afterAll(async () => {
  await sandbox[Symbol.asyncDispose]()
})

const root = async (...args: readonly string[]): Promise<RootAnswer> =>
  await answerOf(await manager.operate(['root', ...args]))
const ca = async (): Promise<CaAnswer> => await manager.call('ca/info')
const phase = async (wanted: RootAnswer['phase']): Promise<RootAnswer> =>
  await until(`the rotation is ${wanted}`, async () => {
    const now = await root('status')
    return now.phase === wanted && now
  })
const kept = async (data: string) => {
  const content = await contentOfKeyFile(join(data, 'node.key'))
  return {
    leaf: parseCertificateChain(content.certificateChain ?? '')[0]!,
    roots: parseTrustBundle(content.trustBundle).roots,
  }
}

describe('the root of a cluster', () => {
  it('is changed by one command: all nodes come over, and tokens of both roots are good for a while', async () => {
    const before = await ca()
    const worker = await sandbox.worker(manager, 'one')
    workers.push(worker)
    expect(await root('status')).toMatchObject({ phase: 'idle', affected: 2, abort: 'free' })
    await root('rotate', '--token-overlap', '1h')
    expect(await phase('finishing')).toMatchObject({ converged: 2, remaining: 0, abort: 'too-late' })
    const after = await ca()
    expect(after.subject).toBe('CN=swarm-ca-2')
    const next = parseCertificate(after.certificate)
    const own = await until('the worker trusts the new root alone', async () => {
      const now = await kept(worker.data)
      return now.roots.length === 1 && now.roots[0]!.pem === next.pem && now
    })
    expect(own.leaf.authorityKeyId).toEqual(next.subjectKeyId)

    // The token of the first start carries the digest of the old root, a new one that of the new root.
    // Lists of evictions verified all along: with the old root, with both, and with the new one.
    expect(worker.process.events.filter(({ event }) => event === 'evictions').length).toBeGreaterThan(1)
    expect(worker.process.events.filter(({ event }) => event === 'evictions-refused')).toEqual([])
    workers.push(await sandbox.worker(manager, 'two'))
    const fresh = answerOf<NewTokenAnswer>(await manager.operate(['token', 'create', 'worker']))
    workers.push(await sandbox.worker(manager, 'three', { token: fresh.token }))
    expect(after.trustDigest).not.toBe(before.trustDigest)
    expect(refusalCode(await manager.operate(['root', 'abort']))).toBe('ROTATION_PHASE')
  })

  it('waits for a node that is away, says so, and goes back when told to', async () => {
    const before = await ca()
    const sleeper = workers[0]!
    await sleeper.process.kill('SIGTERM')
    await root('rotate')
    const waiting = await until('all others have come over', async () => {
      const now = await root('status')
      return now.phase === 'reissuing' && now.remaining === 1 && now
    })
    expect(waiting).toMatchObject({ etaMs: null, abort: 'reverts' })
    expect(waiting.stragglers).toMatchObject([{ nodeId: sleeper.nodeId, reason: 'offline' }])
    expect(waiting.blockers).toContainEqual(
      expect.objectContaining({ code: 'dead-nodes', fatal: true, nodes: [sleeper.nodeId] }),
    )
    expect(await root('abort')).toMatchObject({ phase: 'reverting' })
    const woken = sandbox.start(['worker', '--data', sleeper.data, '--join', manager.address])
    await woken.wait('session')
    await phase('idle')
    expect(await ca()).toEqual(before)
    for (const { data } of workers) {
      const own = await until('the worker is back', async () => {
        const now = await kept(data)
        return now.roots.length === 1 && now
      })
      expect(own.roots[0]!.pem).toBe(before.certificate)
      expect(own.leaf.authorityKeyId).toEqual(own.roots[0]!.subjectKeyId)
    }
  })
})
