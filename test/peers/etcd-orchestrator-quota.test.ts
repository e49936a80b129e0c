import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { etcdClient } from '@leastwise/raftlog-etcd/node'
import { expect, it } from 'vitest'
import { type EtcdMembers, startEtcd } from '../../examples/demo/etcd-members.ts'
import type { SecretAnswer, StatusAnswer } from '../../examples/orchestrator/operator/answers.ts'
import { type Manager, refusalCode, run, Sandbox } from '../orchestrator/cluster-processes.ts'
import { describePeer, needs, program } from './support/needs.ts'

const MIB = 1024 * 1024
/** Of one member alone: when its disk is full, all of them refuse. */
const QUOTA_BYTES = 8 * MIB
const SECRET_BYTES = 150 * 1024

const option = ({ managerArguments }: EtcdMembers, name: string): string =>
  managerArguments[managerArguments.indexOf(`--${name}`) + 1] ?? ''

const secretNames = async (manager: Manager): Promise<readonly string[]> =>
  (await manager.call<readonly SecretAnswer[]>('secret/ls')).map(({ name }) => name).toSorted()

/** What else lives in this etcd: one key that is written again and again, so that its history takes the room. */
async function fillByNeighbour(etcd: EtcdMembers, times: number): Promise<void> {
  const read = (name: string): string => readFileSync(option(etcd, name), 'utf8')
  await using client = etcdClient({
    endpoints: option(etcd, 'etcd').split(','),
    tls: {
      ...{ trustBundle: read('etcd-ca'), certificateChain: read('etcd-cert'), privateKey: read('etcd-key') },
      serverName: option(etcd, 'etcd-name'),
    },
  })
  const { signal } = new AbortController()
  for (let nth = 0; nth < times; nth += 1) {
    const put = { kind: 'put', key: '/neighbour', value: randomBytes(MIB) } as const
    await client.txn({ compare: [], success: [put] }, { signal })
  }
}

/** What an operator does about a full quota. */
function makeRoom(etcd: EtcdMembers): void {
  const how = [
    ...[`--cacert=${option(etcd, 'etcd-ca')}`, `--cert=${option(etcd, 'etcd-cert')}`],
    // On loopback; etcdctl cannot be told by which name it should know a member.
    ...[`--key=${option(etcd, 'etcd-key')}`, '--insecure-skip-tls-verify', `--endpoints=${option(etcd, 'etcd')}`],
  ]
  const etcdctl = (...words: readonly string[]): string => {
    const done = spawnSync(program('etcdctl'), [...how, ...words], {
      encoding: 'utf8',
      env: { ...process.env, ETCDCTL_API: '3' },
    })
    if (done.status !== 0) throw new Error(`etcdctl ${words.join(' ')}: ${done.stderr}`)
    return done.stdout
  }
  expect(etcdctl('alarm', 'list')).toContain('NOSPACE')
  const [{ Status }] = JSON.parse(etcdctl('endpoint', 'status', '-w=json')) as [
    { Status: { header: { revision: number } } },
  ]
  etcdctl('compact', '--physical', String(Status.header.revision))
  etcdctl('defrag')
  etcdctl('alarm', 'disarm')
  expect(etcdctl('alarm', 'list')).toBe('')
}

describePeer('three managers over an etcd of which one member has little room', needs('etcd', 'etcdctl'), () => {
  it('stay ready when it is full, answer, and go on when there is room: nothing acknowledged is lost', {
    timeout: 90_000,
  }, async () => {
    await using sandbox = new Sandbox()
    const etcd = await startEtcd(sandbox.directory, (member) =>
      member === 1 ? [`--quota-backend-bytes=${QUOTA_BYTES}`] : [],
    )
    try {
      const more = etcd.managerArguments
      const first = await sandbox.manager('m1', '127.0.0.1:0', { more })
      await first.process.wait('leading')
      const join = ['--join', first.address, '--token-file', sandbox.tokenFile(first.managerToken)]
      const second = await sandbox.manager('m2', '127.0.0.1:0', { more: [...more, ...join] })
      const third = await sandbox.manager('m3', '127.0.0.1:0', { more: [...more, ...join] })
      const managers = [first, second, third]
      await fillByNeighbour(etcd, 4)

      // All of them write at once, until each is told that there is no room.
      const acknowledged: string[] = []
      const refused: string[] = []
      await Promise.all(
        managers.map(async (manager, who) => {
          for (let nth = 0; nth < 20; nth += 1) {
            const name = `s${who}-${nth}`
            try {
              await manager.call('secret/create', randomBytes(SECRET_BYTES), { name, labels: '{}' })
              acknowledged.push(name)
            } catch (error) {
              expect(error).toMatchObject({ code: 'ETCD_FULL' })
              refused.push(name)
              return
            }
          }
        }),
      )
      expect(refused).toHaveLength(managers.length)
      expect(acknowledged.length).toBeGreaterThan(3)
      // What an operator sees is the code, and a line that says what to do.
      const told = await run(['secret', 'create', 'x', '--data', second.data, '--json'], { input: 'small' })
      expect(refusalCode(told)).toBe('ETCD_FULL')
      for (const manager of managers) {
        expect(await manager.call<StatusAnswer>('status')).toMatchObject({ state: 'ready' })
        expect(await secretNames(manager)).toEqual(acknowledged.toSorted())
      }

      // The one that leads goes as well. Who follows it cannot be settled before there is room, and the others wait for that.
      await first.process.kill('SIGKILL')
      expect(await secretNames(third)).toEqual(acknowledged.toSorted())
      makeRoom(etcd)
      await Promise.any([second, third].map(async ({ process: one }) => await one.wait('leading')))
      for (const manager of [second, third]) {
        const name = `after-${manager.nodeId}`
        await manager.call('secret/create', randomBytes(SECRET_BYTES), { name, labels: '{}' })
        acknowledged.push(name)
      }
      const back = await sandbox.manager('m1', first.address, { more })
      for (const manager of [back, second, third]) expect(await secretNames(manager)).toEqual(acknowledged.toSorted())
    } finally {
      await etcd.close()
    }
  })
})
