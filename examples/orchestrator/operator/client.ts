import { request } from 'node:http'
import { type RequestOptions, request as requestOverTls } from 'node:https'
import { asError, codeOf, OrchestratorError } from '../errors.ts'
import type { RemoteManager } from './remote/remote-manager.ts'
import { operatorSocket } from './socket.ts'

/** An error that the manager sent back, with its code. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError'
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

/** One command to a manager. */
export interface OperatorCall {
  /** For instance `secret/create`. */
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  /** JSON, or bytes that go over as they are. */
  readonly body?: Uint8Array | object
}

const MAX_ANSWER_BYTES = 64 * 1024 * 1024

/** Somebody far away who has not proven to be the manager by then is given up. */
const CONNECT_MS = 10_000

class ConnectTimeoutError extends Error {
  readonly code = 'ETIMEDOUT'
}

function notRunning(error: unknown, dataDirectory: string): unknown {
  const code = codeOf(error)
  if (code === 'ECONNRESET' || code === 'EPIPE')
    return new OrchestratorError(
      'ANSWER_LOST',
      `the manager in ${dataDirectory} ended before it answered; it may have done what it was asked, so look before you ask again`,
      { cause: error },
    )
  if (code !== 'ENOENT' && code !== 'ENOTDIR' && code !== 'ECONNREFUSED' && code !== 'EACCES') return error
  return code === 'EACCES'
    ? new OrchestratorError(
        'DATA_DIRECTORY_FOREIGN',
        `the manager in ${dataDirectory} belongs to another user; run the command as that user`,
      )
    : new OrchestratorError(
        'MANAGER_NOT_RUNNING',
        `no manager answers in ${dataDirectory}; start it, or name its directory with --data`,
      )
}

interface Route {
  readonly where: RequestOptions
  /** What a broken exchange means. */
  readonly failure: (error: unknown) => unknown
}

async function routeTo(target: string | RemoteManager): Promise<Route> {
  if (typeof target === 'string')
    return { where: { socketPath: operatorSocket(target) }, failure: (error) => notRunning(error, target) }
  // Most commands are local, and need none of it.
  const { remoteFailure, remoteOptions } = await import('./remote/remote-manager.ts')
  return { where: remoteOptions(target), failure: (error) => remoteFailure(error, target) }
}

/** Sends `call` to the manager that runs in a data directory, or is somewhere else, and gives its answer. */
export async function callManager<Answer>(target: string | RemoteManager, call: OperatorCall): Promise<Answer> {
  const search = new URLSearchParams(call.query ?? {}).toString()
  const raw = call.body instanceof Uint8Array
  const body = raw ? Buffer.from(call.body) : Buffer.from(JSON.stringify(call.body ?? {}))
  const { where, failure } = await routeTo(target)
  const text = await new Promise<{ status: number; text: string }>((resolve, reject) => {
    const send = typeof target === 'string' ? request : requestOverTls
    const sent = send(
      {
        ...where,
        method: 'POST',
        path: `/${call.path}${search === '' ? '' : `?${search}`}`,
        headers: {
          'content-type': raw ? 'application/octet-stream' : 'application/json',
          'content-length': body.length,
        },
      },
      (response) => {
        const chunks: Buffer[] = []
        let size = 0
        response.on('data', (chunk: Buffer) => {
          size += chunk.length
          if (size > MAX_ANSWER_BYTES)
            response.destroy(new OrchestratorError('INPUT_TOO_LARGE', 'the manager sent more than 64 MiB'))
          else chunks.push(chunk)
        })
        response.on('end', () => {
          resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') })
        })
        response.on('error', (error) => {
          reject(asError(failure(error)))
        })
      },
    )
    sent.on('error', (error) => {
      reject(asError(failure(error)))
    })
    if (typeof target !== 'string')
      sent.on('socket', (socket) => {
        // The time until it has proven itself; how long a command then takes is its own matter.
        const limit = setTimeout(() => socket.destroy(new ConnectTimeoutError()), CONNECT_MS)
        for (const end of ['secureConnect', 'close'])
          socket.once(end, () => {
            clearTimeout(limit)
          })
      })
    sent.end(body)
  })
  const answer = JSON.parse(text.text) as {
    readonly answer?: Answer
    readonly error?: { code: string; message: string }
  }
  if (answer.error !== undefined) throw new RefusedError(answer.error.code, answer.error.message)
  return answer.answer as Answer
}
