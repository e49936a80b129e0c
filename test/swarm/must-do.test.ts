import { connect as tlsConnect } from 'node:tls'
import { fromBinary } from '@bufbuild/protobuf'
import { clientContextOptions, systemClock } from '@leastwise/identity/node'
import type { Clock, NodeCredentials } from '@leastwise/swarm'
import { describe, expect, it } from 'vitest'
import { SessionMessageSchema } from '../../packages/swarm/src/gen/docker/swarmkit/v1/dispatcher_pb.ts'
import { NodeRole } from '../../packages/swarm/src/gen/docker/swarmkit/v1/node_pb.ts'
import { field, openCall, rawCall, rawHttp2, rawTls } from '../support/swarm-raw.ts'
import { startManager } from '../support/swarm-server.ts'

const tlsOf = ({ privateKey, certificateChain, trustBundle }: NodeCredentials) =>
  clientContextOptions({ privateKey, certificateChain, trustBundle: Buffer.from(trustBundle).toString() })

/** The real clock, with a record of every pause that was asked for and none of them taken. */
function recordingClock(): { readonly clock: Clock; readonly slept: number[] } {
  const slept: number[] = []
  return {
    slept,
    clock: {
      now: systemClock.now,
      sleep: async (ms) => {
        slept.push(ms)
      },
    },
  }
}

describe('a stock engine can rely on', () => {
  it('being served without ALPN, which it stops offering after its first renewal', async () => {
    const { port, member } = await startManager()
    const { ALPNProtocols: _dropped, ...options } = tlsOf(await member())
    const socket = await rawTls(port, options)
    expect(socket.alpnProtocol).toBe(false)
    const session = await rawHttp2(port, options)
    const { first, stream } = openCall(session, 'Dispatcher/Session', new Uint8Array())
    expect((await first).length).toBeGreaterThan(0)
    expect(await rawCall(session, 'CA/GetRootCACertificate')).toMatchObject({ grpcStatus: 0 })
    stream.close()
  })

  it('nobody being served who offers another protocol', async () => {
    const { port, server } = await startManager()
    await expect(rawTls(port, { ALPNProtocols: ['http/1.1'] })).rejects.toThrow()
    expect(server.sessions()).toEqual([])
  })

  it('plain HTTP/1.1 without ALPN getting no answer of a handler', async () => {
    const { port, server } = await startManager()
    const socket = tlsConnect({ host: '127.0.0.1', port, rejectUnauthorized: false })
    socket.on('error', () => undefined)
    const heard: Buffer[] = []
    socket.on('data', (chunk: Buffer) => heard.push(chunk))
    socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
    await new Promise((resolve) => socket.once('close', resolve))
    expect(Buffer.concat(heard).toString('latin1')).not.toContain('HTTP/1.1')
    expect(server.sessions()).toEqual([])
  })

  it('a list of managers in every session message, and never being told to become one', async () => {
    const { port, member, manager } = await startManager()
    for (const role of ['worker', 'manager'] as const) {
      const session = await rawHttp2(port, tlsOf(await member({ role })))
      const { first, stream } = openCall(session, 'Dispatcher/Session', new Uint8Array())
      const message = fromBinary(SessionMessageSchema, await first)
      stream.close()
      expect(message.managers.map(({ peer }) => peer?.addr)).toEqual(
        manager.managers.get().map(({ address }) => address),
      )
      expect(message.node?.role).toBe(NodeRole.WORKER)
      expect(message.node?.spec?.desiredRole).toBe(NodeRole.WORKER)
      expect(message.node?.certificate?.csr.length).toBe(0)
    }
  })

  it('log subscriptions as a stream that stays open and silent', async () => {
    const { port, member } = await startManager()
    const session = await rawHttp2(port, tlsOf(await member()))
    const { stream, answer } = openCall(session, 'LogBroker/ListenSubscriptions', new Uint8Array())
    expect(await rawCall(session, 'CA/GetRootCACertificate')).toMatchObject({ grpcStatus: 0 })
    expect(stream.closed).toBe(false)
    stream.close()
    expect(await answer).toMatchObject({ messages: [] })
  })

  it('HTTP 404 for methods that do not exist, which gRPC reads as unimplemented', async () => {
    const { port, member } = await startManager()
    const session = await rawHttp2(port, tlsOf(await member()))
    expect(await rawCall(session, 'ResourceAllocator/AttachNetwork')).toMatchObject({
      httpStatus: 404,
      grpcStatus: null,
    })
  })

  it('a refused renewal that comes slowly, not at once', async () => {
    const { clock, slept } = recordingClock()
    const { port, member, manager } = await startManager({ clock })
    const session = await rawHttp2(port, tlsOf(await member()))
    manager.settings.renewalError = new Error('the authority is away, path /secret/place')
    expect(await rawCall(session, 'NodeCA/IssueNodeCertificate', field(2, 'csr'))).toMatchObject({
      grpcStatus: 13,
      code: 'INTERNAL',
    })
    expect(slept.filter((ms) => ms === 4000)).toHaveLength(1)
    manager.settings.renewalError = Object.assign(new Error('out'), { code: 'NODE_EVICTED' })
    expect(await rawCall(session, 'NodeCA/IssueNodeCertificate', field(2, 'csr'))).toMatchObject({
      grpcStatus: 7,
      code: 'PEER_EVICTED',
    })
    expect(slept.filter((ms) => ms === 4000)).toHaveLength(1)
  })

  it('its request being echoed byte for byte, whatever its line ends', async () => {
    const { port, cluster, manager, workerToken } = await startManager()
    const csr = (await cluster.issue()).csr.pem
    const session = await rawHttp2(port, { ALPNProtocols: ['h2'] })
    const issued = await rawCall(
      session,
      'NodeCA/IssueNodeCertificate',
      Buffer.concat([field(2, csr), field(3, workerToken)]),
    )
    expect(issued).toMatchObject({ grpcStatus: 0 })
    const [nodeId] = [...manager.nodes.keys()].slice(-1)
    const status = await rawCall(session, 'NodeCA/NodeCertificateStatus', field(1, nodeId!))
    expect(Buffer.from(status.messages[0]!).includes(Buffer.from(csr))).toBe(true)
  })

  it('a certificate status that is held back while there is none', async () => {
    const { port, cluster, manager, workerToken } = await startManager()
    manager.settings.holdIssuance = true
    const session = await rawHttp2(port, { ALPNProtocols: ['h2'] })
    await rawCall(
      session,
      'NodeCA/IssueNodeCertificate',
      Buffer.concat([field(2, (await cluster.issue()).csr.pem), field(3, workerToken)]),
    )
    const [nodeId] = [...manager.nodes.keys()].slice(-1)
    const poll = openCall(session, 'NodeCA/NodeCertificateStatus', field(1, nodeId!))
    expect(await rawCall(session, 'CA/GetRootCACertificate')).toMatchObject({ grpcStatus: 0 })
    expect(poll.stream.closed).toBe(false)
    await manager.release()
    expect(await poll.answer).toMatchObject({ grpcStatus: 0 })
  })
})
