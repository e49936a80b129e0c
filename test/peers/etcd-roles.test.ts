import { expect, it } from 'vitest'
import { startEtcd } from '../../examples/demo/etcd-members.ts'
import type { NodeAnswer, SecretAnswer } from '../../examples/orchestrator/operator/answers.ts'
import { type Manager, run, Sandbox, until } from '../orchestrator/cluster-processes.ts'
import { describePeer, needs } from './support/needs.ts'

const TEST_MS = 90_000

const createSecret = async (manager: Manager, name: string): Promise<void> => {
  await manager.call('secret/create', new Uint8Array([1, 2, 3]), { name, labels: '{}' })
}
const secretNames = async (manager: Manager): Promise<readonly string[]> =>
  (await manager.call<readonly SecretAnswer[]>('secret/ls')).map(({ name }) => name).toSorted()
const managersOf = async (manager: Manager): Promise<readonly string[]> =>
  (await manager.call<readonly NodeAnswer[]>('node/ls')).filter(({ role }) => role === 'manager').map(({ id }) => id)

describePeer('evicting through one of several managers', needs('etcd'), () => {
  it('reaches the nodes of all of them, and never the last manager', { timeout: TEST_MS }, async () => {
    await using sandbox = new Sandbox()
    const etcd = await startEtcd(sandbox.directory)
    try {
      const more = etcd.managerArguments
      const first = await sandbox.manager('m1', '127.0.0.1:0', { more })
      await first.process.wait('leading')
      const worker = await sandbox.worker(first, 'worker')
      const leaving = await sandbox.worker(first, 'leaving')
      const join = ['--join', first.address, '--token-file', sandbox.tokenFile(first.managerToken)]
      const second = await sandbox.manager('m2', '127.0.0.1:0', { more: [...more, ...join] })
      await second.call('node/rm', { node: leaving.nodeId })
      const heard = await worker.process.wait('evictions', ({ sequence }) => sequence === 1)
      // The node and its certificate.
      expect(heard).toMatchObject({ evictions: 2 })
      expect(worker.process.events.filter(({ event }) => event === 'disconnected')).toEqual([])

      const settled = await Promise.allSettled([
        first.call('node/rm', { node: second.nodeId }),
        second.call('node/rm', { node: first.nodeId }),
      ])
      expect(settled.filter(({ status }) => status === 'fulfilled').length).toBeGreaterThan(0)
      const loser = await Promise.race([first, second].map(async (each) => (await each.process.ended, each)))
      const winner = loser === first ? second : first
      expect(await managersOf(winner)).toEqual([winner.nodeId])
    } finally {
      await etcd.close()
    }
  })
})

describePeer('demoting managers that share a log in etcd', needs('etcd'), () => {
  it('takes the log from them, and leaves one when two demote each other', { timeout: TEST_MS }, async () => {
    await using sandbox = new Sandbox()
    const etcd = await startEtcd(sandbox.directory)
    try {
      const more = etcd.managerArguments
      const first = await sandbox.manager('m1', '127.0.0.1:0', { more })
      await first.process.wait('leading')
      const join = ['--join', first.address, '--token-file', sandbox.tokenFile(first.managerToken)]
      const second = await sandbox.manager('m2', '127.0.0.1:0', { more: [...more, ...join] })
      const third = await sandbox.manager('m3', '127.0.0.1:0', { more: [...more, ...join] })

      await first.call('node/demote', { node: third.nodeId })
      const { code, stderr } = await third.process.ended
      expect(code).toBe(1)
      expect(stderr).toMatch(/NODE_DEMOTED|MEMBER_UNKNOWN/)
      const again = await run(['manager', '--data', third.data, '--listen', '127.0.0.1:0', '--json', ...more])
      expect([again.code, again.stderr]).toEqual([1, expect.stringMatching(/MEMBER_UNKNOWN/)])
      await createSecret(second, 'after')
      await until('the secret at the first', async () => (await secretNames(first)).includes('after'))
      expect((await managersOf(first)).toSorted()).toEqual([first.nodeId, second.nodeId].toSorted())

      await Promise.allSettled([
        first.call('node/demote', { node: second.nodeId }),
        second.call('node/demote', { node: first.nodeId }),
      ])
      const loser = await Promise.race([first, second].map(async (each) => (await each.process.ended, each)))
      const winner = loser === first ? second : first
      expect(await managersOf(winner)).toEqual([winner.nodeId])
      await createSecret(winner, 'last')
      expect(await secretNames(winner)).toEqual(['after', 'last'])
    } finally {
      await etcd.close()
    }
  })
})
