import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { createSecureServer } from 'node:http2'
import { createServer as createHttpsServer, request as httpsRequest } from 'node:https'
import { createServer as createTlsServer, type TLSSocket } from 'node:tls'
import { Code, ConnectError, createClient } from '@connectrpc/connect'
import { connectNodeAdapter, createGrpcTransport } from '@connectrpc/connect-node'
import * as grpc from '@grpc/grpc-js'
import { type HotTls, hotAgent, hotDispatcher, hotGrpcChannel, hotHttp2, serveGrpc } from '@leastwise/identity/node'
import { Agent, request as undiciRequest } from 'undici'
import { Dispatcher } from '../../packages/swarm/src/gen/docker/swarmkit/v1/dispatcher_pb.ts'
import { type Gate, listening, type Stack } from './hot-tls-support.ts'

/** Says `hello` at once and ` bye` when the gate opens, or `ok` to whoever does not want to wait. */
export interface StackKind {
  readonly name: string
  readonly serve: (hot: HotTls, gate: Gate) => Promise<number>
  readonly connect: (hot: HotTls, port: number) => Stack
}

const LOOPBACK = '127.0.0.1'

async function textOf(chunks: AsyncIterable<unknown>, first = ''): Promise<string> {
  let text = first
  for await (const chunk of chunks) text += String(chunk)
  return text
}

/** Reads the beginning, and leaves the rest for when it comes. */
async function begun(chunks: AsyncIterable<unknown>) {
  const iterator = chunks[Symbol.asyncIterator]()
  const first = await iterator.next()
  const rest = { [Symbol.asyncIterator]: () => iterator }
  return { finish: async () => await textOf(rest, String(first.value)) }
}

interface Answer {
  readonly write: (text: string) => unknown
  readonly end: (text: string) => unknown
}

function answerTo(wants: string, answer: Answer, gate: Gate): void {
  if (!wants.includes('wait')) {
    answer.end('ok')
    return
  }
  answer.write('hello')
  gate.hold(() => answer.end(' bye'))
}

const tls: StackKind = {
  name: 'node:tls',
  serve: async (hot, gate) => {
    const server = createTlsServer(hot.serverOptions(), (socket) => {
      socket.once('data', (data: Buffer) => {
        answerTo(data.toString(), socket, gate)
      })
    })
    hot.serve(server)
    return await listening(server)
  },
  connect: (hot, port) => {
    const open = async (wants: string): Promise<TLSSocket> => {
      const socket = hot.dial({ host: LOOPBACK, port })
      socket.on('error', () => undefined)
      await Promise.race([once(socket, 'secureConnect'), once(socket, 'close')])
      if (socket.destroyed) throw new Error('cut')
      socket.write(wants)
      return socket
    }
    return {
      ask: async () => await textOf(await open('now')),
      begin: async () => await begun(await open('wait')),
      close: () => undefined,
    }
  },
}

const serveHttps: StackKind['serve'] = async (hot, gate) => {
  const server = createHttpsServer(hot.serverOptions(['http/1.1']), (request, response) => {
    answerTo(request.url ?? '', response, gate)
  })
  // Whoever drains waits for it where a connection is idle. Clients keep none that ends within two seconds.
  server.keepAliveTimeout = 3000
  hot.serve(server)
  return await listening(server)
}

const https: StackKind = {
  name: 'node:https',
  serve: serveHttps,
  connect: (hot, port) => {
    const { agent, close } = hotAgent(hot)
    const get = async (path: string): Promise<IncomingMessage> => {
      const sent = httpsRequest({ host: LOOPBACK, port, path, agent })
      sent.end()
      return ((await once(sent, 'response')) as [IncomingMessage])[0]
    }
    return {
      ask: async () => await textOf(await get('/now')),
      begin: async () => await begun(await get('/wait')),
      close,
    }
  },
}

const undici: StackKind = {
  name: 'undici',
  serve: serveHttps,
  connect: (hot, port) => {
    const { dispatcher, close } = hotDispatcher(hot, (connect) => new Agent({ connect }))
    const get = async (path: string) => (await undiciRequest(`https://${LOOPBACK}:${port}${path}`, { dispatcher })).body
    return {
      ask: async () => await textOf(await get('/now')),
      begin: async () => await begun(await get('/wait')),
      close,
    }
  },
}

const http2: StackKind = {
  name: 'node:http2',
  serve: async (hot, gate) => {
    const server = createSecureServer(hot.serverOptions())
    server.on('sessionError', () => undefined)
    server.on('stream', (stream, headers) => {
      stream.on('error', () => undefined)
      stream.respond({ ':status': 200 })
      answerTo(headers[':path'] ?? '', stream, gate)
    })
    hot.serve(server)
    return await listening(server)
  },
  connect: (hot, port) => {
    const { request, close } = hotHttp2(hot, `https://${LOOPBACK}:${port}`)
    const get = async (path: string) => await request('GET', path, {}, {})
    return {
      ask: async () => await textOf(await get('/now')),
      begin: async () => await begun(await get('/wait')),
      close,
    }
  },
}

const connectNode: StackKind = {
  name: 'connect-node',
  serve: async (hot, gate) => {
    const handler = connectNodeAdapter({
      routes: (router) => {
        router.rpc(Dispatcher.method.session, async function* ({ sessionId }) {
          if (sessionId !== 'wait') {
            yield { sessionId: 'ok' }
            return
          }
          yield { sessionId: 'hello' }
          await new Promise<void>((resolve) => {
            gate.hold(resolve)
          })
          yield { sessionId: ' bye' }
        })
      },
    })
    const server = createSecureServer(hot.serverOptions(), handler)
    server.on('sessionError', () => undefined)
    hot.serve(server)
    return await listening(server)
  },
  connect: (hot, port) => {
    const baseUrl = `https://${LOOPBACK}:${port}`
    const sessionManager = hotHttp2(hot, baseUrl)
    const client = createClient(Dispatcher, createGrpcTransport({ baseUrl, sessionManager }))
    const call = async function* (sessionId: string) {
      try {
        for await (const message of client.session({ sessionId })) yield message.sessionId
      } catch (error) {
        throw ConnectError.from(error, Code.Unavailable)
      }
    }
    return {
      ask: async () => await textOf(call('now')),
      begin: async () => await begun(call('wait')),
      close: sessionManager.close,
    }
  },
}

const bytes = (text: string): Buffer => Buffer.from(text)
const text = (data: Buffer): string => data.toString()
const WATCH = {
  watch: {
    path: '/leastwise.test.Watch/Watch',
    requestStream: false,
    responseStream: true,
    requestSerialize: bytes,
    requestDeserialize: text,
    responseSerialize: bytes,
    responseDeserialize: text,
  },
} as const

const grpcJs: StackKind = {
  name: '@grpc/grpc-js',
  serve: async (hot, gate) => {
    const answers = new grpc.Server()
    answers.addService(WATCH, {
      watch: (call: grpc.ServerWritableStream<string, string>) => {
        const end = (last: string): void => {
          call.write(last)
          call.end()
        }
        answerTo(call.request, { write: (part) => call.write(part), end }, gate)
      },
    })
    const server = createTlsServer(hot.serverOptions())
    serveGrpc(hot, server, () => answers.createConnectionInjector(grpc.ServerCredentials.createInsecure()))
    return await listening(server)
  },
  connect: (hot, port) => {
    const target = `${LOOPBACK}:${port}`
    const channelOverride = hotGrpcChannel(hot, grpc, { target })
    const client = new grpc.Client(target, grpc.credentials.createInsecure(), { channelOverride })
    const call = (wants: string) =>
      client.makeServerStreamRequest(WATCH.watch.path, bytes, text, wants) as AsyncIterable<unknown>
    return {
      ask: async () => await textOf(call('now')),
      begin: async () => await begun(call('wait')),
      close: () => {
        client.close()
      },
    }
  },
}

export const STACKS: readonly StackKind[] = [tls, https, undici, http2, connectNode, grpcJs]
