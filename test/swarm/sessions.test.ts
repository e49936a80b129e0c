import { fromBinary } from '@bufbuild/protobuf'
import { clientContextOptions, systemRandom } from '@leastwise/identity/node'
import { createSessionRegistry, HEARTBEAT_PERIOD_MS, SwarmError } from '@leastwise/swarm'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SessionMessageSchema } from '../../packages/swarm/src/gen/docker/swarmkit/v1/dispatcher_pb.ts'
import { manualClock } from '../support/manual-clock.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { field, openCall, rawCall, rawHttp2 } from '../support/swarm-raw.ts'
import { startManager } from '../support/swarm-server.ts'

const registry = () => createSessionRegistry({ random: seededRandom(3) })
const over = new SwarmError('SESSION_UNKNOWN', 'over')

describe('the session registry', () => {
  it('lets a node register three times in eight seconds, then refuses, then forgets', () => {
    const sessions = registry()
    for (let at = 0; at < 3; at += 1) sessions.register('a', 1000 + at)
    expect(() => sessions.register('a', 8999)).toThrowCode('REGISTRATION_LIMIT')
    expect(sessions.register('b', 8999).nodeId).toBe('b')
    expect(sessions.register('a', 9000).nodeId).toBe('a')
  })

  it('does not let a refused registration end the session that lives', () => {
    const sessions = registry()
    const live = [sessions.register('a', 0), sessions.register('a', 0), sessions.register('a', 0)][2]!
    expect(() => sessions.register('a', 1)).toThrowCode('REGISTRATION_LIMIT')
    expect(sessions.find('a', live.sessionId)).toBe(live)
    expect(live.signal.aborted).toBe(false)
  })

  it('ends the older session of a node with the newer', () => {
    const sessions = registry()
    const first = sessions.register('a', 0)
    const second = sessions.register('a', 1)
    expect(first.signal.reason).toMatchObject({ code: 'SESSION_REPLACED' })
    expect(second.signal.aborted).toBe(false)
    expect(() => sessions.find('a', first.sessionId)).toThrowCode('SESSION_UNKNOWN')
    expect(sessions.end(first, over)).toBe(false)
    expect(sessions.end(second, over)).toBe(true)
    expect(sessions.list()).toEqual([])
  })

  it('knows a session only under its own node', () => {
    const sessions = registry()
    const { sessionId } = sessions.register('a', 0)
    sessions.register('b', 0)
    expect(() => sessions.find('b', sessionId)).toThrowCode('SESSION_UNKNOWN')
    expect(() => sessions.beat('b', sessionId, 1)).toThrowCode('SESSION_UNKNOWN')
    expect(() => sessions.beat('c', sessionId, 1)).toThrowCode('SESSION_UNKNOWN')
  })

  it('asks for heartbeats within half a second of five, and allows three of them', () => {
    fc.assert(
      fc.property(fc.integer(), fc.nat(1e9), (seed, now) => {
        const sessions = createSessionRegistry({ random: seededRandom(seed) })
        const session = sessions.register('a', now)
        const period = sessions.beat('a', session.sessionId, now + 10)
        expect(Math.abs(period - HEARTBEAT_PERIOD_MS)).toBeLessThanOrEqual(500)
        expect(sessions.deadline(session)).toBe(now + 10 + 3 * period)
      }),
    )
  })
})

describe('a session on the wire', () => {
  const start = async () => {
    const clock = manualClock()
    const running = await startManager({ clock, periodMs: 5000 })
    const credentials = await running.member()
    const { privateKey, certificateChain, trustBundle } = credentials
    const session = await rawHttp2(
      running.port,
      clientContextOptions({ privateKey, certificateChain, trustBundle: Buffer.from(trustBundle).toString() }),
    )
    const register = async () => {
      const call = openCall(session, 'Dispatcher/Session', new Uint8Array())
      return { ...call, sessionId: fromBinary(SessionMessageSchema, await call.first).sessionId }
    }
    return { clock, running, credentials, session, register }
  }

  it('goes down, streams and all, when heartbeats stop; not before', async () => {
    const { clock, running, session, register } = await start()
    const { stream, answer, sessionId } = await register()
    const assignments = openCall(session, 'Dispatcher/Assignments', field(1, sessionId))
    await assignments.first
    await clock.advance(14_000)
    expect(await rawCall(session, 'Dispatcher/Heartbeat', field(1, sessionId))).toMatchObject({ grpcStatus: 0 })
    await clock.advance(14_000)
    expect(stream.closed).toBe(false)
    await clock.advance(3000)
    expect(await answer).toMatchObject({ grpcStatus: 5, code: 'SESSION_UNKNOWN' })
    expect(await assignments.answer).toMatchObject({ grpcStatus: 5, code: 'SESSION_UNKNOWN' })
    expect(running.manager.presences.map(({ presence }) => presence)).toEqual(['ready', 'down'])
    expect(await rawCall(session, 'Dispatcher/Heartbeat', field(1, sessionId))).toMatchObject({
      grpcStatus: 5,
      code: 'SESSION_UNKNOWN',
    })
  })

  it('gives way to a newer one of the same node', async () => {
    const { session, register, running } = await start()
    const first = await register()
    const second = await register()
    expect(await first.answer).toMatchObject({ grpcStatus: 5, code: 'SESSION_REPLACED' })
    expect(await rawCall(session, 'Dispatcher/Heartbeat', field(1, first.sessionId))).toMatchObject({ grpcStatus: 5 })
    expect(await rawCall(session, 'Dispatcher/Heartbeat', field(1, second.sessionId))).toMatchObject({ grpcStatus: 0 })
    expect(running.manager.presences.map(({ presence }) => presence)).toEqual(['ready', 'ready'])
  })

  it('is refused when it is opened too often', async () => {
    const { session, register } = await start()
    for (let at = 0; at < 3; at += 1) await register()
    expect(await rawCall(session, 'Dispatcher/Session')).toMatchObject({ grpcStatus: 14, code: 'REGISTRATION_LIMIT' })
  })

  it('of another node opens nothing', async () => {
    const { running, register } = await start()
    const { sessionId } = await register()
    const other = await running.member()
    const thief = await rawHttp2(
      running.port,
      clientContextOptions({ ...other, trustBundle: Buffer.from(other.trustBundle).toString() }),
    )
    expect(await rawCall(thief, 'Dispatcher/Assignments', field(1, sessionId))).toMatchObject({
      grpcStatus: 5,
      messages: [],
    })
  })

  it('leaves no sleeper behind when the node goes', async () => {
    const { clock, register, running } = await start()
    const { stream } = await register()
    expect(clock.sleepers()).toBe(1)
    stream.close()
    while (running.manager.presences.length < 2) await new Promise((resolve) => setImmediate(resolve))
    await clock.advance(0)
    expect(clock.sleepers()).toBe(0)
    expect(running.manager.presences.at(-1)).toMatchObject({ presence: 'disconnected' })
  })
})

it('session ids are fresh', () => {
  const sessions = createSessionRegistry({ random: systemRandom })
  expect(sessions.register('a', 0).sessionId).not.toBe(sessions.register('a', 1).sessionId)
})
