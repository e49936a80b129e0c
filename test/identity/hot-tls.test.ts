import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { createServer as createHttpsServer, request } from 'node:https'
import { createServer } from 'node:tls'
import { type DrainReport, hotAgent, hotTls } from '@leastwise/identity/node'
import { describe, expect, it, onTestFinished } from 'vitest'
import { manualClock } from '../support/manual-clock.ts'
import { STACKS } from './hot-tls-stacks.ts'
import { gate, listening, type Pair, pair } from './hot-tls-support.ts'
import { identityOf } from './tls-support.ts'

const never = new AbortController().signal
const DEADLINE_MS = 10_000

/** Some stacks say that an answer was cut, with others it just ends. */
const ended = async (answer: Promise<string>): Promise<string> => await answer.catch(() => 'cut')

describe.each(STACKS)('$name', ({ serve, connect }) => {
  async function start(): Promise<
    Pair & { readonly gate: ReturnType<typeof gate>; readonly stack: ReturnType<typeof connect> }
  > {
    const parts = await pair()
    const held = gate()
    const port = await serve(parts.server.hot, held)
    const stack = connect(parts.client.hot, port)
    onTestFinished(async () => {
      held.open()
      await stack.close()
    })
    return { ...parts, gate: held, stack }
  }
  const last = (serials: readonly string[]): string | undefined => serials.at(-1)

  it('both sides see each other, and a renewed client is seen as renewed by its next request', async () => {
    const { server, client, manager, worker, stack } = await start()
    expect(await stack.ask()).toBe('ok')
    expect(server.shown).toEqual([worker.certificate.serial])
    expect(client.shown).toEqual([manager.certificate.serial])
    const renewed = await client.renew()
    expect(await stack.ask()).toBe('ok')
    expect(last(server.shown)).toBe(renewed.certificate.serial)
  })

  it('what was under way at a client when its identity changed comes to its end, and then the connection is gone', async () => {
    const { server, client, gate: held, stack } = await start()
    const begun = await stack.begin()
    const renewed = await client.renew()
    const clock = manualClock()
    let drained = false
    const drain = client.hot.drain({ clock, deadlineMs: DEADLINE_MS, signal: never }).then((report) => {
      drained = true
      return report
    })
    expect(await stack.ask()).toBe('ok')
    expect(last(server.shown)).toBe(renewed.certificate.serial)
    expect(drained).toBe(false)
    expect(client.hot.connections().former).toBe(1)
    held.open()
    expect(await begun.finish()).toBe('hello bye')
    expect(await drain).toEqual({ finished: 1, cut: 0 })
    expect(client.hot.connections().former).toBe(0)
    expect(clock.sleepers()).toBe(0)
  })

  it('no request fails because its client changes over, however far it has come', async () => {
    const { client, stack } = await start()
    const asked: Promise<string>[] = []
    for (let round = 0; round < 5; round += 1) {
      // Some have no connection yet, some wait for their answer, and some come after.
      asked.push(stack.ask(), stack.ask())
      await client.renew()
      asked.push(stack.ask())
      if (round % 2 === 1) await asked.at(-1)
    }
    expect(await Promise.all(asked)).toEqual(asked.map(() => 'ok'))
  })

  it('what does not end before the deadline is cut', async () => {
    const { client, stack } = await start()
    const begun = await stack.begin()
    await client.renew()
    const clock = manualClock()
    const drain = client.hot.drain({ clock, deadlineMs: DEADLINE_MS, signal: never })
    const broken = ended(begun.finish())
    await clock.advance(DEADLINE_MS - 1)
    expect(client.hot.connections().former).toBe(1)
    await clock.advance(1)
    expect(await drain).toEqual({ finished: 0, cut: 1 })
    expect(await broken).not.toContain('bye')
  })

  it('a server that drains lets an answer end, and its clients come back to the new identity', async () => {
    const { server, client, gate: held, stack } = await start()
    const begun = await stack.begin()
    const renewed = await server.renew()
    const clock = manualClock()
    const drain = server.hot.drain({ clock, deadlineMs: DEADLINE_MS, signal: never })
    held.open()
    expect(await begun.finish()).toBe('hello bye')
    expect(await drain).toEqual({ finished: 1, cut: 0 })
    expect(await stack.ask()).toBe('ok')
    expect(last(client.shown)).toBe(renewed.certificate.serial)
  })

  it('a node that is evicted is cut in the middle, and is not let in again', async () => {
    const { server, worker, stack } = await start()
    const begun = await stack.begin()
    const broken = ended(begun.finish())
    expect(server.evict(worker).map(({ nodeId }) => nodeId)).toEqual([worker.nodeId])
    expect(await broken).not.toContain('bye')
    expect(await ended(stack.ask())).not.toBe('ok')
    expect(server.registry.size).toBe(0)
  })

  it('a server that is evicted is cut by its client, which does not ask it again', async () => {
    const { client, manager, stack } = await start()
    const begun = await stack.begin()
    const broken = ended(begun.finish())
    expect(client.evict(manager).map(({ nodeId }) => nodeId)).toEqual([manager.nodeId])
    expect(await broken).not.toContain('bye')
    expect(await ended(stack.ask())).not.toBe('ok')
    expect(client.registry.size).toBe(0)
  })
})

describe.each(STACKS.filter(({ name }) => name === 'node:https' || name === 'undici'))(
  'a server of $name that drains',
  ({ serve, connect }) => {
    it('loses no request that is on its way over an idle connection', async () => {
      const { server, client, cluster, manager } = await pair()
      const stack = connect(client.hot, await serve(server.hot, gate()))
      onTestFinished(stack.close)
      const drains: Promise<DrainReport>[] = []
      for (let ticks = 0; ticks < 8; ticks += 1) {
        const renewed = identityOf(await cluster.issue({ role: 'manager', nodeId: manager.nodeId }))
        expect(await stack.ask()).toBe('ok')
        const asked = stack.ask()
        // Until the client has written it, and before the server can have read it.
        for (let tick = 0; tick < ticks; tick += 1)
          await new Promise<void>((resolve) => {
            process.nextTick(resolve)
          })
        server.hot.update(renewed)
        drains.push(server.hot.drain({ clock: manualClock(), deadlineMs: DEADLINE_MS, signal: never }))
        expect(await asked).toBe('ok')
      }
      for (const { cut } of await Promise.all(drains)) expect(cut).toBe(0)
      expect(server.hot.connections().former).toBe(0)
    })
  },
)

describe('draining', () => {
  async function open() {
    const { server, client } = await pair()
    const listener = createServer(server.hot.serverOptions())
    server.hot.serve(listener)
    const port = await listening(listener)
    const dial = async () => {
      const socket = client.hot.dial({ host: '127.0.0.1', port })
      socket.on('error', () => undefined)
      const arrived = once(listener, 'secureConnection')
      await Promise.all([once(socket, 'secureConnect'), arrived])
      return socket
    }
    return { server, client, dial }
  }

  it('is over at once when nothing is left of former identities, and leaves the others alone', async () => {
    const { client, dial } = await open()
    const socket = await dial()
    expect(await client.hot.drain({ clock: manualClock(), deadlineMs: DEADLINE_MS, signal: never })).toEqual({
      finished: 0,
      cut: 0,
    })
    expect(socket.destroyed).toBe(false)
    expect(client.hot.isCurrent(socket)).toBe(true)
    await client.renew()
    expect(client.hot.isCurrent(socket)).toBe(false)
    expect(client.hot.connections()).toEqual({ open: 1, former: 1 })
  })

  it('waits for connections that are being opened under the former identity, and ends or cuts them too', async () => {
    const { server, client, manager, worker } = await pair()
    const listener = createServer(server.hot.serverOptions())
    server.hot.serve(listener)
    const port = await listening(listener)
    const renewed = identityOf(worker)
    const dial = () => {
      const socket = client.hot.dial({ host: '127.0.0.1', port })
      socket.on('error', () => undefined)
      return socket
    }
    const told = dial()
    dial()
    client.hot.update(renewed)
    expect(client.hot.connections()).toEqual({ open: 2, former: 2 })
    const clock = manualClock()
    let drained = false
    const drain = client.hot.drain({ clock, deadlineMs: DEADLINE_MS, signal: never }).finally(() => {
      drained = true
    })
    await once(told, 'secureConnect')
    expect(client.shown[0]).toBe(manager.certificate.serial)
    expect(drained).toBe(false)
    client.hot.finishWith(told, () => {
      told.end()
    })
    await once(told, 'close')
    expect(drained).toBe(false)
    await clock.advance(DEADLINE_MS)
    expect(await drain).toEqual({ finished: 1, cut: 1 })
    expect(client.hot.connections()).toEqual({ open: 0, former: 0 })
  })

  it('does not wait for a connection that was refused, or that nobody answers', async () => {
    const { client } = await pair()
    const closed = createServer()
    const port = await listening(closed)
    closed.close()
    const socket = client.hot.dial({ host: '127.0.0.1', port })
    const failed = once(socket, 'error')
    await client.renew()
    const drain = client.hot.drain({ clock: manualClock(), deadlineMs: DEADLINE_MS, signal: never })
    await failed
    expect(await drain).toEqual({ finished: 1, cut: 0 })
  })

  it('ends connections of any protocol in the way that the host says', async () => {
    const { client, dial } = await open()
    const [told, untold] = [await dial(), await dial()]
    client.hot.finishWith(told, () => {
      told.end()
    })
    await client.renew()
    const clock = manualClock()
    const drain = client.hot.drain({ clock, deadlineMs: DEADLINE_MS, signal: never })
    await once(told, 'close')
    expect(untold.destroyed).toBe(false)
    await clock.advance(DEADLINE_MS)
    expect(await drain).toEqual({ finished: 1, cut: 1 })
  })

  it('stops waiting with the reason of the signal', async () => {
    const { client, dial } = await open()
    const socket = await dial()
    await client.renew()
    const stop = new AbortController()
    const options = { clock: manualClock(), deadlineMs: DEADLINE_MS, signal: stop.signal }
    const reason = new Error('the host stops')
    const drain = client.hot.drain(options)
    stop.abort(reason)
    await expect(drain).rejects.toBe(reason)
    await expect(client.hot.drain(options)).rejects.toBe(reason)
    expect(socket.destroyed).toBe(false)
  })

  it('a connection that was begun before an update is a former one, and ends with its first answer if others were asked to', async () => {
    const { server, client, cluster, manager } = await pair()
    const listener = createHttpsServer(server.hot.serverOptions(['http/1.1']), (_, response) => {
      response.end('ok')
    })
    server.hot.serve(listener)
    const port = await listening(listener)
    const renewed = identityOf(await cluster.issue({ role: 'manager', nodeId: manager.nodeId }))
    const drains: Promise<DrainReport>[] = []
    // Its context is chosen by then, and nothing was said on it yet.
    listener.once('connection', () => {
      server.hot.update(renewed)
      drains.push(server.hot.drain({ clock: manualClock(), deadlineMs: DEADLINE_MS, signal: never }))
    })
    const { agent, close } = hotAgent(client.hot)
    onTestFinished(close)
    const get = request({ host: '127.0.0.1', port, agent })
    get.end()
    const [response] = (await once(get, 'response')) as [IncomingMessage]
    expect(client.shown).toEqual([manager.certificate.serial])
    const gone = once(response.socket, 'close')
    response.resume()
    await gone
    expect(await Promise.all(drains)).toEqual([{ finished: 0, cut: 0 }])
  })
})

it('nothing is admitted to a server whose connections cannot be seen', async () => {
  const { manager } = await pair()
  const blind = { setSecureContext: () => undefined }
  const strict = hotTls(identityOf(manager), { admit: () => undefined })
  expect(() => strict.serve(blind)).toThrow(TypeError)
  hotTls(identityOf(manager)).serve(blind)()
})
