import { join } from 'node:path'
import { parseCertificateChain, parseTrustBundle } from '@leastwise/identity'
import { expect, it } from 'vitest'
import { startEtcd } from '../../examples/demo/etcd-members.ts'
import type { CaAnswer, NodeAnswer, RootAnswer } from '../../examples/orchestrator/operator/answers.ts'
import { type Manager, Sandbox, until, type WorkerProcess } from '../orchestrator/cluster-processes.ts'
import { contentOfKeyFile } from '../orchestrator/key-file-of-a-process.ts'
import { describePeer, needs } from './support/needs.ts'

const TEST_MS = 90_000

const kept = async ({ data }: WorkerProcess) => {
  const content = await contentOfKeyFile(join(data, 'node.key'))
  return {
    leaf: parseCertificateChain(content.certificateChain ?? '')[0]!,
    roots: parseTrustBundle(content.trustBundle).roots.map(({ pem }) => pem),
  }
}
const status = async (manager: Manager): Promise<RootAnswer> => await manager.call<RootAnswer>('root/status')

describePeer('a rotation of the root, with three managers over etcd', needs('etcd'), () => {
  it('is carried on by the others when the manager that began it is killed in the middle', {
    timeout: TEST_MS,
  }, async () => {
    await using sandbox = new Sandbox()
    const etcd = await startEtcd(sandbox.directory)
    try {
      const more = etcd.managerArguments
      const first = await sandbox.manager('m1', '127.0.0.1:0', { more })
      await first.process.wait('leading')
      const joining = ['--join', first.address, '--token-file', sandbox.tokenFile(first.managerToken)]
      const second = await sandbox.manager('m2', '127.0.0.1:0', { more: [...more, ...joining] })
      const third = await sandbox.manager('m3', '127.0.0.1:0', { more: [...more, ...joining] })
      // One worker at each manager; the others hear of it.
      const token = { token: first.workerToken }
      const workers = [
        await sandbox.worker(first, 'w1', token),
        await sandbox.worker(second, 'w2', token),
        await sandbox.worker(third, 'w3', token),
      ]
      for (const manager of [first, second, third])
        await until('each manager knows of all nodes', async () => {
          const nodes = await manager.call<readonly NodeAnswer[]>('node/ls')
          return nodes.length === 6 && nodes.every(({ state }) => state === 'ready')
        })
      const before = (await first.call<CaAnswer>('ca/info')).certificate

      await first.call('root/rotate', {})
      await first.process.kill('SIGKILL')
      const waiting = await until('all but the dead manager have come over', async () => {
        const now = await status(second)
        return now.phase === 'reissuing' && now.remaining === 1 && now.stragglers[0]?.reason === 'offline' && now
      })
      expect(waiting.stragglers).toMatchObject([{ nodeId: first.nodeId, reason: 'offline' }])
      for (const worker of workers) {
        const { roots } = await kept(worker)
        expect(roots).toHaveLength(2)
        expect(roots).toContain(before)
      }

      // It will not come back: whoever removes it lets the rotation end.
      await third.call('node/rm', { node: first.nodeId })
      await until('the rotation is finishing', async () => (await status(third)).phase === 'finishing')
      const after = (await second.call<CaAnswer>('ca/info')).certificate
      expect(after).not.toBe(before)
      for (const worker of workers) {
        const now = await until('the worker trusts the new root alone', async () => {
          const own = await kept(worker)
          return own.roots.length === 1 && own
        })
        expect(now.roots).toEqual([after])
      }
      const nodes = await third.call<readonly NodeAnswer[]>('node/ls')
      expect(nodes.map(({ id }) => id).toSorted()).toEqual(
        [second.nodeId, third.nodeId, ...workers.map(({ nodeId }) => nodeId)].toSorted(),
      )
    } finally {
      await etcd.close()
    }
  })
})
