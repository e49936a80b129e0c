import { createSecureServer } from 'node:http2'
import { setImmediate as turn } from 'node:timers/promises'
import { parseCertificateChain } from '@leastwise/identity'
import { serverContextOptions, systemClock } from '@leastwise/identity/node'
import { type AssignmentSet, type Clock, SwarmError, type Task } from '@leastwise/swarm'
import { CALL_TIMEOUT_MS, type PendingKey } from '@leastwise/swarm/node'
import { describe, expect, it, onTestFinished } from 'vitest'
import { listening } from '../identity/hot-tls-support.ts'
import { identityOf } from '../identity/tls-support.ts'
import { hurriedClock } from '../support/hurried-clock.ts'
import { probeAgent } from '../support/swarm-probe.ts'
import { startManager } from '../support/swarm-server.ts'
import { testCluster } from '../support/test-authority.ts'

const TASK: Task = {
  id: 'task1',
  nodeId: 'node1',
  serviceId: '',
  serviceName: 'web',
  slot: 1,
  state: 'assigned',
  desiredState: 'running',
  networks: [],
  container: {
    image: '',
    labels: {},
    command: ['sleep', '1'],
    args: [],
    hostname: '',
    env: ['A=b'],
    dir: '/',
    user: '',
    stopGraceMs: 1500,
    secrets: [{ secretId: 'secret1', secretName: 'db', target: 'db', uid: '0', gid: '0', mode: 0o400 }],
  },
}
const SECRET = { id: 'secret1', name: 'db', labels: {}, value: new TextEncoder().encode('value') }

const COMPLETE: AssignmentSet = {
  kind: 'complete',
  appliesTo: '',
  resultsIn: '1',
  changes: [
    { action: 'update', item: { kind: 'secret', secret: SECRET } },
    { action: 'update', item: { kind: 'task', task: TASK } },
  ],
}
const REMOVAL: AssignmentSet = {
  kind: 'incremental',
  appliesTo: '1',
  resultsIn: '2',
  changes: [
    { action: 'remove', item: { kind: 'task', id: 'task1' } },
    { action: 'remove', item: { kind: 'secret', id: 'secret1' } },
  ],
}

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await turn()
}

describe('an agent', () => {
  it('registers, describes itself and keeps its session alive', async () => {
    const { address, member, manager, sessions, cluster } = await startManager({ periodMs: 400 })
    const credentials = await member()
    const agent = probeAgent({ credentials, managers: [address] })
    const { sessionId } = await agent.next('session')
    expect(manager.descriptions.get(credentials.nodeId)).toMatchObject({ hostname: 'test-node', labels: { zone: 'a' } })
    const { tls } = manager.descriptions.get(credentials.nodeId)!
    expect(tls).toEqual({
      trustRoot: credentials.trustBundle,
      issuerSubject: cluster.root.subject.der,
      issuerPublicKey: cluster.root.publicKey,
    })
    const first = sessions.list()[0]!.lastHeartbeatAt
    await until(() => (sessions.list()[0]?.lastHeartbeatAt ?? 0) > first + 300)
    expect(sessions.list()).toMatchObject([{ nodeId: credentials.nodeId, sessionId }])
    expect(agent.events.some(({ type }) => type === 'disconnected')).toBe(false)
  })

  it('applies assignments in order, secrets before tasks, exactly as the host gave them', async () => {
    const { address, member, manager } = await startManager()
    manager.work.set([COMPLETE])
    const agent = probeAgent({ credentials: await member(), managers: [address] })
    await agent.next('assignments')
    manager.work.set([COMPLETE, REMOVAL])
    await until(() => agent.applied.length === 2)
    expect(agent.applied).toEqual([COMPLETE, REMOVAL])
  })

  it('opens a fresh stream after a gap and after a worker that failed', async () => {
    const { address, member, manager } = await startManager()
    manager.work.set([COMPLETE, { ...REMOVAL, appliesTo: '7' }])
    const agent = probeAgent({
      credentials: await member(),
      managers: [address],
      apply: async (_set, count) => {
        if (count === 1) throw Object.assign(new Error('disk full'), { code: 'MOUNT_FULL' })
      },
    })
    expect(await agent.next('assignments-failed')).toMatchObject({ code: 'MOUNT_FULL' })
    await until(() =>
      agent.events.some((event) => event.type === 'assignments-failed' && event.code === 'ASSIGNMENT_GAP'),
    )
    manager.work.set([COMPLETE, REMOVAL])
    await until(() => agent.applied.at(-1)?.resultsIn === '2')
    expect(agent.events.some(({ type }) => type === 'disconnected')).toBe(false)
  })

  it('ends each stream that it takes no more of', async () => {
    const { address, member, manager } = await startManager()
    const warnings: string[] = []
    const onWarning = ({ name }: Error): void => void warnings.push(name)
    process.on('warning', onWarning)
    onTestFinished(() => void process.off('warning', onWarning))
    manager.work.set([COMPLETE])
    const agent = probeAgent({
      credentials: await member(),
      managers: [address],
      clock: hurriedClock(5),
      apply: async (_set, count) => {
        if (count <= 30) throw new Error('disk full')
      },
    })
    await until(() => agent.applied.length === 1)
    await until(() => manager.openStreams() === 1)
    expect(agent.events.some(({ type }) => type === 'disconnected')).toBe(false)
    expect(warnings).toEqual([])
  })

  it('reports task statuses', async () => {
    const { address, member, manager } = await startManager()
    const credentials = await member()
    const agent = probeAgent({ credentials, managers: [address] })
    await agent.next('session')
    const done = {
      taskId: 'task1',
      state: 'failed',
      at: 1_700_000_000_123,
      message: 'exited',
      error: 'exit 3',
      exitCode: 3,
      pid: 7,
    } as const
    agent.report([done])
    await until(() => manager.statuses.length === 1)
    expect(manager.statuses).toEqual([{ ...done, nodeId: credentials.nodeId }])
  })

  it('lets a report that is on its way arrive when it is renewed again', async () => {
    const { address, member, manager, sessions } = await startManager({ periodMs: 200 })
    const credentials = await member()
    const agent = probeAgent({ credentials, managers: [address] })
    await agent.next('session')
    const renewed = async (): Promise<void> => {
      const from = agent.events.length
      manager.rotate(credentials.nodeId)
      await agent.next('renewed', from)
      const after = sessions.list()[0]!.lastHeartbeatAt
      // The next call is made over a connection with the new identity.
      await until(() => sessions.list()[0]!.lastHeartbeatAt > after)
    }
    const report = (taskId: string): void => {
      agent.report([{ taskId, state: 'running', at: 1_700_000_000_123, message: '', error: '', exitCode: 0, pid: 7 }])
    }
    await renewed()
    let answer: () => void = () => undefined
    manager.settings.holdStatuses = new Promise((resolve) => {
      answer = resolve
    })
    report('one')
    await until(() => manager.statuses.length === 1)
    await renewed()
    answer()
    report('two')
    await until(() => manager.statuses.length === 2)
    expect(agent.events.filter(({ type }) => type === 'disconnected')).toEqual([])
  })

  it('keeps the list of managers', async () => {
    const { address, member, manager } = await startManager()
    const agent = probeAgent({ credentials: await member(), managers: [address] })
    await agent.next('session')
    manager.managers.set([
      { nodeId: 'a', address, weight: 1 },
      { nodeId: 'b', address: '127.0.0.1:1', weight: 1 },
    ])
    await agent.next('managers')
    expect(agent.savedManagers).toEqual([[address, '127.0.0.1:1']])
  })

  it('keeps it as soon as it can be kept, in the same session', async () => {
    const { address, member, manager } = await startManager()
    let full = true
    const agent = probeAgent({
      credentials: await member(),
      managers: [address],
      clock: hurriedClock(20),
      saveManagers: async () => {
        if (full) throw new Error('stands for a full disk')
      },
    })
    await agent.next('session')
    const peer = { nodeId: 'a', address, weight: 1 }
    manager.managers.set([peer, { nodeId: 'b', address: '127.0.0.1:1', weight: 1 }])
    expect(await agent.next('save-failed')).toMatchObject({ what: 'managers', code: 'UNEXPECTED' })
    // Of two that could not be kept, only the later one is of interest.
    manager.managers.set([peer])
    await until(() => agent.events.filter(({ type }) => type === 'save-failed').length > 3)
    expect(agent.savedManagers).toEqual([])
    full = false
    await agent.next('managers')
    expect(agent.savedManagers).toEqual([[address]])
    expect(agent.events.some(({ type }) => type === 'disconnected')).toBe(false)
  })

  it('does not wait for a manager that takes its registration and says nothing', async () => {
    const { member, cluster } = await startManager()
    const silent = createSecureServer({
      ...serverContextOptions(identityOf(await cluster.issue({ role: 'manager' }))),
      ALPNProtocols: ['h2'],
    })
    const asked = new Promise<void>((resolve) => {
      silent.once('stream', () => {
        resolve()
      })
    })
    const address = `127.0.0.1:${await listening(silent)}`
    const deadlines: number[] = []
    const clock: Clock = {
      now: systemClock.now,
      sleep: async (ms, options) => {
        if (ms === CALL_TIMEOUT_MS) {
          deadlines.push(ms)
          await asked
        } else await systemClock.sleep(ms, options)
      },
    }
    const agent = probeAgent({ credentials: await member(), managers: [address], clock })
    expect(await agent.next('disconnected')).toMatchObject({ address, code: 'MANAGER_UNREACHABLE' })
    expect(deadlines).toHaveLength(1)
  })

  it('registers again after its connection was cut', async () => {
    const { address, member, server, manager } = await startManager()
    const credentials = await member()
    const agent = probeAgent({ credentials, managers: [address] })
    await agent.next('session')
    manager.evicted.add(credentials.nodeId)
    server.recheck()
    manager.evicted.delete(credentials.nodeId)
    expect(await agent.next('disconnected')).toMatchObject({ address })
    await agent.next('session', agent.events.length)
    expect(manager.presences.map(({ presence }) => presence)).toEqual(['ready', 'disconnected', 'ready'])
  })

  it('rejects with the reason of its signal and says good-bye', async () => {
    const { address, member, manager } = await startManager()
    const agent = probeAgent({ credentials: await member(), managers: [address] })
    await agent.next('session')
    agent.stop()
    await expect(agent.over).rejects.toThrow('stopped')
    await until(() => manager.presences.at(-1)?.presence === 'disconnected')
  })
})

describe('renewal', () => {
  it('on request gets a new key and certificate while the streams stay open', async () => {
    const { address, member, manager, server } = await startManager()
    const credentials = await member()
    manager.work.set([COMPLETE])
    const agent = probeAgent({ credentials, managers: [address] })
    const { sessionId } = await agent.next('session')
    await agent.next('assignments')
    manager.rotate(credentials.nodeId)
    const { credentials: renewed, reason } = await agent.next('renewed')
    expect(reason).toBe('asked')
    expect(renewed.nodeId).toBe(credentials.nodeId)
    expect(Buffer.from(renewed.privateKey).equals(Buffer.from(credentials.privateKey))).toBe(false)
    expect(agent.saved).toEqual([renewed])
    const [serial] = manager.nodes.get(credentials.nodeId)!.issuedSerials
    await until(() => server.sessions().some(({ peer }) => peer?.serial === serial))
    manager.work.set([COMPLETE, REMOVAL])
    await until(() => agent.applied.length === 2)
    expect(agent.events.filter(({ type }) => type === 'session')).toMatchObject([{ sessionId }])
    expect(agent.events.some(({ type }) => type === 'disconnected')).toBe(false)
  })

  it('happens by itself when it is due', async () => {
    const { address, member, manager } = await startManager()
    const now = Date.now()
    // Six of seven parts of its life are over, so that every draw between 50 and 80 % lies in the past.
    const credentials = await member({ now: now - 2000, lifetimeMs: 600_000, backdateMs: 3_600_000 })
    const agent = probeAgent({ credentials, managers: [address] })
    expect(await agent.next('renewed')).toMatchObject({ reason: 'due' })
    expect(manager.calls.renew).toBe(1)
    const scheduled = await agent.next(
      'renewal-scheduled',
      agent.events.findIndex(({ type }) => type === 'renewed'),
    )
    expect(scheduled.at).toBeGreaterThan(now + 3_600_000)
  })

  it('is asked for again while it waits for its turn, and happens once', async () => {
    const { address, member, manager } = await startManager({ periodMs: 10_000 })
    const credentials = await member()
    let goOn = (): void => undefined
    const gate = new Promise<void>((resolve) => {
      goOn = resolve
    })
    let waits = 0
    const clock: Clock = {
      now: systemClock.now,
      sleep: async (ms, options) => {
        // Between two renewals that are asked for a second has to pass.
        if (ms > 500 && ms <= 1000) {
          waits += 1
          await gate
        } else await systemClock.sleep(ms, options)
      },
    }
    const agent = probeAgent({ credentials, managers: [address], clock })
    await agent.next('session')
    manager.settings.renewalError = new SwarmError('MANAGER_REFUSED', 'not now')
    manager.rotate(credentials.nodeId)
    await agent.next('renewal-failed')
    manager.settings.renewalError = null
    manager.rotate(credentials.nodeId)
    await until(() => waits === 1)
    manager.rotate(credentials.nodeId)
    // What was said before has been heard then.
    manager.managers.set([
      { nodeId: 'manager', address, weight: 2 },
      { nodeId: 'other', address: '127.0.0.1:1', weight: 1 },
    ])
    await agent.next('managers')
    goOn()
    await agent.next('renewed')
    await systemClock.sleep(100, { signal: new AbortController().signal })
    expect(manager.calls.renew).toBe(2)
    expect(agent.events.filter(({ type }) => type === 'renewed')).toHaveLength(1)
  })

  it('uses new credentials only once they are saved', async () => {
    const { address, member, manager, server } = await startManager()
    const credentials = await member()
    const agent = probeAgent({
      credentials,
      managers: [address],
      saveCredentials: async () => {
        throw Object.assign(new Error('no space'), { code: 'KEY_FILE_WRITE_FAILED' })
      },
    })
    await agent.next('session')
    manager.rotate(credentials.nodeId)
    expect(await agent.next('renewal-failed')).toMatchObject({ code: 'KEY_FILE_WRITE_FAILED' })
    const [serial] = manager.nodes.get(credentials.nodeId)!.issuedSerials
    expect(server.sessions().some(({ peer }) => peer?.serial === serial)).toBe(false)
  })
})

describe('an identity that was granted and could not be saved, while the one before counts no more', () => {
  const scene = async () => {
    const nobodies = new Set<string>()
    const running = await startManager({ isNobody: (serial) => nobodies.has(serial) })
    const credentials = await running.member()
    const kept: PendingKey[] = []
    /** From the moment of its first save the node is nobody with what it has. */
    const fails = async (): Promise<void> => {
      nobodies.add(parseCertificateChain(credentials.certificateChain)[0]!.serial)
      throw Object.assign(new Error('no space'), { code: 'KEY_FILE_WRITE_FAILED' })
    }
    const options = {
      credentials,
      managers: [running.address] as const,
      clock: hurriedClock(20),
      saveRecoveryKey: async (key: PendingKey) => {
        kept.push(key)
      },
    }
    return { ...running, credentials, kept, fails, options }
  }

  it('is fetched, with the same key', async () => {
    const { manager, credentials, kept, fails, options } = await scene()
    let saves = 0
    const agent = probeAgent({
      ...options,
      saveCredentials: async () => {
        saves += 1
        if (saves === 1) await fails()
      },
    })
    await agent.next('session')
    manager.rotate(credentials.nodeId)
    expect(await agent.next('renewal-failed')).toMatchObject({ code: 'KEY_FILE_WRITE_FAILED' })
    const { credentials: next } = await agent.next('renewed')
    expect(next.privateKey).toEqual(kept[0]!.privateKey)
    expect(kept).toHaveLength(1)
    expect(manager.nodes.get(credentials.nodeId)!.issuedSerials).toHaveLength(1)
  })

  it('is fetched after a restart, at once, with the key that was kept', async () => {
    const { manager, credentials, kept, fails, options } = await scene()
    const first = probeAgent({ ...options, saveCredentials: fails })
    await first.next('session')
    manager.rotate(credentials.nodeId)
    await first.next('renewal-failed')
    first.stop()
    await first.over.catch(() => undefined)
    const agent = probeAgent({ ...options, recoveryKey: kept[0]! })
    expect(await agent.next('disconnected')).toMatchObject({ code: 'CALLER_ANONYMOUS' })
    const { credentials: next } = await agent.next('renewed')
    expect(next.privateKey).toEqual(kept[0]!.privateKey)
    await agent.next('session')
    expect(manager.nodes.get(credentials.nodeId)!.issuedSerials).toHaveLength(1)
  })
})

it.each(['CERTIFICATE_FAILED', 'CERTIFICATE_UNACCEPTABLE'] as const)(
  'a request that ended in %s is not made again: the next one is for another key',
  async (code) => {
    const { address, member, manager, cluster } = await startManager()
    const credentials = await member()
    const kept: PendingKey[] = []
    const agent = probeAgent({
      credentials,
      managers: [address],
      clock: hurriedClock(20),
      saveRecoveryKey: async (key) => {
        kept.push(key)
      },
    })
    await agent.next('session')
    manager.settings.holdIssuance = true
    manager.rotate(credentials.nodeId)
    await until(() => manager.calls.renew === 1)
    const node = manager.nodes.get(credentials.nodeId)!
    node.certificate = (await cluster.issue()).certificateChain
    node.state.set(code === 'CERTIFICATE_FAILED' ? 'failed' : 'issued')
    expect(await agent.next('renewal-failed')).toMatchObject({ code })
    manager.settings.holdIssuance = false
    const { credentials: next } = await agent.next('renewed')
    expect(kept).toHaveLength(2)
    expect(next.privateKey).toEqual(kept[1]!.privateKey)
  },
)

describe('trust', () => {
  it('takes a pushed bundle that still vouches for the node', async () => {
    const { address, member, manager } = await startManager()
    const credentials = await member()
    const agent = probeAgent({ credentials, managers: [address] })
    await agent.next('session')
    const second = await testCluster({ commonName: 'swarm-ca-2' })
    const both = Buffer.concat([credentials.trustBundle, Buffer.from(second.root.pem)])
    manager.bundle.set(both)
    const { credentials: next } = await agent.next('trust-bundle')
    expect(Buffer.from(next.trustBundle).equals(both)).toBe(true)
    expect(agent.saved).toEqual([next])
    expect(next.certificateChain).toBe(credentials.certificateChain)
  })

  it('takes a bundle that could not be saved once it can be, in the same session', async () => {
    const { address, member, manager } = await startManager()
    const credentials = await member()
    let full = true
    const agent = probeAgent({
      credentials,
      managers: [address],
      clock: hurriedClock(20),
      saveCredentials: async () => {
        if (full) throw new SwarmError('MANAGER_REFUSED', 'stands for a full disk')
      },
    })
    await agent.next('session')
    const second = await testCluster({ commonName: 'swarm-ca-2' })
    const both = Buffer.concat([credentials.trustBundle, Buffer.from(second.root.pem)])
    manager.bundle.set(both)
    const failure = { type: 'save-failed', what: 'trust-bundle', code: 'MANAGER_REFUSED' }
    const first = await agent.next('save-failed')
    expect(first).toMatchObject(failure)
    const again = await agent.next('save-failed', agent.events.indexOf(first) + 1)
    expect(again).toMatchObject(failure)
    expect(agent.events.some(({ type }) => type === 'trust-bundle')).toBe(false)
    full = false
    const { credentials: next } = await agent.next('trust-bundle')
    expect(Buffer.from(next.trustBundle).equals(both)).toBe(true)
    expect(agent.saved).toEqual([next])
    expect(agent.events.some(({ type }) => type === 'disconnected')).toBe(false)
  })

  it('goes back to no bundle that a manager has taken back before it could be saved', async () => {
    const { address, member, manager } = await startManager()
    const credentials = await member()
    let tries = 0
    const agent = probeAgent({
      credentials,
      managers: [address],
      clock: hurriedClock(20),
      saveCredentials: async () => {
        tries += 1
        throw new Error('stands for a full disk')
      },
    })
    await agent.next('session')
    const second = await testCluster({ commonName: 'swarm-ca-2' })
    manager.bundle.set(Buffer.concat([credentials.trustBundle, Buffer.from(second.root.pem)]))
    expect(await agent.next('save-failed')).toMatchObject({ code: 'UNEXPECTED' })
    manager.bundle.set(credentials.trustBundle)
    // What a manager says is taken in turn.
    manager.managers.set([{ nodeId: 'b', address: '127.0.0.1:1', weight: 1 }])
    await agent.next('managers')
    await turn()
    const before = tries
    // Ten pauses at least.
    await systemClock.sleep(200, { signal: new AbortController().signal })
    expect(tries).toBe(before)
  })

  it.each(['foreign', 'garbage'])('refuses a pushed bundle that is %s', async (kind) => {
    const { address, member, manager } = await startManager()
    const agent = probeAgent({ credentials: await member(), managers: [address] })
    await agent.next('session')
    const foreign = await testCluster()
    manager.bundle.set(new TextEncoder().encode(kind === 'foreign' ? foreign.root.pem : 'no bundle'))
    expect(await agent.next('trust-bundle-refused')).toMatchObject({ code: 'TRUST_BUNDLE_UNRELATED' })
    expect(agent.saved).toEqual([])
  })

  it('talks to no manager of another cluster, even under the same root', async () => {
    const { address, member, cluster } = await startManager()
    const credentials = await member()
    const agent = probeAgent({
      credentials: { ...credentials, clusterId: `${cluster.clusterId.slice(0, -1)}z` },
      managers: [address],
    })
    expect(await agent.next('disconnected')).toMatchObject({ code: 'MANAGER_UNTRUSTED' })
  })
})

describe('eviction', () => {
  it('cuts the streams within a second and ends the agent with one event', async () => {
    const { address, member, manager, server } = await startManager()
    const credentials = await member()
    const agent = probeAgent({ credentials, managers: [address] })
    await agent.next('session')
    const before = performance.now()
    manager.evicted.add(credentials.nodeId)
    server.recheck()
    await agent.next('evicted')
    expect(performance.now() - before).toBeLessThan(1000)
    await agent.over
    expect(agent.events.at(-1)).toEqual({ type: 'evicted' })
  })

  it('is noticed at a renewal, too', async () => {
    const { address, member, manager } = await startManager()
    const credentials = await member({ now: Date.now() - 2000, lifetimeMs: 1_000_000, backdateMs: 3_600_000 })
    manager.evicted.add(credentials.nodeId)
    const agent = probeAgent({ credentials, managers: ['127.0.0.1:1'] })
    await agent.next('disconnected')
    expect(agent.events.some(({ type }) => type === 'evicted')).toBe(false)
    const direct = probeAgent({ credentials, managers: [address] })
    await direct.over
    expect(direct.events.at(-1)).toEqual({ type: 'evicted' })
  })
})

it('a task that is sent before its secret is applied after it', async () => {
  const { address, member, manager } = await startManager()
  manager.work.set([{ ...COMPLETE, changes: [...COMPLETE.changes].reverse() }])
  const agent = probeAgent({ credentials: await member(), managers: [address] })
  await agent.next('assignments')
  expect(agent.applied[0]?.changes.map(({ item }) => item.kind)).toEqual(['secret', 'task'])
})
