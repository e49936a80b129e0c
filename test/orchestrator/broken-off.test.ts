import { once } from 'node:events'
import { type ClientHttp2Session, connect, constants } from 'node:http2'
import { setTimeout as pause } from 'node:timers/promises'
import { clientContextOptions, systemClock, systemRandom } from '@leastwise/identity/node'
import type { NodeCredentials } from '@leastwise/swarm'
import { joinCluster } from '@leastwise/swarm/node'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { seededRandom } from '../support/seeded-random.ts'
import { type Manager, Sandbox } from './cluster-processes.ts'

const CONNECTIONS = 40
const CALLS = 25
const NODES = 3
const SESSION = '/docker.swarmkit.v1.Dispatcher/Session'
const PATHS = [
  SESSION,
  '/docker.swarmkit.v1.Dispatcher/Assignments',
  '/docker.swarmkit.v1.Dispatcher/Heartbeat',
  '/docker.swarmkit.v1.Dispatcher/UpdateTaskStatus',
  '/docker.swarmkit.v1.CA/GetRootCACertificate',
  '/docker.swarmkit.v1.NodeCA/NodeCertificateStatus',
  '/leastwise.v1.Evictions/Follow',
]
const RESETS = [
  constants.NGHTTP2_NO_ERROR,
  constants.NGHTTP2_INTERNAL_ERROR,
  constants.NGHTTP2_REFUSED_STREAM,
  constants.NGHTTP2_CANCEL,
]

let sandbox: Sandbox
let manager: Manager
beforeAll(async () => {
  sandbox = new Sandbox()
  manager = await sandbox.manager()
})
afterAll(async () => {
  await sandbox[Symbol.asyncDispose]()
})

/** One field that is a text, as a gRPC message. */
function message(field: string): Buffer {
  const body = Buffer.concat([Buffer.from([0x0a, field.length]), Buffer.from(field)])
  const prefix = Buffer.alloc(5)
  prefix.writeUInt32BE(body.length, 1)
  return Buffer.concat([prefix, body])
}

/** Opens calls, sends all, half or nothing of each, and breaks off what it likes at any moment; returns how many it made. */
async function misbehave({ privateKey, certificateChain, trustBundle, nodeId }: NodeCredentials, seed: number) {
  const random = seededRandom(seed)
  const draw = (most: number): number => {
    const [a = 0, b = 0] = random.bytes(2)
    return ((a << 8) | b) % most
  }
  const identity = { privateKey, certificateChain, trustBundle: new TextDecoder().decode(trustBundle) }
  let made = 0
  const call = async (client: ClientHttp2Session, path: string, sessionId: string): Promise<void> => {
    const stream = client.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc+proto',
      te: 'trailers',
    })
    made += 1
    stream.on('error', () => undefined)
    if (draw(10) > 0) stream.resume()
    const sent = message(path.includes('NodeCA') ? nodeId : sessionId)
    const way = draw(4)
    if (way === 0) stream.write(sent)
    else if (way === 1) stream.write(sent.subarray(0, 3))
    else stream.end(sent)
    if (draw(3) > 0) {
      await pause(draw(4))
      if (!stream.destroyed) stream.close(RESETS[draw(RESETS.length)])
    }
  }
  for (let count = 0; count < CONNECTIONS; count += 1) {
    const client = connect(`https://${manager.address}`, clientContextOptions(identity))
    client.on('error', () => undefined)
    await Promise.race([once(client, 'connect'), once(client, 'close')])
    const calls: Promise<void>[] = []
    for (let number = 0; number < CALLS && !client.closed && !client.destroyed; number += 1) {
      calls.push(
        call(client, number === 0 ? SESSION : PATHS[draw(PATHS.length)]!, 'x'.repeat(25)).catch(() => undefined),
      )
      if (draw(3) === 0) await pause(draw(3))
    }
    const leave = draw(3)
    if (leave === 0) client.destroy()
    else if (leave === 1) client.goaway()
    await Promise.all(calls)
    client.destroy()
  }
  return made
}

it('a manager answers on, whatever its workers break off, and when', { timeout: 60_000 }, async () => {
  const { signal } = new AbortController()
  const join = {
    addresses: [manager.address] as const,
    token: manager.workerToken,
    clock: systemClock,
    random: systemRandom,
  }
  const nodes = await Promise.all(Array.from({ length: NODES }, async () => await joinCluster({ ...join, signal })))
  const made = await Promise.all(nodes.map(async (node, seed) => await misbehave(node, seed)))
  expect(Math.min(...made)).toBeGreaterThan(CONNECTIONS)
  // By its operator and by a node that behaves.
  expect(await manager.call<readonly unknown[]>('node/ls')).toHaveLength(NODES + 1)
  await sandbox.worker(manager, 'honest')
})
