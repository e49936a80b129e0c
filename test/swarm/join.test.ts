import type { AddressInfo } from 'node:net'
import { createServer, type TLSSocket, connect as tlsConnect } from 'node:tls'
import { inspect } from 'node:util'
import { secureContextOptions, systemClock, systemRandom } from '@leastwise/identity/node'
import { type Clock, parseManagerAddress, SwarmError } from '@leastwise/swarm'
import { createPendingKey, fetchTrustBundle, joinCluster } from '@leastwise/swarm/node'
import { describe, expect, it, onTestFinished } from 'vitest'
import { startManager, tokenFor } from '../support/swarm-server.ts'
import { type TestCluster, testCluster } from '../support/test-authority.ts'

/** Time that passes at once, so that pauses between tries cost a test nothing. */
const hasty: Clock = {
  now: () => Date.now(),
  sleep: async (_ms, { signal }) => {
    signal.throwIfAborted()
    await new Promise((resolve) => setImmediate(resolve))
  },
}
const world = { clock: hasty, random: systemRandom, signal: new AbortController().signal }

/** A relay that ends TLS with a certificate of its own cluster and keeps every byte that a caller sends. */
async function startRelay(
  own: TestCluster,
  target: number,
): Promise<{ readonly address: string; readonly heard: () => string; readonly connections: () => number }> {
  const identity = await own.issue({ role: 'manager' })
  const chunks: Buffer[] = []
  let connections = 0
  const sockets = new Set<TLSSocket>()
  const server = createServer({ ...secureContextOptions(identity), ALPNProtocols: ['h2'] }, (socket) => {
    connections += 1
    const behind = tlsConnect({ host: '127.0.0.1', port: target, rejectUnauthorized: false, ALPNProtocols: ['h2'] })
    for (const end of [socket, behind]) {
      sockets.add(end)
      end.on('error', () => undefined)
    }
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      behind.write(chunk)
    })
    behind.on('data', (chunk: Buffer) => socket.write(chunk))
    socket.on('close', () => behind.destroy())
    behind.on('close', () => socket.destroy())
  })
  server.on('tlsClientError', () => undefined)
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    heard: () => Buffer.concat(chunks).toString('latin1'),
    connections: () => connections,
  }
}

describe('joining', () => {
  it('turns a worker token into a worker identity', async () => {
    const { address, workerToken, manager, cluster } = await startManager()
    const credentials = await joinCluster({ addresses: [address], token: workerToken, ...world })
    expect(credentials).toMatchObject({ role: 'worker', clusterId: cluster.clusterId })
    expect(manager.nodes.get(credentials.nodeId)?.role).toBe('worker')
    expect(Buffer.from(credentials.trustBundle).toString()).toBe(cluster.root.pem)
  })

  it('turns a manager token into a manager identity, also when no role was asked for', async () => {
    const { address, managerToken } = await startManager()
    expect((await joinCluster({ addresses: [address], token: managerToken, ...world })).role).toBe('manager')
  })

  it('gets the same node id for the same key, and a new one for a new key', async () => {
    const { address, workerToken } = await startManager()
    const pendingKey = await createPendingKey()
    const first = await joinCluster({ addresses: [address], token: workerToken, pendingKey, ...world })
    const again = await joinCluster({ addresses: [address], token: workerToken, pendingKey, ...world })
    const other = await joinCluster({ addresses: [address], token: workerToken, ...world })
    expect(again.nodeId).toBe(first.nodeId)
    expect(other.nodeId).not.toBe(first.nodeId)
  })

  it('waits for a certificate that is issued later', async () => {
    const { address, workerToken, manager } = await startManager()
    manager.settings.holdIssuance = true
    const joining = joinCluster({ addresses: [address], token: workerToken, ...world })
    while (manager.calls.status === 0) await new Promise((resolve) => setImmediate(resolve))
    await manager.release()
    expect((await joining).role).toBe('worker')
  })

  it('tries the next manager when one does not answer', async () => {
    const { address, workerToken } = await startManager()
    expect((await joinCluster({ addresses: ['127.0.0.1:1', address], token: workerToken, ...world })).role).toBe(
      'worker',
    )
  })

  it('gives up after its tries when nobody answers', async () => {
    const { workerToken } = await startManager()
    await expect(joinCluster({ addresses: ['127.0.0.1:1'], token: workerToken, ...world })).rejects.toThrowCode(
      'MANAGER_UNREACHABLE',
    )
  })

  it('rejects with the reason of its signal', async () => {
    const { workerToken, address, manager } = await startManager()
    manager.settings.holdIssuance = true
    const controller = new AbortController()
    const joining = joinCluster({ addresses: [address], token: workerToken, ...world, signal: controller.signal })
    while (manager.calls.status === 0) await new Promise((resolve) => setImmediate(resolve))
    const reason = new Error('no longer wanted')
    controller.abort(reason)
    await expect(joining).rejects.toBe(reason)
  })
})

describe('a join that must not succeed', () => {
  it('refuses a wrong token once and for all, without repeating it', async () => {
    const { address, manager } = await startManager()
    const wrong = tokenFor(manager.trustBundle())
    const failure = await joinCluster({ addresses: [address], token: wrong, ...world }).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(SwarmError)
    expect(failure).toMatchObject({ code: 'JOIN_TOKEN_REJECTED' })
    expect(inspect(failure, { depth: 10 })).not.toContain(wrong.slice(-25))
    expect(manager.calls.enroll).toBe(1)
  })

  it('refuses the manager role to a worker token', async () => {
    const { address, workerToken, manager } = await startManager()
    await expect(
      joinCluster({ addresses: [address], token: workerToken, role: 'manager', ...world }),
    ).rejects.toThrowCode('ROLE_NOT_GRANTED')
    expect(manager.calls.enroll).toBe(1)
  })

  it('refuses a manager certificate where a worker one was wanted', async () => {
    const { address, managerToken } = await startManager()
    await expect(
      joinCluster({ addresses: [address], token: managerToken, role: 'worker', ...world }),
    ).rejects.toThrowCode('CERTIFICATE_UNACCEPTABLE')
  })

  it('refuses a token that is none before it talks to anybody', async () => {
    await expect(joinCluster({ addresses: ['127.0.0.1:1'], token: 'SWMTKN-1-x', ...world })).rejects.toThrowCode(
      'TOKEN_MALFORMED',
    )
  })

  it('does not take a certificate beside somebody else’s request', async () => {
    const { address, workerToken, manager } = await startManager()
    manager.settings.foreignCsr = new TextEncoder().encode('another request')
    await expect(joinCluster({ addresses: [address], token: workerToken, ...world })).rejects.toThrowCode(
      'CERTIFICATE_UNACCEPTABLE',
    )
  })

  it.each([
    '',
    'host',
    'host:0',
    'host:65536',
    'host:99999',
    ':2377',
    'a b:1',
    '[::1]',
    'https://h:1',
    'h:1/x',
    '-h:1',
  ])('refuses the address %j', (text) => {
    expect(() => parseManagerAddress(text)).toThrowCode('ADDRESS_MALFORMED')
  })
})

describe('a man in the middle', () => {
  it('with another CA hears the one question and nothing else', async () => {
    const own = await startManager()
    const { workerToken } = await startManager()
    const relay = await startRelay(own.cluster, own.port)
    await expect(joinCluster({ addresses: [relay.address], token: workerToken, ...world })).rejects.toThrowCode(
      'CA_DIGEST_MISMATCH',
    )
    expect(relay.connections()).toBe(1)
    expect(own.manager.calls).toEqual({ enroll: 0, renew: 0, status: 0 })
    expect(relay.heard()).not.toContain('SWMTKN')
    expect(relay.heard()).not.toContain(workerToken.slice(-25))
    expect(relay.heard()).not.toContain('CERTIFICATE REQUEST')
  })

  it('who relays the right bundle is found out by his own certificate', async () => {
    const { workerToken, port, manager } = await startManager()
    const relay = await startRelay(await testCluster(), port)
    await expect(joinCluster({ addresses: [relay.address], token: workerToken, ...world })).rejects.toThrowCode(
      'MANAGER_UNTRUSTED',
    )
    expect(manager.calls.enroll).toBe(0)
    expect(relay.heard()).not.toContain('SWMTKN')
    expect(relay.heard()).not.toContain('CERTIFICATE REQUEST')
  })

  it('cannot pass a root of his own beside the right one', async () => {
    const { address, workerToken, manager } = await startManager()
    const foreign = await testCluster()
    manager.bundle.set(Buffer.concat([manager.trustBundle(), Buffer.from(foreign.root.pem)]))
    await expect(
      fetchTrustBundle({ address, token: workerToken, clock: systemClock, signal: world.signal }),
    ).rejects.toThrowCode('CA_DIGEST_MISMATCH')
    expect(manager.calls.enroll).toBe(0)
  })
})
