import { request } from 'node:http'
import { asError, codeOf, OrchestratorError } from '../errors.ts'
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

/** One command to the manager's local socket. */
export interface OperatorCall {
  /** For instance `secret/create`. */
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  /** JSON, or bytes that go over as they are. */
  readonly body?: Uint8Array | object
}

const MAX_ANSWER_BYTES = 64 * 1024 * 1024

function notRunning(error: unknown, dataDirectory: string): unknown {
  const code = codeOf(error)
  if (code !== 'ENOENT' && code !== 'ECONNREFUSED' && code !== 'EACCES') return error
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

/** Sends `call` to the manager that runs in `dataDirectory` and gives its answer. */
export async function callManager<Answer>(dataDirectory: string, call: OperatorCall): Promise<Answer> {
  const search = new URLSearchParams(call.query ?? {}).toString()
  const raw = call.body instanceof Uint8Array
  const body = raw ? Buffer.from(call.body) : Buffer.from(JSON.stringify(call.body ?? {}))
  const text = await new Promise<{ status: number; text: string }>((resolve, reject) => {
    const sent = request(
      {
        socketPath: operatorSocket(dataDirectory),
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
        response.on('error', reject)
      },
    )
    sent.on('error', (error) => {
      reject(asError(notRunning(error, dataDirectory)))
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
