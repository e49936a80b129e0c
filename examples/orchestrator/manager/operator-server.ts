import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { OrchestratorError, publicFace } from '../errors.ts'
import { listenAlone } from '../listen-alone.ts'
import { operatorSocket } from '../operator/socket.ts'

/** One request of the operator, already read. */
export interface OperatorRequest {
  readonly query: URLSearchParams
  readonly bytes: Uint8Array
  /** The body as JSON object; throws `USAGE` if it is none. */
  readonly body: () => Readonly<Record<string, unknown>>
}

export type Operation = (request: OperatorRequest) => unknown

const MAX_BODY_BYTES = 1024 * 1024

async function readBody(request: IncomingMessage): Promise<Uint8Array> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_BODY_BYTES)
      throw new OrchestratorError('INPUT_TOO_LARGE', `a request has at most ${MAX_BODY_BYTES} bytes`)
    chunks.push(chunk)
  }
  return new Uint8Array(Buffer.concat(chunks))
}

function parseBody(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch {
    // Falls through to the one refusal: what was sent is not repeated.
  }
  throw new OrchestratorError('USAGE', 'the request is not a JSON object')
}

/** Runs the operation that a request names, and answers. */
export async function answerOperator(
  request: IncomingMessage,
  response: ServerResponse,
  find: (path: string) => Operation | undefined,
): Promise<void> {
  let status = 200
  let text: string
  try {
    const url = new URL(request.url ?? '/', 'http://operator')
    const operation = request.method === 'POST' ? find(url.pathname.slice(1)) : undefined
    if (operation === undefined)
      throw new OrchestratorError('USAGE', 'the manager knows no such operation; is the command of the same version?')
    const bytes = await readBody(request)
    text = JSON.stringify({ answer: await operation({ query: url.searchParams, bytes, body: () => parseBody(bytes) }) })
  } catch (error) {
    const face = publicFace(error)
    if (face.code === 'INTERNAL')
      process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : 'unknown error'}\n`)
    status = 400
    text = JSON.stringify({ error: face })
  }
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
  response.end(text)
}

/** Listens on the data directory's socket, which only its owner can reach; of several managers that start at once one gets it. */
export async function serveOperator(
  dataDirectory: string,
  find: (path: string) => Operation | undefined,
): Promise<Server> {
  const server = createServer((request, response) => {
    void answerOperator(request, response, find)
  })
  if (await listenAlone(server, operatorSocket(dataDirectory))) return server
  throw new OrchestratorError('ALREADY_RUNNING', `another manager runs in ${dataDirectory}; stop it first`)
}
