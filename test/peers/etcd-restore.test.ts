import { mkdirSync, rmSync } from 'node:fs'
import { expect, it } from 'vitest'
import { startEtcd } from '../../examples/demo/etcd-members.ts'
import type { AutolockAnswer, NewTokenAnswer, SecretAnswer } from '../../examples/orchestrator/operator/answers.ts'
import { answerOf, refusalCode, run, Sandbox, until } from '../orchestrator/cluster-processes.ts'
import { describePeer, needs } from './support/needs.ts'

describePeer('a backup of a cluster whose etcd is lost', needs('etcd'), () => {
  it('becomes a cluster in a new etcd by one manager, which others join', { timeout: 90_000 }, async () => {
    await using sandbox = new Sandbox()
    const lost = await startEtcd(sandbox.directory)
    const file = sandbox.path('cluster.backup')
    const first = await sandbox.manager('m1', '127.0.0.1:0', { more: lost.managerArguments })
    const join = ['--join', first.address, '--token-file', sandbox.tokenFile(first.managerToken)]
    const second = await sandbox.manager('m2', '127.0.0.1:0', { more: [...lost.managerArguments, ...join] })
    const worker = await sandbox.worker(first, 'w1')
    await second.call('secret/create', new Uint8Array([1]), { name: 'kept', labels: '{}' })
    const { unlockKey = '' } = answerOf<AutolockAnswer>(await first.operate(['autolock', 'on']))
    answerOf(await first.operate(['backup', file]))
    for (const { process: one } of [first, second]) await one.kill('SIGKILL')
    await lost.close()
    rmSync(first.data, { recursive: true })

    const place = sandbox.path('new')
    mkdirSync(place, { mode: 0o700 })
    const etcd = await startEtcd(place)
    try {
      const data = sandbox.path('restored')
      const more = etcd.managerArguments
      const restore = (into: string) => run(['restore', file, '--data', into, '--json', ...more], { input: unlockKey })
      expect(answerOf(await restore(data))).toMatchObject({ nodeId: first.nodeId })
      // The cluster is there once: no second restore, and no founding beside it.
      expect(refusalCode(await restore(sandbox.path('twice')))).toBe('CLUSTER_EXISTS')
      const founding = ['manager', '--data', sandbox.path('other'), '--listen', '127.0.0.1:0', '--json', ...more]
      expect((await run(founding)).stderr).toContain('CLUSTER_EXISTS')

      const restored = sandbox.start(['manager', '--data', data, '--listen', first.address, ...more])
      await restored.wait('locked')
      const on = ['--data', data, '--json']
      answerOf(await run(['unlock', ...on], { input: unlockKey }))
      await restored.wait('leading')
      const names = async (): Promise<readonly string[]> =>
        answerOf<readonly SecretAnswer[]>(await run(['secret', 'ls', ...on])).map(({ name }) => name)
      expect(await names()).toEqual(['kept'])
      // The worker finds the manager that it knew.
      await until('a second session', () => worker.process.events.filter(({ event }) => event === 'session').length > 1)

      // A manager of before has its part in the old log, which is gone; it comes back as a new node.
      const stale = ['manager', '--data', second.data, '--listen', '127.0.0.1:0', '--json', ...more]
      expect((await run(stale)).stderr).toContain('MEMBER_UNKNOWN')
      answerOf(await run(['node', 'rm', second.nodeId, ...on]))
      const { token } = answerOf<NewTokenAnswer>(await run(['token', 'create', 'manager', ...on]))
      const again = ['--join', first.address, '--token-file', sandbox.tokenFile(token)]
      const third = await sandbox.manager('m3', '127.0.0.1:0', { more: [...more, ...again] })
      await third.call('secret/create', new Uint8Array([1]), { name: 'later', labels: '{}' })
      expect((await names()).toSorted()).toEqual(['kept', 'later'])
    } finally {
      await etcd.close()
    }
  })
})
