import { chmodSync, linkSync, lstatSync, renameSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { codeOf, OrchestratorError, publicFace } from '../errors.ts'
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

async function answer(
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

/** True when another process answers on the socket. */
async function isAnswered(path: string): Promise<boolean> {
  return await new Promise((resolve) => {
    const probe = connect(path)
    probe.on('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.on('error', () => {
      resolve(false)
    })
  })
}

/** Gives a socket that listens already its name; false if that is taken. */
function publish(own: string, path: string): boolean {
  try {
    linkSync(own, path)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  }
}

/** Takes the socket of a manager that is gone out of the way, and puts back what turns out to be another one's by now. */
function clearAway(path: string, dead: number | undefined, aside: string): void {
  try {
    renameSync(path, aside)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return
    throw error
  }
  if (lstatSync(aside).ino !== dead) publish(aside, path)
  rmSync(aside)
}

/**
 * Listens on the data directory's socket, which only its owner can reach; of several managers that start at once one gets it.
 *
 * The socket gets its name only when it listens, so that one which does not answer is certainly a dead manager's.
 */
export async function serveOperator(
  dataDirectory: string,
  find: (path: string) => Operation | undefined,
): Promise<Server> {
  const path = operatorSocket(dataDirectory)
  // No longer than the final name, whose length was checked.
  const own = join(dataDirectory, `.${process.pid}.sock`)
  rmSync(own, { force: true })
  const server = createServer((request, response) => {
    void answer(request, response, find)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(own, resolve)
  })
  try {
    chmodSync(own, 0o600)
    if (publish(own, path)) return server
    const found = lstatSync(path, { throwIfNoEntry: false })?.ino
    if (!(await isAnswered(path))) {
      clearAway(path, found, `${own}.dead`)
      if (publish(own, path)) return server
    }
    throw new OrchestratorError('ALREADY_RUNNING', `another manager runs in ${dataDirectory}; stop it first`)
  } catch (error) {
    server.close()
    throw error
  } finally {
    rmSync(own, { force: true })
  }
}
