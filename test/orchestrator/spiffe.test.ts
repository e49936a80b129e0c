import {
  type Certificate,
  parseSpiffeBundle,
  parseTrustDomain,
  type SvidIdentity,
  verifySvid,
} from '@leastwise/identity'
import { systemVerifier } from '@leastwise/identity/node'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { BundleAnswer, IssuerAnswer, RootAnswer } from '../../examples/orchestrator/operator/answers.ts'
import { uri } from '../identity/intermediate-support.ts'
import { answerOf, type Manager, refusalCode, run, Sandbox, until, type WorkerProcess } from './cluster-processes.ts'
import { credentialsIn, managerSays, stealIssuer } from './issuer-support.ts'

const DOMAIN = parseTrustDomain('prod.example')
const ISSUING = ['--issue-from', 'intermediate']
const WORKLOADS = ['--spiffe-trust-domain', DOMAIN]

let sandbox: Sandbox
let manager: Manager
let worker: WorkerProcess

beforeAll(async () => {
  sandbox = new Sandbox()
  // A cluster of nodes that are not workloads yet.
  manager = await sandbox.manager('manager', '127.0.0.1:0', { more: ISSUING })
  worker = await sandbox.worker(manager, 'worker')
})
afterAll(async () => {
  await sandbox[Symbol.asyncDispose]()
})

const bundle = async (): Promise<BundleAnswer> => answerOf<BundleAnswer>(await manager.operate(['ca', 'bundle']))
/** Whoever knows nothing but the published bundle. */
async function known(chain: readonly Certificate[]): Promise<SvidIdentity> {
  const { roots } = parseSpiffeBundle((await bundle()).bundle)
  const domains = { rootsOf: (domain: string) => (domain === DOMAIN ? roots : null) }
  return await verifySvid(chain, { domains, now: Date.now(), verifier: systemVerifier })
}
const chainOf = async (data: string): Promise<readonly Certificate[]> => {
  const { chain } = await credentialsIn(data)
  return chain
}
const idIn = (data: string) => async (): Promise<string | false> => {
  try {
    return (await known(await chainOf(data))).spiffeId
  } catch {
    return false
  }
}
const restarted = async (...more: readonly string[]): Promise<void> => {
  await manager.process.kill('SIGTERM')
  const again = await sandbox.manager('manager', manager.address, { more })
  manager = { ...again, workerToken: manager.workerToken }
}

describe('a cluster that becomes a trust domain', () => {
  it('has no bundle before, and workloads after: the manager, new nodes, and the others with their next certificate', async () => {
    expect(refusalCode(await manager.operate(['ca', 'bundle']))).toBe('NOT_FOUND')
    const [before] = await manager.call<readonly IssuerAnswer[]>('ca/issuers')
    await restarted(...ISSUING, ...WORKLOADS)
    // The intermediate of before may give no IDs.
    await until('another intermediate', async () => {
      const [now] = await manager.call<readonly IssuerAnswer[]>('ca/issuers')
      return now!.serial !== before!.serial && now!.askedAt === null
    })
    await manager.process.wait('intermediate')
    const own = await until('the manager is a workload', idIn(`${manager.data}/state`))
    expect(own).toBe(`spiffe://prod.example/node/${manager.nodeId}`)
    const next = await sandbox.worker(manager, 'next')
    expect(await known(await chainOf(next.data))).toMatchObject({
      spiffeId: `spiffe://prod.example/node/${next.nodeId}`,
      trustDomain: DOMAIN,
    })
    await expect(known(await chainOf(worker.data))).rejects.toThrowCode('PEER_SPIFFE_ID_INVALID')
    await manager.call('node/renew', { node: worker.nodeId })
    expect(await until('the worker is a workload', idIn(worker.data))).toBe(
      `spiffe://prod.example/node/${worker.nodeId}`,
    )
  })

  it('lets nobody in with the ID of another workload, or of another trust domain', async () => {
    const thief = await stealIssuer(manager.data)
    const names = ['swarm-worker', `${worker.nodeId}.${thief.clusterId}`]
    const as = async (id: string): Promise<string | null> => {
      const identity = await thief.leaf('swarm-worker', worker.nodeId, { names: [...names, uri(id)] })
      return await managerSays(manager.address, identity, 'Dispatcher/Heartbeat')
    }
    expect(await as(`spiffe://prod.example/node/${worker.nodeId}`)).not.toBe('cut')
    expect(await as(`spiffe://prod.example/node/${manager.nodeId}`)).toBe('cut')
    expect(await as('spiffe://prod.example/anything')).toBe('cut')
    expect(await as(`spiffe://dev.example/node/${worker.nodeId}`)).toBe('cut')
    // It is said on standard output, which the end of the connection may overtake.
    const codes = await until('each refusal is told', () => {
      const told = manager.process.events.filter(({ event }) => event === 'connection-refused')
      return told.length >= 3 && told.map(({ code }) => code)
    })
    expect(codes).toEqual(['PEER_SPIFFE_ID_INVALID', 'PEER_SPIFFE_ID_INVALID', 'PEER_NAMES_FORBIDDEN'])
  })

  it('stays what it is, whatever a later start says', async () => {
    await restarted(...ISSUING)
    expect(await bundle()).toMatchObject({ trustDomain: DOMAIN, sequence: 1 })
    await manager.process.kill('SIGTERM')
    const words = ['manager', '--data', manager.data, '--listen', manager.address, '--json']
    expect(refusalCode(await run([...words, '--spiffe-trust-domain', 'other.example']))).toBe('TRUST_DOMAIN_DIFFERS')
    expect(refusalCode(await run([...words, '--spiffe-trust-domain', 'under_score.example']))).toBe('USAGE')
    await restarted()
    // From the root as well.
    const other = await sandbox.worker(manager, 'other')
    expect((await known(await chainOf(other.data))).spiffeId).toBe(`spiffe://prod.example/node/${other.nodeId}`)
  })

  it('publishes both roots while they change, each time under a higher number', async () => {
    const rootsIn = ({ bundle: text }: BundleAnswer): number => parseSpiffeBundle(text).roots.length
    const sleeper = worker
    await sleeper.process.kill('SIGTERM')
    const before = await bundle()
    answerOf<RootAnswer>(await manager.operate(['root', 'rotate', '--token-overlap', '1h']))
    const between = await bundle()
    expect([rootsIn(before), rootsIn(between)]).toEqual([1, 2])
    sandbox.start(['worker', '--data', sleeper.data, '--join', manager.address])
    await until('all have come over', async () => {
      const { phase } = await manager.call<RootAnswer>('root/status')
      return phase === 'finishing'
    })
    const after = await bundle()
    expect(rootsIn(after)).toBe(1)
    expect(parseSpiffeBundle(after.bundle).roots[0]!.pem).not.toBe(parseSpiffeBundle(before.bundle).roots[0]!.pem)
    expect([before, between, after].map(({ sequence }) => sequence)).toEqual([1, 2, 3])
    expect(parseSpiffeBundle(after.bundle).sequence).toBe(3n)
    expect((await known(await chainOf(sleeper.data))).spiffeId).toBe(`spiffe://prod.example/node/${sleeper.nodeId}`)
  })
})
