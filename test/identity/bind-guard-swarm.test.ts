import { once } from 'node:events'
import { createSecureServer } from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import { connect } from 'node:tls'
import {
  clientContextOptions,
  dangerouslyExposeManagerToTheInternet,
  guardedListen,
  serverContextOptions,
} from '@leastwise/identity/node'
import { createSwarmServer } from '@leastwise/swarm/node'
import { expect, it, onTestFinished } from 'vitest'
import { testCluster } from '../support/test-authority.ts'
import { identityOf } from './tls-support.ts'

/** Whether a connection gets through its handshake that comes in on `localAddress`, as far as the server can see. */
async function isServed(localAddress: string, expose: boolean): Promise<boolean> {
  const cluster = await testCluster()
  const [manager, worker] = [await cluster.issue({ role: 'manager' }), await cluster.issue()]
  const swarm = createSwarmServer({
    routes: () => undefined,
    identify: () => null,
    authorize: () => undefined,
    ...(expose ? { [dangerouslyExposeManagerToTheInternet]: true } : {}),
  })
  const server = createSecureServer({ ...serverContextOptions(identityOf(manager)), ...swarm.serverOptions })
  server.on('connection', (socket: Socket) => {
    socket.on('error', () => undefined)
    Object.defineProperty(socket, 'localAddress', { value: localAddress })
  })
  swarm.attach(server)
  onTestFinished(async () => {
    await swarm.close({ graceMs: 0 })
  })
  const { port }: AddressInfo = await guardedListen(server, { host: '127.0.0.1', port: 0 })
  const client = connect({ host: '127.0.0.1', port, ...clientContextOptions(identityOf(worker)) })
  onTestFinished(() => {
    client.destroy()
  })
  return await Promise.race([
    once(client, 'secureConnect').then(() => true),
    once(client, 'close').then(() => false),
  ]).catch(() => false)
}

it.each([
  ['127.0.0.1', false, true],
  ['::ffff:10.0.0.5', false, true],
  ['8.8.8.8', false, false],
  ['2606:4700::1111', false, false],
  ['8.8.8.8', true, true],
] as const)(
  'a connection that comes in on %s, exposed on purpose: %s, is served: %s',
  async (address, expose, served) => {
    expect(await isServed(address, expose)).toBe(served)
  },
)
