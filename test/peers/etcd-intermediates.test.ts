import { writeFileSync } from 'node:fs'
import { managerOfIntermediate, parseCertificate } from '@leastwise/identity'
import { expect, it } from 'vitest'
import { startEtcd } from '../../examples/demo/etcd-members.ts'
import type {
  CaAnswer,
  EvictionsAnswer,
  IssuerAnswer,
  RootAnswer,
} from '../../examples/orchestrator/operator/answers.ts'
import { type Manager, refusalCode, Sandbox, until } from '../orchestrator/cluster-processes.ts'
import { credentialsIn, managerSays, serviceLetsIn, stealIssuer } from '../orchestrator/issuer-support.ts'
import { describePeer, needs } from './support/needs.ts'
import { lacksSoftHsm, softHsm } from './support/softhsm.ts'

const TEST_MS = 120_000
const PIN = 'marked-pin-4711'
const ISSUING = ['--issue-from', 'intermediate']

const isReady = async (manager: Manager): Promise<void> => {
  await manager.process.wait('intermediate')
}
/** Who has issued what lies on the disk of a worker. */
const issuerOf = async (data: string): Promise<string | null> => {
  const { chain } = await credentialsIn(data)
  return chain[1] === undefined ? null : managerOfIntermediate(chain[1])
}
const renewedBeyond = async (data: string, serial: string): Promise<void> => {
  await until('a new certificate', async () => (await credentialsIn(data)).chain[0]!.serial !== serial)
}

describePeer(
  'managers over etcd, one of which has a token with the key of the root',
  needs('etcd') ?? lacksSoftHsm(),
  () => {
    it('issue without it, and what a removed one has issued is refused and issued anew', {
      timeout: TEST_MS,
    }, async () => {
      await using sandbox = new Sandbox()
      using hsm = softHsm()
      hsm.addToken('root', PIN)
      const pin = sandbox.path('pin')
      writeFileSync(pin, PIN, { mode: 0o600 })
      const token = ['--hsm-library', hsm.library, '--hsm-token', 'root', '--hsm-key', 'root', '--hsm-pin-file', pin]
      const etcd = await startEtcd(sandbox.directory)
      try {
        const more = [...etcd.managerArguments, ...ISSUING]
        let first = await sandbox.manager('m1', '127.0.0.1:0', { more: [...more, ...token] })
        await first.process.wait('leading')
        const { managerToken, workerToken } = first
        const join = ['--join', first.address, '--token-file', sandbox.tokenFile(managerToken)]
        const second = await sandbox.manager('m2', '127.0.0.1:0', { more: [...more, ...join] })
        const third = await sandbox.manager('m3', '127.0.0.1:0', { more: [...more, ...join] })
        for (const each of [first, second, third]) await isReady(each)
        expect(await first.call<CaAnswer>('ca/info')).toMatchObject({ rootKey: 'hsm', issueFrom: 'intermediate' })
        expect(await second.call<CaAnswer>('ca/info')).toMatchObject({ rootKey: 'elsewhere' })
        expect(refusalCode(await second.operate(['root', 'rotate']))).toBe('ROOT_KEY_OUTSIDE')
        expect(refusalCode(await second.operate(['cluster', 'crl']))).toBe('ROOT_KEY_OUTSIDE')

        // The token is away, and nodes come and renew.
        await first.process.kill('SIGKILL')
        const worker = await sandbox.worker(second, 'w1', { token: workerToken })
        const service = await sandbox.worker(third, 'w2', { token: workerToken, more: ['--serve', '127.0.0.1:0'] })
        const serviceAt = String((await service.process.wait('serving'))['address'])
        expect([await issuerOf(worker.data), await issuerOf(service.data)]).toEqual([second.nodeId, third.nodeId])
        const before = await credentialsIn(worker.data)
        await second.call('node/renew', { node: worker.nodeId })
        await renewedBeyond(worker.data, before.chain[0]!.serial)
        const byThird = await sandbox.worker(third, 'w3', { token: workerToken })

        // It is back: what takes the root is done for the others, whichever is asked.
        first = await sandbox.manager('m1', first.address, { more: [...more, ...token] })
        await second.call('node/renew', { node: second.nodeId })
        const { chain: ownChain } = await credentialsIn(`${second.data}/state`)
        expect(ownChain).toHaveLength(1)

        // Until it is removed, whoever has the issuing key of a manager makes workers.
        const thief = await stealIssuer(second.data)
        const forged = await thief.leaf('swarm-worker', worker.nodeId)
        expect(await managerSays(third.address, forged, 'Dispatcher/Heartbeat')).not.toBe('cut')
        expect(await serviceLetsIn(serviceAt, forged)).toBe(true)
        const genuine = await credentialsIn(worker.data)

        await third.call('node/rm', { node: second.nodeId })
        await second.process.ended
        await service.process.wait('evictions', ({ evictions }) => Number(evictions) > 0)
        expect(await managerSays(third.address, forged, 'Dispatcher/Heartbeat')).toBe('cut')
        expect(await managerSays(first.address, forged, 'Dispatcher/Heartbeat')).toBe('cut')
        expect(await serviceLetsIn(serviceAt, forged)).toBe(false)
        await until(
          'it has its certificate from another one',
          async () => (await issuerOf(worker.data)) !== second.nodeId,
        )
        await until('it is in a session again', async () => {
          const nodes = await third.call<readonly { readonly id: string; readonly state: string }[]>('node/ls')
          return nodes.some(({ id, state }) => id === worker.nodeId && state === 'ready')
        })
        await until('it says that it was asked to', () => {
          const renewals = worker.process.events.filter(({ event }) => event === 'renewed')
          return renewals.at(-1)?.['reason'] === 'asked'
        })
        // The one that it replaces is worth nothing, with the key of the node neither.
        expect(await serviceLetsIn(serviceAt, genuine.identity)).toBe(false)
        expect(await managerSays(third.address, genuine.identity, 'Dispatcher/Heartbeat')).toBe('CALLER_ANONYMOUS')
        // What the others have issued is as it was.
        expect(byThird.process.events.filter(({ event }) => event === 'renewed')).toEqual([])
        const left = await third.call<readonly IssuerAnswer[]>('ca/issuers')
        expect(left.map(({ manager }) => manager).toSorted()).toEqual([first.nodeId, third.nodeId].toSorted())
        const { certificates } = await third.call<EvictionsAnswer>('node/evictions')
        expect(certificates.map(({ serial }) => serial)).toContain(thief.intermediate.serial)

        // A demoted one issues nothing either; here the node itself stays.
        const below = await stealIssuer(third.data)
        const forgedBelow = await below.leaf('swarm-worker', byThird.nodeId)
        await first.call('node/demote', { node: third.nodeId })
        await third.process.ended
        expect(await managerSays(first.address, forgedBelow, 'Dispatcher/Heartbeat')).toBe('cut')
        await until(
          'it has its certificate from the last one',
          async () => (await issuerOf(byThird.data)) === first.nodeId,
        )
      } finally {
        // First those who end what they began.
        await sandbox[Symbol.asyncDispose]()
        await etcd.close()
      }
    })

    it('get intermediates of the next root in the token, and their workers come over', {
      timeout: TEST_MS,
    }, async () => {
      await using sandbox = new Sandbox()
      using hsm = softHsm()
      hsm.addToken('rotating', PIN)
      const pin = sandbox.path('pin')
      writeFileSync(pin, PIN, { mode: 0o600 })
      const token = [
        '--hsm-library',
        hsm.library,
        '--hsm-token',
        'rotating',
        '--hsm-key',
        'root',
        '--hsm-pin-file',
        pin,
      ]
      const etcd = await startEtcd(sandbox.directory)
      try {
        const more = [...etcd.managerArguments, ...ISSUING]
        // The one with the token signs with the root itself.
        const first = await sandbox.manager('m1', '127.0.0.1:0', { more: [...etcd.managerArguments, ...token] })
        await first.process.wait('leading')
        const join = ['--join', first.address, '--token-file', sandbox.tokenFile(first.managerToken)]
        const second = await sandbox.manager('m2', '127.0.0.1:0', { more: [...more, ...join] })
        await isReady(second)
        const worker = await sandbox.worker(second, 'w1', { token: first.workerToken })
        const before = await credentialsIn(worker.data)
        expect(before.chain).toHaveLength(2)
        await first.call('root/rotate', {})
        await until('all have come over', async () => {
          const { phase } = await second.call<RootAnswer>('root/status')
          return phase === 'finishing'
        })
        const { chain } = await credentialsIn(worker.data)
        const root = parseCertificate((await second.call<CaAnswer>('ca/info')).certificate)
        // Signed by the second one from its new intermediate, or by the first one in its place.
        expect(chain.length).toBeGreaterThan(1)
        expect(chain.at(-1)!.publicKey).toEqual(root.publicKey)
        const next = await until('an intermediate of the new root', async () => {
          const [issuer] = await second.call<readonly IssuerAnswer[]>('ca/issuers')
          return issuer!.serial !== before.chain[1]!.serial && issuer!
        })
        const late = await sandbox.worker(second, 'w2', { token: first.workerToken })
        expect((await credentialsIn(late.data)).chain[1]!.serial).toBe(next.serial)
        expect((await credentialsIn(late.data)).chain).toHaveLength(3)
      } finally {
        // First those who end what they began.
        await sandbox[Symbol.asyncDispose]()
        await etcd.close()
      }
    })
  },
)
