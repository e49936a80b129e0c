import { setImmediate as turn } from 'node:timers/promises'
import { createClient, createRouterTransport } from '@connectrpc/connect'
import { listRecoveryClaims, parseCertificateChain } from '@leastwise/identity'
import { systemClock, systemRandom } from '@leastwise/identity/node'
import { createSessionRegistry, createSwarmRoutes } from '@leastwise/swarm'
import { type PendingKey, runAgent } from '@leastwise/swarm/node'
import { describe, expect, it } from 'vitest'
import { Recovery } from '../../packages/swarm/src/gen/leastwise/v1/recovery_pb.ts'
import { codeOf } from '../../packages/swarm/src/wire/status.ts'
import { hurriedClock } from '../support/hurried-clock.ts'
import { DESCRIPTION, probeAgent } from '../support/swarm-probe.ts'
import { type TestNodeOptions, testCluster, testClusterId, testNodeId } from '../support/test-authority.ts'
import { serveAs } from './recovery-impostor.ts'
import { type RecoveringManager, recoveringManager } from './recovery-server.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/** A certificate that ended so long ago. */
const expiredSince = (ms: number): TestNodeOptions => ({
  nodeId: testNodeId(77),
  lifetimeMs: HOUR_MS,
  now: Date.now() - HOUR_MS - ms,
})

const hurried = hurriedClock(20)

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await turn()
}

/** Nothing to report, for as long as it is asked. */
async function* quiet(signal: AbortSignal): AsyncGenerator<never, void, void> {
  while (!signal.aborted) await turn()
  yield* []
}

/** The routes without a network, for callers without a certificate. */
const inMemory = ({ swarm, fake }: RecoveringManager) =>
  createClient(
    Recovery,
    createRouterTransport(
      createSwarmRoutes(swarm, {
        clock: systemClock,
        sessions: createSessionRegistry({ random: systemRandom }),
        authorize: fake.authorize,
      }),
    ),
  )

const trailerOf = async (answer: Promise<unknown>): Promise<string | null> =>
  await answer.then(
    () => 'none',
    (error: unknown) => (error as { metadata: Headers }).metadata.get('leastwise-code'),
  )

describe('an agent whose certificate has expired', () => {
  it('gets its identity again with its old key, without a token, and opens a session', async () => {
    const manager = await recoveringManager()
    const credentials = await manager.member(expiredSince(DAY_MS))
    const agent = probeAgent({ credentials, managers: [manager.address], clock: hurried })
    const renewed = await agent.next('renewed')
    expect(renewed.reason).toBe('recovered')
    const { nodeId, notAfter, privateKey } = renewed.credentials
    expect(nodeId).toBe(credentials.nodeId)
    expect(notAfter).toBeGreaterThan(Date.now())
    expect(privateKey).not.toEqual(credentials.privateKey)
    expect(agent.saved[0]).toBe(renewed.credentials)
    await agent.next('session')
    expect(manager.fake.calls.enroll).toBe(0)
    expect(await agent.next('clock-skew')).toMatchObject({ skewed: false })
  })

  it('asks with the same key until an answer gets through: a granted recovery is not lost', async () => {
    const manager = await recoveringManager()
    const credentials = await manager.member(expiredSince(DAY_MS))
    manager.loseAnswers = 2
    const agent = probeAgent({ credentials, managers: [manager.address], clock: hurried })
    const { credentials: next } = await agent.next('renewed')
    expect(manager.fake.calls.renew).toBe(1)
    expect(parseCertificateChain(next.certificateChain)[0]?.serial).toBe(
      manager.fake.nodes.get(credentials.nodeId)?.issuedSerials[0],
    )
  })

  it('that died before it could save what it was given goes on with the key that it had kept', async () => {
    const manager = await recoveringManager()
    const credentials = await manager.member(expiredSince(DAY_MS))
    const kept: PendingKey[] = []
    const failing = runAgent({
      credentials,
      managers: [manager.address],
      description: DESCRIPTION,
      worker: { applyAssignments: async () => undefined, taskStatuses: ({ signal }) => quiet(signal) },
      saveRecoveryKey: async (key) => {
        kept.push(key)
      },
      saveCredentials: async () => {
        throw new Error('the machine went down')
      },
      saveManagers: async () => undefined,
      clock: hurried,
      random: systemRandom,
      signal: new AbortController().signal,
    })
    for await (const { type } of failing) if (type === 'renewal-failed') break
    expect(kept.length).toBe(1)
    expect(manager.fake.calls.renew).toBe(1)
    const forgetful = probeAgent({ credentials, managers: [manager.address], clock: hurried })
    expect(await forgetful.next('renewal-failed')).toMatchObject({ code: 'RECOVERY_KEY_SUPERSEDED' })
    forgetful.stop()
    const agent = probeAgent({ credentials, managers: [manager.address], clock: hurried, recoveryKey: kept[0]! })
    const { credentials: next } = await agent.next('renewed')
    expect(next.privateKey).toEqual(kept[0]!.privateKey)
    expect(manager.fake.calls.renew).toBe(1)
  })

  it('beyond the grace waits for an operator, says so, and comes in when it is approved', async () => {
    const manager = await recoveringManager()
    const credentials = await manager.member(expiredSince(8 * DAY_MS))
    const agent = probeAgent({ credentials, managers: [manager.address], clock: hurried })
    await agent.next('recovery-waits')
    expect(listRecoveryClaims(manager.recoveries())).toMatchObject([
      { nodeId: credentials.nodeId, approvedUntil: null },
    ])
    expect(agent.events.some(({ type }) => type === 'renewed')).toBe(false)
    manager.settle({ type: 'approve-recovery', nodeId: credentials.nodeId, now: Date.now() })
    expect(await agent.next('renewed')).toMatchObject({ reason: 'recovered' })
    expect(listRecoveryClaims(manager.recoveries())).toEqual([])
  })

  it('that was removed meanwhile ends, and is told to wipe what it holds', async () => {
    const manager = await recoveringManager()
    const credentials = await manager.member(expiredSince(DAY_MS))
    manager.order({ type: 'evict', nodeId: testNodeId(77), reason: 'gone', now: Date.now() })
    const agent = probeAgent({ credentials, managers: [manager.address], clock: hurried })
    await agent.over
    expect(agent.events.at(-1)).toEqual({ type: 'evicted' })
    expect(agent.saved).toEqual([])
  })

  it.each([
    ['an older key than the last', 'RECOVERY_KEY_SUPERSEDED'],
    ['the key of another node', 'RECOVERY_KEY_SUPERSEDED'],
  ] as const)('with %s does not get in: %s', async (which, code) => {
    const manager = await recoveringManager()
    const old = await manager.member(expiredSince(DAY_MS))
    const other = await manager.member({ ...expiredSince(DAY_MS), nodeId: testNodeId(78) })
    if (which === 'an older key than the last') {
      const newer = await manager.cluster.issue({ nodeId: old.nodeId })
      const nodeId = testNodeId(77)
      const { csr, certificate, certificateChain } = newer
      manager.order({ type: 'renew', nodeId, csr: csr.pem, publicKeyHash: 'newer' })
      const { serial, notAfter } = certificate
      manager.order({
        type: 'record-certificate',
        nodeId,
        csr: csr.pem,
        certificate: certificateChain,
        serial,
        notAfter,
      })
    }
    const credentials = which === 'the key of another node' ? { ...other, nodeId: old.nodeId } : old
    const agent = probeAgent({ credentials, managers: [manager.address], clock: hurried })
    expect(await agent.next('renewal-failed')).toMatchObject({ code })
    expect(agent.saved).toEqual([])
  })

  it.each(['a worker that plays the manager', 'another cluster', 'another cluster under the same root'] as const)(
    'tells nothing to %s',
    async (who) => {
      const home = await recoveringManager()
      const credentials = await home.member(expiredSince(DAY_MS))
      const impostor = await serveAs(who === 'another cluster' ? await testCluster() : home.cluster, {
        role: who === 'a worker that plays the manager' ? 'worker' : 'manager',
        clusterId: who === 'another cluster under the same root' ? testClusterId(2) : home.cluster.clusterId,
      })
      const agent = probeAgent({ credentials, managers: [impostor.address], clock: hurried })
      expect(await agent.next('renewal-failed')).toMatchObject({ code: 'MANAGER_UNTRUSTED' })
      expect(impostor.calls()).toBe(0)
      expect(agent.saved).toEqual([])
    },
  )

  it('at a manager without recoveries goes on asking, and keeps what it holds', async () => {
    const manager = await recoveringManager({ recovers: false })
    const credentials = await manager.member(expiredSince(DAY_MS))
    const agent = probeAgent({ credentials, managers: [manager.address], clock: hurried })
    expect(await agent.next('renewal-failed')).toMatchObject({ code: 'MANAGER_REFUSED' })
    await until(() => agent.events.filter(({ type }) => type === 'renewal-failed').length >= 2)
    expect(agent.saved).toEqual([])
  })
})

describe('the recovery service', () => {
  const request = (manager: RecoveringManager) => ({
    nodeId: testNodeId(77),
    serial: '01',
    csr: new TextEncoder().encode(manager.cluster.root.pem),
    challenge: new Uint8Array(40),
    signature: new Uint8Array(64),
  })

  it('refuses what is not usable before anybody looks at it', async () => {
    const manager = await recoveringManager()
    const client = inMemory(manager)
    const good = request(manager)
    for (const wrong of [
      { nodeId: '' },
      { nodeId: 'a b' },
      { nodeId: 'x'.repeat(129) },
      { serial: '' },
      { serial: '\n' },
      { csr: new Uint8Array() },
      { challenge: new Uint8Array() },
      { signature: new Uint8Array() },
    ])
      expect(await trailerOf(client.recover({ ...good, ...wrong }))).toBe('REQUEST_MALFORMED')
    for (const large of [
      { csr: new Uint8Array(65_537) },
      { challenge: new Uint8Array(257) },
      { signature: new Uint8Array(1025) },
    ])
      expect(await trailerOf(client.recover({ ...good, ...large }))).toBe('REQUEST_TOO_LARGE')
  })

  it('says by its code why it refuses, in fixed words', async () => {
    const manager = await recoveringManager()
    await manager.member(expiredSince(DAY_MS))
    const client = inMemory(manager)
    const good = request(manager)
    expect(await trailerOf(client.recover(good))).toBe('RECOVERY_CHALLENGE_EXPIRED')
    const { challenge } = await client.challenge({})
    expect(await trailerOf(client.recover({ ...good, challenge, nodeId: testNodeId(99) }))).toBe('NODE_UNKNOWN')
    expect(await trailerOf(client.recover({ ...good, challenge }))).toBe('CSR_MALFORMED')
  })

  it('is not there when the host serves none', async () => {
    const manager = await recoveringManager({ recovers: false })
    const answer = await inMemory(manager)
      .challenge({})
      .catch((error: unknown) => error)
    expect(answer).toMatchObject({ code: 12 })
    expect(codeOf(answer)).toBe(null)
  })
})
