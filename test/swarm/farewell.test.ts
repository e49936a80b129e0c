import { once } from 'node:events'
import { type ClientHttp2Stream, createServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { ClientSession } from '../../packages/swarm/src/node/client-session.ts'

it('a node outlives a manager that says farewell to a connection that is not in use', async () => {
  const server = createServer((_request, response) => {
    response.end()
  })
  server.on('session', (session) => {
    session.on('stream', (stream) => {
      stream.once('close', () => {
        setTimeout(() => {
          session.close()
        }, 20)
      })
    })
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  onTestFinished(() => {
    server.close()
  })
  const connections = new ClientSession(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, {}, {})
  const ask = async (): Promise<ClientHttp2Stream> => await connections.request('GET', '/', {}, {})
  const first = await ask()
  const session = first.session!
  first.resume().end()
  await once(first, 'close')
  // It has been destroyed with an error by now, which is told when its socket has closed; the next call replaces it before.
  await once(session, 'goaway')
  const closed = new Promise((resolve) => session.once('close', resolve))
  const second = await ask()
  second.resume().end()
  expect(session.destroyed).toBe(true)
  expect(second.session).not.toBe(session)
  await closed
  // Nobody listening, Node would have ended this process.
  expect(session.listenerCount('error')).toBeGreaterThan(0)
  await once(second, 'close')
})
