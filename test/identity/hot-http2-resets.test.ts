import { EventEmitter } from 'node:events'
import { type ClientHttp2Stream, createSecureServer } from 'node:http2'
import { resetsApart, serverContextOptions } from '@leastwise/identity/node'
import { describe, expect, it } from 'vitest'
import { lastLineOf, leavesAfterFirstCall } from '../support/leaving-peer.ts'
import { testCluster } from '../support/test-authority.ts'
import { identityOf } from './tls-support.ts'

const ROUNDS = 100

// connect-node resets the streams of calls that are given up.
const CLIENT = `
  import { EmptySchema } from '@bufbuild/protobuf/wkt'
  import { createGrpcTransport } from '@connectrpc/connect-node'
  import { hotHttp2, hotTls } from '@leastwise/identity/node'
  const { authority, identity, rounds } = JSON.parse(process.env.LEASTWISE_TOLD)
  const hot = hotTls({ ...identity, privateKey: Uint8Array.from(identity.privateKey) })
  const parent = { typeName: 'test.Streams' }
  const method = { kind: 'rpc', name: 'Follow', parent, methodKind: 'server_streaming', input: EmptySchema, output: EmptySchema, idempotency: 0 }
  async function* one() { yield {} }
  let refused = 0
  for (let round = 0; round < rounds; round += 1) {
    const sessionManager = hotHttp2(hot, authority)
    const transport = createGrpcTransport({ baseUrl: authority, sessionManager })
    const scope = new AbortController()
    const begin = async () => (await transport.stream(method, scope.signal, undefined, {}, one())).message[Symbol.asyncIterator]()
    const long = await begin()
    await long.next()
    await begin().then((short) => short.next()).catch(() => { refused += 1 })
    scope.abort(new DOMException('another call failed', 'AbortError'))
    await long.next().catch(() => undefined)
    sessionManager.close()
  }
  console.log(JSON.stringify({ done: true, refused }))
  process.exit(0)
`

it('a client whose server goes away while it asks for more resets its other streams, and goes on', {
  timeout: 30_000,
}, async () => {
  const cluster = await testCluster()
  const identity = identityOf(await cluster.issue({ role: 'manager' }))
  const server = createSecureServer({ ...serverContextOptions(identity), requestCert: false })
  const authority = `https://127.0.0.1:${await leavesAfterFirstCall(server, { by: 'farewell' })}`
  const told = { ...identity, privateKey: [...identity.privateKey] }
  const ended = await lastLineOf(CLIENT, { authority, identity: told, rounds: ROUNDS })
  expect(ended).toEqual({ done: true, refused: expect.any(Number) as number })
  // Otherwise nothing was proven.
  expect((ended as { readonly refused: number }).refused).toBeGreaterThan(ROUNDS / 10)
})

describe('one stream', () => {
  const turn = async (): Promise<void> => {
    await new Promise(setImmediate)
  }
  const fake = () => {
    const calls: unknown[] = []
    const socket = new EventEmitter()
    const stream = { closed: false, close: (code: number) => calls.push(code), session: { destroyed: false, socket } }
    return { calls, socket, stream, reset: resetsApart(stream as never) as ClientHttp2Stream }
  }

  it('is closed in the next turn', async () => {
    const { calls, reset } = fake()
    reset.close(8)
    expect(calls).toEqual([])
    await turn()
    expect(calls).toEqual([8])
  })

  it('that was closed meanwhile is not closed again, and says so to whoever waits', async () => {
    const { calls, stream, reset } = fake()
    const heard = new Promise<void>((resolve) => {
      reset.close(8, resolve)
    })
    stream.closed = true
    await heard
    expect(calls).toEqual([])
  })

  it('is closed at once when its connection is gone, as Node does it', () => {
    const { calls, socket, reset } = fake()
    socket.once('close', () => {
      reset.close(8)
    })
    socket.emit('close')
    expect(calls).toEqual([8])
  })
})
