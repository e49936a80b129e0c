import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2'
import { connect as connectSocket } from 'node:net'
import { RaftLogError } from '../../errors.ts'
import type { Clock } from '../../ports.ts'

/** What was answered: a message if the status is 0, otherwise the status alone. */
export type UnaryAnswer =
  | { readonly status: 0; readonly message: Uint8Array<ArrayBuffer> }
  | { readonly status: Exclude<number, 0>; readonly message: null }

/** One call: a method's path, a message. Rejects with `KEEPER_UNREACHABLE` or `KEEPER_ANSWER_INVALID`. */
export type UnaryCall = (path: string, message: Uint8Array) => Promise<UnaryAnswer>

/** Where a plug-in listens, and for how long it is waited for. */
export interface UnaryOptions {
  readonly socketPath: string
  readonly timeoutMs: number
  readonly clock: Clock
  readonly signal: AbortSignal
}

// The largest answer that could be kept has less than half of this.
const MAX_ANSWER_BYTES = 16 * 1024
const MAX_HEADER_BYTES = 16 * 1024
const PREFIX_BYTES = 5
const STATUS = /^(?:0|[1-9]\d?)$/

const unreachable = (what: string, cause?: unknown): RaftLogError =>
  new RaftLogError('KEEPER_UNREACHABLE', `key service ${what}; see that it runs and listens at this socket`, { cause })

const invalid = (what: string, cause?: unknown): RaftLogError =>
  new RaftLogError('KEEPER_ANSWER_INVALID', `key service ${what}; see what listens at this socket`, { cause })

/** A length-prefixed message (gRPC over HTTP/2, "Requests"), not compressed. */
function frame(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(PREFIX_BYTES)
  prefix.writeUInt32BE(message.length, 1)
  return Buffer.concat([prefix, message])
}

/** The one message of a body. */
function unframe(body: Buffer): Uint8Array<ArrayBuffer> {
  if (body.length < PREFIX_BYTES || body.readUInt32BE(1) !== body.length - PREFIX_BYTES) {
    throw invalid('did not answer with one message')
  }
  if (body[0] !== 0) throw invalid('answered in a compression that was not offered')
  return new Uint8Array(body.subarray(PREFIX_BYTES))
}

/** Begins a request; a connection that is gone by now says so at once. */
function open(session: ClientHttp2Session, headers: OutgoingHttpHeaders): ClientHttp2Stream {
  try {
    return session.request(headers)
  } catch (error) {
    throw unreachable('closed the connection', error)
  }
}

/** What came on a stream: headers and trailers together, and whether there were trailers. */
interface Collected {
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  readonly ended: boolean
}

/** Resolves once the stream is closed, other than by a reset. */
async function collect(stream: ClientHttp2Stream): Promise<Collected> {
  return await new Promise((resolve, reject) => {
    let headers: IncomingHttpHeaders = {}
    let ended = false
    const chunks: Buffer[] = []
    let size = 0
    stream.on('response', (first: IncomingHttpHeaders) => {
      headers = first
    })
    stream.on('trailers', (trailers: IncomingHttpHeaders) => {
      headers = { ...headers, ...trailers }
      ended = true
    })
    stream.on('data', (chunk: Buffer) => {
      size += chunk.length
      chunks.push(chunk)
      if (size > MAX_ANSWER_BYTES + PREFIX_BYTES) {
        reject(invalid(`answered with more than ${MAX_ANSWER_BYTES} bytes`))
        stream.destroy()
      }
    })
    stream.on('error', (error: NodeJS.ErrnoException) => {
      const protocol = error.code === 'ERR_HTTP2_ERROR' || error.code === 'ERR_HTTP2_SESSION_ERROR'
      reject(protocol ? invalid('does not speak its protocol', error) : unreachable('cannot be reached', error))
    })
    stream.on('close', () => {
      if (stream.rstCode !== 0 || stream.aborted) reject(unreachable('broke off its answer'))
      else resolve({ headers, body: Buffer.concat(chunks), ended })
    })
  })
}

function answerOf({ headers, body, ended }: Collected): UnaryAnswer {
  const http = headers[':status']
  if (http === undefined) throw unreachable('broke off before its answer')
  if (Number(http) !== 200) throw invalid('answered with another HTTP status than 200')
  if (headers['content-type']?.startsWith('application/grpc') !== true) throw invalid('does not answer in gRPC')
  const status = headers['grpc-status']
  if (status === undefined && !ended) throw unreachable('broke off its answer')
  if (typeof status !== 'string' || !STATUS.test(status)) throw invalid('answered without a status')
  // The status message is the plug-in's own text and may hold anything, so it goes nowhere.
  return status === '0' ? { status: 0, message: unframe(body) } : { status: Number(status), message: null }
}

/**
 * Opens one HTTP/2 connection over a unix socket, lets `use` make unary gRPC calls on it, and closes it.
 *
 * Each call has the whole of `timeoutMs`, the first one for connecting, too. Whatever is still under way when the signal
 * aborts or `use` is done is broken off.
 */
export async function withUnaryCalls<T>(options: UnaryOptions, use: (call: UnaryCall) => Promise<T>): Promise<T> {
  options.signal.throwIfAborted()
  const session: ClientHttp2Session = connect('http://localhost', {
    createConnection: () => connectSocket({ path: options.socketPath }),
    settings: { enablePush: false, maxHeaderListSize: MAX_HEADER_BYTES },
  })
  // Every call hears of it through its stream.
  session.on('error', () => undefined)
  const done = new AbortController()
  const until = AbortSignal.any([done.signal, options.signal])

  const call: UnaryCall = async (path, message) => {
    const stream = open(session, {
      ':method': 'POST',
      ':path': path,
      ':authority': 'localhost',
      'content-type': 'application/grpc',
      te: 'trailers',
      'grpc-timeout': `${options.timeoutMs}m`,
    })
    stream.end(frame(message))
    const answered = collect(stream)
    const late = options.clock.sleep(options.timeoutMs, { signal: until }).then(() => {
      throw unreachable(`did not answer within ${options.timeoutMs} ms`)
    })
    return answerOf(await Promise.race([answered, late]))
  }

  try {
    return await use(call)
  } catch (error) {
    options.signal.throwIfAborted()
    throw error
  } finally {
    done.abort()
    // In a turn of its own: this one may be amidst what the plug-in sent.
    setImmediate(() => {
      session.destroy()
    })
  }
}
