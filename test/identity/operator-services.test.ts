import { once } from 'node:events'
import { connect, createSecureServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { createCsr, issueOperatorCertificate } from '@leastwise/identity'
import {
  clientContextOptions,
  createNodeKey,
  exportPrivateKey,
  guardedListen,
  peerOf,
  serverContextOptions,
  systemDigest,
  systemRandom,
  systemVerifier,
} from '@leastwise/identity/node'
import { ACCESS_TABLE } from '@leastwise/swarm'
import { createSwarmServer } from '@leastwise/swarm/node'
import { expect, it, onTestFinished } from 'vitest'
import { testCluster, testNodeId } from '../support/test-authority.ts'
import { identityOf } from './tls-support.ts'

it('no service for nodes hears an operator, not even those that are open to everybody', async () => {
  const cluster = await testCluster()
  const manager = await cluster.issue({ role: 'manager' })
  const refusals: unknown[] = []
  let judged = 0
  const swarm = createSwarmServer({
    routes: () => undefined,
    identify: (socket) => peerOf(socket, { roots: [cluster.root], clusterId: cluster.clusterId, now: Date.now() }),
    authorize: () => {
      judged += 1
    },
    onRefused: ({ error }) => refusals.push((error as { readonly code: string }).code),
  })
  const server = createSecureServer({ ...serverContextOptions(identityOf(manager)), ...swarm.serverOptions })
  swarm.attach(server)
  onTestFinished(async () => {
    await swarm.close({ graceMs: 0 })
  })
  const { port }: AddressInfo = await guardedListen(server, { host: '127.0.0.1', port: 0 })

  const key = createNodeKey()
  const certificate = await issueOperatorCertificate(
    cluster.authority,
    await createCsr(key),
    { operatorId: testNodeId(500), clusterId: cluster.clusterId },
    { random: systemRandom, now: cluster.now, verifier: systemVerifier, digest: systemDigest },
  )
  const identity = {
    privateKey: exportPrivateKey(key),
    certificateChain: certificate.pem,
    trustBundle: cluster.root.pem,
  }
  const methods = Object.keys(ACCESS_TABLE)
  expect(methods.length).toBeGreaterThan(5)
  for (const method of methods) {
    const client = connect(`https://127.0.0.1:${port}`, clientContextOptions(identity))
    client.on('error', () => undefined)
    let answered = false
    const call = client.request({ ':method': 'POST', ':path': `/${method}`, 'content-type': 'application/grpc' })
    call.on('response', () => {
      answered = true
    })
    call.on('error', () => undefined)
    await once(client, 'close')
    expect(answered, method).toBe(false)
  }
  expect(refusals).toEqual(methods.map(() => 'PEER_PROFILE_INVALID'))
  expect(judged).toBe(0)
})
