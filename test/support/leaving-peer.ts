import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Http2SecureServer, ServerHttp2Session, ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url))
const MOST_MS = 20_000
/** It goes within so many milliseconds, while the client asks for more. */
const STAY_MS = 1

export interface Leaving {
  /** `farewell`: it says that it goes away, and refuses what was asked for meanwhile, often before the client has sent all of it. `cut`: the connection ends without a word. */
  readonly by: 'cut' | 'farewell'
  /** What the answer begins with. */
  readonly message?: Uint8Array
}

/**
 * A gRPC server that begins to answer the first call of each connection, and then leaves.
 *
 * @returns The port on loopback.
 */
export async function leavesAfterFirstCall(
  server: Http2SecureServer,
  { by, message = new Uint8Array() }: Leaving,
): Promise<number> {
  let latest: TLSSocket | null = null
  server.prependListener('secureConnection', (socket: TLSSocket) => {
    latest = socket
  })
  server.on('sessionError', () => undefined)
  server.on('session', (session: ServerHttp2Session) => {
    const socket = latest
    const leave = (): void => {
      if (by === 'farewell') session.close()
      else socket?.destroy()
    }
    session.on('error', () => undefined)
    session.once('stream', (stream: ServerHttp2Stream) => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc+proto' })
      const prefix = Buffer.alloc(5)
      prefix.writeUInt32BE(message.length, 1)
      stream.write(Buffer.concat([prefix, message]))
      const until = performance.now() + Math.random() * STAY_MS
      const stay = (): void => {
        if (performance.now() < until) setImmediate(stay)
        else leave()
      }
      stay()
    })
    session.on('stream', (stream) => {
      stream.on('error', () => undefined)
      if (!stream.headersSent) stream.respond({ ':status': 503 }, { endStream: true })
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
  })
  return (server.address() as AddressInfo).port
}

/**
 * Runs a program in a process of its own, which is killed when it hangs: what never comes back from Node could not be stopped by a test in the same process.
 *
 * @returns The last line that it printed, or what ended it.
 */
export async function lastLineOf(program: string, told: unknown): Promise<unknown> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    cwd: REPOSITORY,
    env: { ...process.env, LEASTWISE_TOLD: JSON.stringify(told) },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  let complained = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complained += text
  })
  const late = setTimeout(() => child.kill('SIGKILL'), MOST_MS)
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  clearTimeout(late)
  return code === 0 ? JSON.parse(said.trim().split('\n').at(-1) ?? 'null') : { code, signal, said, complained }
}
