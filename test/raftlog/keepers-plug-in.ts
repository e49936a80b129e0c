import { createCipheriv, createDecipheriv, createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Fields of a protobuf message, length-delimited ones alone; enough to stand in for a plug-in. */
export function readFields(message: Uint8Array): readonly { readonly number: number; readonly value: Uint8Array }[] {
  const fields: { number: number; value: Uint8Array }[] = []
  for (let at = 0; at < message.length; ) {
    const number = message[at]! >> 3
    let length = 0
    let shift = 0
    for (at += 1; ; at += 1) {
      length |= (message[at]! & 0x7f) << shift
      shift += 7
      if (message[at]! < 0x80) break
    }
    fields.push({ number, value: message.subarray(at + 1, at + 1 + length) })
    at += 1 + length
  }
  return fields
}

/** Such a message, with values of up to 16,383 bytes. */
export const writeFields = (fields: readonly (readonly [number, Uint8Array | string])[]): Uint8Array =>
  Buffer.concat(
    fields.flatMap(([number, value]) => {
      const bytes = Buffer.from(value)
      const length = bytes.length < 128 ? [bytes.length] : [(bytes.length & 0x7f) | 0x80, bytes.length >> 7]
      return [Buffer.of((number << 3) | 2, ...length), bytes]
    }),
  )

export const framed = (message: Uint8Array): Buffer => {
  const prefix = Buffer.alloc(5)
  prefix.writeUInt32BE(message.length, 1)
  return Buffer.concat([prefix, message])
}

/** What a plug-in answers: a message, or a status. */
export type Answer = Uint8Array | { readonly status: number; readonly text?: string }

/** One method of a plug-in, given the message of its request. */
export type Method = (message: Uint8Array) => Answer

/** Takes a stream instead of answering it properly. */
export type Misbehave = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, session: ServerHttp2Session) => void

export interface PlugIn {
  readonly socketPath: string
  /** Paths of the calls so far, and the messages. */
  readonly calls: { readonly path: string; readonly headers: IncomingHttpHeaders; readonly message: Uint8Array }[]
  /** Methods by name; a test replaces what it likes. */
  readonly methods: Record<string, Method>
  misbehave: Misbehave | null
  readonly connections: () => number
  /** Cuts all connections as if the process had died. */
  readonly cut: () => void
  readonly close: () => Promise<void>
}

/** The methods of a plug-in whose service is one AES-256-GCM key. */
export function methodsOf(secret: string): Record<string, Method> {
  const key = createHash('sha256').update(secret).digest()
  const keyId = `key-of-${createHash('sha256').update(key).digest('hex').slice(0, 8)}`
  return {
    Status: () =>
      writeFields([
        [1, 'v2'],
        [2, 'ok'],
        [3, keyId],
      ]),
    Encrypt: (message) => {
      const plain = readFields(message).find(({ number }) => number === 1)!.value
      const nonce = createHash('sha256').update(message).digest().subarray(0, 12)
      const cipher = createCipheriv('aes-256-gcm', key, nonce)
      const sealed = Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
      return writeFields([
        [1, sealed],
        [2, keyId],
        [
          3,
          writeFields([
            [1, 'version.plug-in.example'],
            [2, '1'],
          ]),
        ],
        [
          3,
          writeFields([
            [1, 'region.plug-in.example'],
            [2, 'here'],
          ]),
        ],
      ])
    },
    Decrypt: (message) => {
      const fields = readFields(message)
      const sealed = fields.find(({ number }) => number === 1)!.value
      const named = Buffer.from(fields.find(({ number }) => number === 3)?.value ?? []).toString()
      if (named !== keyId) return { status: 5, text: 'no such key' }
      try {
        const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12))
        decipher.setAuthTag(sealed.subarray(-16))
        return writeFields([[1, Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()])]])
      } catch {
        return { status: 3, text: 'not mine' }
      }
    },
  }
}

/** A KMS v2 plug-in on a unix socket of its own. */
export async function startPlugIn(secret = 'a key of the service'): Promise<PlugIn> {
  const directory = mkdtempSync(join(tmpdir(), 'lw-kms-'))
  const socketPath = join(directory, 'kms.sock')
  const sessions = new Set<ServerHttp2Session>()
  const sockets = new Set<Socket>()
  const server = createServer()
  server.on('connection', (socket: Socket) => sockets.add(socket))
  let connections = 0
  const plugIn: PlugIn = {
    socketPath,
    calls: [],
    methods: methodsOf(secret),
    misbehave: null,
    connections: () => connections,
    cut: () => {
      for (const socket of sockets) socket.destroy()
    },
    close: async () => {
      for (const session of sessions) session.destroy()
      await new Promise((resolve) => server.close(resolve))
      rmSync(directory, { recursive: true, force: true })
    },
  }
  server.on('session', (session) => {
    connections += 1
    sessions.add(session)
    session.on('close', () => sessions.delete(session))
    session.on('error', () => undefined)
  })
  server.on('sessionError', () => undefined)
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    stream.on('error', () => undefined)
    if (plugIn.misbehave !== null) {
      plugIn.misbehave(stream, headers, stream.session as ServerHttp2Session)
      return
    }
    const chunks: Buffer[] = []
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('end', () => {
      const path = String(headers[':path'])
      const message = Buffer.concat(chunks).subarray(5)
      plugIn.calls.push({ path, headers, message })
      const answer = plugIn.methods[path.replace('/v2.KeyManagementService/', '')]?.(message) ?? { status: 12 }
      if (answer instanceof Uint8Array) {
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
        stream.on('wantTrailers', () => {
          stream.sendTrailers({ 'grpc-status': '0' })
        })
        stream.end(framed(answer))
      } else {
        stream.respond(
          {
            ':status': 200,
            'content-type': 'application/grpc',
            'grpc-status': String(answer.status),
            'grpc-message': answer.text ?? '',
          },
          { endStream: true },
        )
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(socketPath, resolve))
  return plugIn
}
