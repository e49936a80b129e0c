import { get } from 'node:https'
import { connect, type TLSSocket } from 'node:tls'
import { clientContextOptions } from '@leastwise/identity/node'
import type { NodeCredentials } from '@leastwise/swarm'

/** A connection of one worker to the service of another: no manager is in between. */
export interface DirectConnection {
  /** Whom the service says it is talking to; null when it does not talk. */
  readonly ask: () => Promise<string | null>
  /** Resolves when the connection is gone. */
  readonly gone: Promise<void>
  readonly close: () => void
}

/** Opens it under the worker's own identity. */
export async function reach(address: string, credentials: NodeCredentials): Promise<DirectConnection> {
  const { privateKey, certificateChain, trustBundle } = credentials
  const socket: TLSSocket = connect({
    ...clientContextOptions({ privateKey, certificateChain, trustBundle: new TextDecoder().decode(trustBundle) }),
    host: '127.0.0.1',
    port: Number(address.slice(address.lastIndexOf(':') + 1)),
    servername: 'swarm-worker',
    ALPNProtocols: ['http/1.1'],
  })
  socket.on('error', () => undefined)
  const gone = new Promise<void>((resolve) => {
    socket.once('close', () => {
      resolve()
    })
  })
  await Promise.race([
    gone,
    new Promise((resolve) => {
      socket.once('secureConnect', resolve)
    }),
  ])
  return {
    gone,
    close: () => {
      socket.destroy()
    },
    ask: async () =>
      await new Promise((resolve) => {
        if (socket.destroyed) {
          resolve(null)
          return
        }
        const request = get({ createConnection: () => socket, headers: { connection: 'keep-alive' } }, (response) => {
          let text = ''
          response.setEncoding('utf8').on('data', (part: string) => {
            text += part
          })
          response.once('end', () => {
            resolve((JSON.parse(text) as { readonly nodeId: string }).nodeId)
          })
        })
        request.once('error', () => {
          resolve(null)
        })
      }),
  }
}
