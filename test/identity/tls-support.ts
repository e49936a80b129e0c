import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { type ConnectionOptions, connect, createServer, type Server, type TLSSocket, type TlsOptions } from 'node:tls'
import type { TlsIdentity } from '@leastwise/identity/node'
import { onTestFinished } from 'vitest'
import type { TestNode } from '../support/test-authority.ts'

export const identityOf = ({ privateKey, certificateChain, trustBundle }: TestNode): TlsIdentity => ({
  privateKey,
  certificateChain,
  trustBundle,
})

export interface TestServer {
  readonly server: Server
  readonly port: number
  /** The server's end of the connections, in the order in which their handshakes ended. */
  readonly sockets: readonly TLSSocket[]
  readonly nextSocket: () => Promise<TLSSocket>
  /** Resolves with the code of the next handshake that fails. */
  readonly nextFailure: () => Promise<string>
}

/** A TLS server on loopback which echoes. */
export async function listen(options: TlsOptions): Promise<TestServer> {
  const server = createServer(options)
  const sockets: TLSSocket[] = []
  server.on('secureConnection', (socket) => {
    sockets.push(socket)
    socket.on('error', () => undefined)
    socket.on('data', (data: Buffer) => socket.write(data))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return {
    server,
    sockets,
    port: (server.address() as AddressInfo).port,
    nextSocket: async () => ((await once(server, 'secureConnection')) as [TLSSocket])[0],
    nextFailure: async () => ((await once(server, 'tlsClientError')) as [Error & { readonly code: string }])[0].code,
  }
}

/** A client whose handshake is complete; rejects with the error of one that fails. */
export async function dial(port: number, options: ConnectionOptions): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', port, ...options })
  onTestFinished(() => {
    socket.destroy()
  })
  await once(socket, 'secureConnect')
  socket.on('error', () => undefined)
  return socket
}

export async function echo(socket: TLSSocket, text: string): Promise<string> {
  const answer = once(socket, 'data')
  socket.write(text)
  return String(((await answer) as [Buffer])[0])
}
