import { setImmediate as turn } from 'node:timers/promises'
import { formatCertificateChain } from '@leastwise/identity'
import {
  secureContextOptions,
  serverContextOptions,
  systemClock,
  systemDigest,
  systemRandom,
} from '@leastwise/identity/node'
import { TRUST_DIGEST_HEADER } from '@leastwise/swarm'
import { joinCluster } from '@leastwise/swarm/node'
import { trustDigestOf } from '@leastwise/tokens'
import { describe, expect, it } from 'vitest'
import { dockerCrossed, rootOfCluster } from '../identity/rotation-support.ts'
import { probeAgent } from '../support/swarm-probe.ts'
import { type RunningManager, startManager, tokenFor } from '../support/swarm-server.ts'
import { testCluster } from '../support/test-authority.ts'

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await turn()
}
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
const join = async ({ address }: RunningManager, token: string) =>
  await joinCluster({
    addresses: [address],
    token,
    clock: systemClock,
    random: systemRandom,
    signal: AbortSignal.timeout(10_000),
  })

/** Gives the manager a certificate of a new root, with the cross-signed root behind it as Docker makes it. */
async function turnToDockersShape({ cluster, http2 }: RunningManager): Promise<void> {
  const next = await testCluster()
  const cross = await dockerCrossed(rootOfCluster(next), rootOfCluster(cluster))
  const own = await next.issue({ role: 'manager' })
  const certificateChain = formatCertificateChain([own.certificate, cross])
  http2.setSecureContext(secureContextOptions({ ...own, certificateChain, trustBundle: cluster.root.pem }))
}

describe('while the root rotates', () => {
  it('a node that joins says which root its token is for, and gets that one of several', async () => {
    const running = await startManager()
    const { manager, cluster } = running
    const other = await testCluster({ commonName: 'swarm-ca-2' })
    const wanted: (string | null | undefined)[] = []
    const bundles = [utf8(other.root.pem), utf8(cluster.root.pem)]
    manager.trustBundle = (digest?: string | null) => {
      wanted.push(digest)
      return bundles.find((pem) => hex(trustDigestOf(pem, systemDigest)) === digest) ?? bundles[0]!
    }
    const joined = await join(running, running.workerToken)
    expect(joined.trustBundle).toEqual(utf8(cluster.root.pem))
    expect(wanted).toEqual([hex(trustDigestOf(utf8(cluster.root.pem), systemDigest))])
    expect(TRUST_DIGEST_HEADER).toBe('leastwise-trust-digest')
    await expect(join(running, tokenFor(utf8('a bundle of nobody')))).rejects.toThrowCode('CA_DIGEST_MISMATCH')
  })

  it('an agent whose trust has changed registers anew, to say so', async () => {
    const { address, member, manager, cluster } = await startManager()
    const credentials = await member()
    const agent = probeAgent({ credentials, managers: [address] })
    const { sessionId } = await agent.next('session')
    const next = await testCluster({ commonName: 'swarm-ca-2' })
    const both = utf8(cluster.root.pem + next.root.pem)
    manager.bundle.set(both)
    await until(() => agent.events.filter(({ type }) => type === 'session').length === 2)
    const sessions = agent.events.flatMap((event) => (event.type === 'session' ? [event.sessionId] : []))
    expect(new Set(sessions).size).toBe(2)
    expect(sessions[0]).toBe(sessionId)
    expect(manager.descriptions.get(credentials.nodeId)?.tls?.trustRoot).toEqual(both)
    // That is no failure, and no reason to wait.
    expect(agent.events.filter(({ type }) => type === 'disconnected')).toEqual([])
  })

  it('an agent finds its way to a manager whose chain TLS cannot walk, once it has proven the cross-signed root', async () => {
    const running = await startManager()
    const credentials = await running.member()
    await turnToDockersShape(running)
    const agent = probeAgent({ credentials, managers: [running.address] })
    expect(await agent.next('disconnected')).toMatchObject({ code: 'MANAGER_UNTRUSTED' })
    expect(await agent.next('session')).toMatchObject({ address: running.address })
  })

  it('a node joins such a manager', async () => {
    const running = await startManager()
    await turnToDockersShape(running)
    expect(await join(running, running.workerToken)).toMatchObject({ role: 'worker' })
  })

  it('nobody finds his way to a manager of a stranger’s root', async () => {
    const running = await startManager()
    const stranger = await testCluster()
    const next = await testCluster()
    const cross = await dockerCrossed(rootOfCluster(next), rootOfCluster(stranger))
    const own = await next.issue({ role: 'manager' })
    const certificateChain = formatCertificateChain([own.certificate, cross])
    const { trustBundle, privateKey } = own
    running.http2.setSecureContext(serverContextOptions({ privateKey, trustBundle, certificateChain }))
    await expect(join(running, running.workerToken)).rejects.toThrowCode('MANAGER_UNTRUSTED')
    const agent = probeAgent({ credentials: await running.member(), managers: [running.address] })
    expect(await agent.next('disconnected')).toMatchObject({ code: 'MANAGER_UNTRUSTED' })
    await until(() => agent.events.filter(({ type }) => type === 'disconnected').length === 3)
    expect(running.manager.calls.enroll).toBe(0)
    expect(agent.events.some(({ type }) => type === 'session')).toBe(false)
  })
})
