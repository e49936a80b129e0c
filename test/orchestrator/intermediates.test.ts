import { managerOfIntermediate, parseCertificate, verifyPeer } from '@leastwise/identity'
import { systemVerifier } from '@leastwise/identity/node'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { CaAnswer, IssuerAnswer, NodeAnswer, RootAnswer } from '../../examples/orchestrator/operator/answers.ts'
import { answerOf, type Manager, refusalCode, run, Sandbox, until, type WorkerProcess } from './cluster-processes.ts'
import { credentialsIn, managerSays, serviceLetsIn, stealIssuer } from './issuer-support.ts'

const FROM_INTERMEDIATE = ['--issue-from', 'intermediate']
const DAY_MS = 86_400_000

let sandbox: Sandbox
let manager: Manager
let worker: WorkerProcess
let service: string

beforeAll(async () => {
  sandbox = new Sandbox()
  manager = await sandbox.manager('manager', '127.0.0.1:0', { more: FROM_INTERMEDIATE })
  worker = await sandbox.worker(manager, 'worker', { more: ['--serve', '127.0.0.1:0'] })
  service = String((await worker.process.wait('serving'))['address'])
})
afterAll(async () => {
  await sandbox[Symbol.asyncDispose]()
})

const ca = async (): Promise<CaAnswer> => await manager.call('ca/info')
const issuers = async (): Promise<readonly IssuerAnswer[]> =>
  answerOf<readonly IssuerAnswer[]>(await manager.operate(['ca', 'issuers']))
const nodes = async (): Promise<readonly NodeAnswer[]> => await manager.call('node/ls')
const proven = async (data: string) => {
  const { chain } = await credentialsIn(data)
  const { clusterId, certificate } = await ca()
  const roots = [parseCertificate(certificate)]
  const trust = { roots, now: Date.now(), clusterId: clusterId as never, verifier: systemVerifier }
  return { chain, peer: await verifyPeer(chain, trust) }
}

describe('a manager that issues from an intermediate of its own', () => {
  it('gives workers leaf and intermediate, and has its own certificate from the root', async () => {
    const { chain, peer } = await proven(worker.data)
    expect(chain).toHaveLength(2)
    expect(managerOfIntermediate(chain[1]!)).toBe(manager.nodeId)
    expect(peer).toMatchObject({ nodeId: worker.nodeId, role: 'worker' })
    expect(chain[0]!.notAfter).toBeLessThanOrEqual(chain[1]!.notAfter)
    const own = await proven(`${manager.data}/state`)
    expect(own.chain).toHaveLength(1)
    expect(chain[1]!.publicKey).not.toEqual(own.chain[0]!.publicKey)
    expect(await ca()).toMatchObject({ rootKey: 'log', issueFrom: 'intermediate' })
    expect(await issuers()).toEqual([
      { manager: manager.nodeId, serial: chain[1]!.serial, notAfter: chain[1]!.notAfter, askedAt: null },
    ])
    expect(chain[1]!.notAfter - Date.now()).toBeGreaterThan(6.9 * DAY_MS)
  })

  it('renews workers from there, and goes on with the same one after a restart', async () => {
    const before = await credentialsIn(worker.data)
    await manager.call('node/renew', { node: worker.nodeId })
    const after = await until('a new certificate', async () => {
      const now = await credentialsIn(worker.data)
      return now.chain[0]!.serial !== before.chain[0]!.serial && now
    })
    expect(after.chain[1]!.serial).toBe(before.chain[1]!.serial)
    await manager.process.kill('SIGKILL')
    const { workerToken } = manager
    manager = { ...(await sandbox.manager('manager', manager.address, { more: FROM_INTERMEDIATE })), workerToken }
    const next = await sandbox.worker(manager, 'next')
    expect((await credentialsIn(next.data)).chain[1]!.serial).toBe(before.chain[1]!.serial)
  })

  it('is asked no certificate that its intermediate may not give: whoever has stolen the key finds nobody who believes it', async () => {
    const thief = await stealIssuer(manager.data)
    const { nodeId } = manager
    const [role, other] = ['swarm-manager', 'z'.repeat(25)]
    const forged = {
      'a manager': await thief.leaf(role, nodeId, { names: [role, `${nodeId}.${thief.clusterId}`, 'swarm-ca'] }),
      'a manager by its subject alone': await thief.leaf(role, nodeId, {
        names: ['swarm-worker', `${nodeId}.${thief.clusterId}`],
      }),
      'a worker of another cluster': await thief.leaf('swarm-worker', worker.nodeId, {
        cluster: other,
        names: ['swarm-worker', `${worker.nodeId}.${other}`],
      }),
      'another cluster by its subject alone': await thief.leaf('swarm-worker', worker.nodeId, {
        cluster: other,
        names: ['swarm-worker', `${worker.nodeId}.${thief.clusterId}`],
      }),
      'an operator': await thief.leaf('leastwise-operator', nodeId, { names: ['swarm-worker'] }),
      'a worker below a CA of its own': await thief.below('swarm-worker', worker.nodeId),
      'a manager below a CA of its own': await thief.below(role, nodeId),
    }
    for (const [what, identity] of Object.entries(forged)) {
      expect([what, await managerSays(manager.address, identity, 'Dispatcher/Heartbeat')]).toEqual([what, 'cut'])
      expect([what, await serviceLetsIn(service, identity)]).toEqual([what, false])
    }
    // It is said on standard output, which the end of the connection may overtake.
    const codes = await until('each refusal is told', () => {
      const told = manager.process.events.filter(({ event }) => event === 'connection-refused')
      return told.length >= Object.keys(forged).length && told.map(({ code }) => code)
    })
    expect([...new Set(codes)].toSorted()).toEqual([
      'PEER_ISSUER_UNFIT',
      'PEER_NAMES_FORBIDDEN',
      'PEER_NAMES_INVALID',
      'PEER_SUBJECT_INVALID',
    ])
  })

  it('makes managers and operators with the root, whatever token they come with', async () => {
    const promoted = await sandbox.worker(manager, 'promoted')
    await manager.call('node/promote', { node: promoted.nodeId })
    await until('it is a manager', async () => (await credentialsIn(promoted.data)).chain.length === 1)
    expect((await proven(promoted.data)).peer.role).toBe('manager')
    // Back again, it is a worker below the intermediate.
    await manager.call('node/demote', { node: promoted.nodeId })
    await until('it is a worker', async () => (await credentialsIn(promoted.data)).chain.length === 2)
    await manager.call('node/rm', { node: promoted.nodeId })
  })

  it('has another key after its keys are locked, and is no issuer without the unlock key', async () => {
    const [before] = await issuers()
    const { unlockKey } = answerOf<{ readonly unlockKey: string }>(await manager.operate(['autolock', 'on']))
    await expect(stealIssuer(manager.data)).rejects.toThrowCode('KEY_FILE_LOCKED')
    await until('another intermediate', async () => (await issuers())[0]!.serial !== before!.serial)
    await manager.process.kill('SIGTERM')
    const restarted = sandbox.start([
      ...['manager', '--data', manager.data, '--listen', manager.address],
      ...FROM_INTERMEDIATE,
    ])
    await restarted.wait('locked')
    answerOf(await manager.operate(['unlock'], unlockKey))
    await restarted.wait('ready')
    manager = { ...manager, process: restarted }
    const again = await sandbox.worker(manager, 'again')
    expect((await credentialsIn(again.data)).chain[1]!.serial).toBe((await issuers())[0]!.serial)
    answerOf(await manager.operate(['autolock', 'off']))
    expect((await stealIssuer(manager.data)).intermediate.serial).toBe((await issuers())[0]!.serial)
  })

  it('has an intermediate of the new root when the root changes, and all workers below it', async () => {
    const before = await ca()
    answerOf<RootAnswer>(await manager.operate(['root', 'rotate', '--token-overlap', '1h']))
    await until('the rotation ends', async () => {
      const { phase } = await manager.call<RootAnswer>('root/status')
      return phase === 'finishing'
    })
    const after = await ca()
    expect(after.certificate).not.toBe(before.certificate)
    const { chain, peer } = await proven(worker.data)
    // Leaf, intermediate, and the twin of the new root for those who know the old one alone.
    expect(chain).toHaveLength(3)
    expect(peer.nodeId).toBe(worker.nodeId)
    expect(chain[1]!.authorityKeyId).toEqual(parseCertificate(after.certificate).subjectKeyId)
    const old = { roots: [parseCertificate(before.certificate)], clusterId: after.clusterId as never }
    await verifyPeer(chain, { ...old, now: Date.now(), verifier: systemVerifier })
    expect((await nodes()).every(({ certificate }) => certificate === 'issued')).toBe(true)
    expect(refusalCode(await manager.operate(['root', 'rotate']))).toBe('ROTATION_BRIDGED')
  })
})

it('the option is root or intermediate, and no external CA makes intermediates', async () => {
  const refused = async (...more: readonly string[]): Promise<string> =>
    refusalCode(await run(['manager', '--data', sandbox.path('no'), '--listen', '127.0.0.1:0', '--json', ...more]))
  expect(await refused('--issue-from', 'leaf')).toBe('USAGE')
  expect(await refused(...FROM_INTERMEDIATE, '--external-ca', 'https://127.0.0.1:1')).toBe('USAGE')
})
