import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import { type ConnectRouter, createConnectRouter, createContextValues } from '@connectrpc/connect'
import { uResponseNotFound } from '@connectrpc/connect/protocol'
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from '@connectrpc/connect-node'
import type { PeerIdentity } from '@leastwise/identity'
import { callerKey } from '../access.ts'

/** Answers one HTTP/2 request. */
export type RequestHandler = (request: Http2ServerRequest, response: Http2ServerResponse) => void

/** What {@link createRequestHandler} works with. */
export interface RequestHandlerOptions {
  readonly routes: (router: ConnectRouter) => void
  /** The caller of a request, as its connection proved it; `undefined` when the connection is already being cut. */
  readonly callerOf: (request: Http2ServerRequest) => PeerIdentity | null | undefined
  readonly maxCallMs: number
}

/**
 * The one door between HTTP/2 and the handlers: gRPC and nothing else.
 *
 * An unknown path gets 404, which gRPC clients read as "unimplemented"; a hand-made status would need trailers only, and a
 * stock engine ends its session over any other form.
 */
export function createRequestHandler({ routes, callerOf, maxCallMs }: RequestHandlerOptions): RequestHandler {
  const router = createConnectRouter({
    grpc: true,
    grpcWeb: false,
    connect: false,
    acceptCompression: [],
    maxTimeoutMs: maxCallMs,
  })
  routes(router)
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]))
  return (request, response) => {
    const caller = callerOf(request)
    if (caller === undefined) {
      // Whatever resets streams has a turn of its own: here it would be amidst what the peer sent.
      setImmediate(() => request.stream.session?.destroy())
      return
    }
    const handler = handlers.get(request.url)
    if (handler === undefined) {
      response.writeHead(uResponseNotFound.status)
      response.end()
      return
    }
    // After an answer whose question was not read to its end (it was too large), the sender is told to stop.
    request.stream.once('wantTrailers', () => {
      setImmediate(() => {
        if (!request.stream.readableEnded) request.stream.close()
      })
    })
    const values = createContextValues().set(callerKey, caller)
    void handler(universalRequestFromNodeRequest(request, response, undefined, values))
      .then(async (answer) => {
        await universalResponseToNodeResponse(answer, response)
      })
      // What is left to fail here is writing to a caller that has gone.
      .catch(() => {
        setImmediate(() => {
          if (!request.stream.destroyed) request.stream.close()
        })
      })
  }
}
