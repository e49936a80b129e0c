import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2'
import { type ConnectionOptions, type TLSSocket, connect as tlsConnect } from 'node:tls'
import { onTestFinished } from 'vitest'

/** What came back from one gRPC call that was made by hand. */
export interface RawAnswer {
  readonly httpStatus: number
  /** `null` when the server sent none. */
  readonly grpcStatus: number | null
  readonly message: string
  readonly code: string | null
  readonly messages: readonly Uint8Array[]
}

/** A length-delimited protobuf field. */
export const field = (number: number, value: Uint8Array | string): Uint8Array => {
  const bytes = typeof value === 'string' ? new TextEncoder().encode(value) : value
  const varint: number[] = []
  for (let left = bytes.length; ; left >>>= 7) {
    if (left < 128) {
      varint.push(left)
      break
    }
    varint.push((left & 127) | 128)
  }
  return Uint8Array.from([(number << 3) | 2, ...varint, ...bytes])
}

const frame = (body: Uint8Array): Buffer => {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(body.length, 1)
  return Buffer.concat([head, body])
}

const unframe = (bytes: Buffer): Uint8Array[] => {
  const messages: Uint8Array[] = []
  for (let at = 0; at + 5 <= bytes.length; ) {
    const length = bytes.readUInt32BE(at + 1)
    if (at + 5 + length > bytes.length) break
    messages.push(new Uint8Array(bytes.subarray(at + 5, at + 5 + length)))
    at += 5 + length
  }
  return messages
}

/** TLS to a server, with or without a protocol offered. */
export async function rawTls(port: number, options: ConnectionOptions): Promise<TLSSocket> {
  return await new Promise((resolve, reject) => {
    const socket = tlsConnect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options }, () => {
      resolve(socket)
    })
    socket.once('error', reject)
    socket.once('close', () => {
      reject(new Error('connection closed'))
    })
    onTestFinished(() => {
      socket.destroy()
    })
  })
}

/** HTTP/2 by hand over such a connection. */
export async function rawHttp2(port: number, options: ConnectionOptions): Promise<ClientHttp2Session> {
  const socket = await rawTls(port, options)
  const session = connect('https://127.0.0.1', { createConnection: () => socket })
  session.on('error', () => undefined)
  onTestFinished(() => {
    session.destroy()
  })
  return session
}

export interface OpenCall {
  readonly stream: ClientHttp2Stream
  readonly answer: Promise<RawAnswer>
  /** Resolves with the first message that arrives. */
  readonly first: Promise<Uint8Array>
}

/** Starts a call whose body is sent as it is: a well-formed frame around `body`, or exactly `raw`. */
export function openCall(session: ClientHttp2Session, path: string, body: Uint8Array, raw?: Uint8Array): OpenCall {
  const stream = session.request({
    [constants.HTTP2_HEADER_METHOD]: 'POST',
    [constants.HTTP2_HEADER_PATH]: `/docker.swarmkit.v1.${path}`,
    'content-type': 'application/grpc',
    te: 'trailers',
  })
  let headers: Record<string, unknown> = {}
  let received = Buffer.alloc(0)
  let gotFirst: (message: Uint8Array) => void = () => undefined
  const first = new Promise<Uint8Array>((resolve) => {
    gotFirst = resolve
  })
  stream.on('response', (response) => {
    headers = { ...headers, ...response }
  })
  stream.on('trailers', (trailers: Record<string, unknown>) => {
    headers = { ...headers, ...trailers }
  })
  stream.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk])
    const [message] = unframe(received)
    if (message !== undefined) gotFirst(message)
  })
  stream.on('error', () => undefined)
  const answer = new Promise<RawAnswer>((resolve) => {
    stream.on('close', () => {
      const grpcStatus = headers['grpc-status']
      const code = headers['leastwise-code']
      resolve({
        httpStatus: Number(headers[':status'] ?? 0),
        grpcStatus: grpcStatus === undefined ? null : Number(grpcStatus),
        message: decodeURIComponent(typeof headers['grpc-message'] === 'string' ? headers['grpc-message'] : ''),
        code: typeof code === 'string' ? code : null,
        messages: unframe(received),
      })
    })
  })
  stream.end(raw ?? frame(body))
  return { stream, answer, first }
}

/** One call from beginning to end. */
export const rawCall = async (
  session: ClientHttp2Session,
  path: string,
  body: Uint8Array = new Uint8Array(),
  raw?: Uint8Array,
): Promise<RawAnswer> => await openCall(session, path, body, raw).answer
