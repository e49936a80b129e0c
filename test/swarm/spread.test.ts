import { systemClock } from '@leastwise/identity/node'
import {
  type Clock,
  createSessionRegistry,
  HEARTBEAT_PERIOD_MS,
  HEARTBEAT_SPREAD_MS,
  MAX_REGISTRATIONS,
  type RandomSource,
  REGISTRATION_WINDOW_MS,
} from '@leastwise/swarm'
import { describe, expect, it } from 'vitest'
import { createBeatPauses } from '../../packages/swarm/src/agent/spread.ts'
import { hurriedClock } from '../support/hurried-clock.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { probeAgent } from '../support/swarm-probe.ts'
import { startManager } from '../support/swarm-server.ts'
import { testCluster } from '../support/test-authority.ts'

const NODES = 10_000
const SLOT_MS = 100

/** Beats in each tenth of a second of half a minute, when all nodes have come back in the same moment. */
function load(pauses: (seed: number) => (periodMs: number) => number): readonly number[] {
  const sessions = createSessionRegistry({ random: seededRandom(5) })
  const slots = new Array<number>(300).fill(0)
  for (let node = 0; node < NODES; node += 1) {
    const nodeId = `node-${node}`
    const { sessionId } = sessions.register(nodeId, 0)
    const pauseAfter = pauses(node)
    for (let at = 0; at < slots.length * SLOT_MS; ) {
      const slot = Math.floor(at / SLOT_MS)
      slots[slot] = (slots[slot] ?? 0) + 1
      at += pauseAfter(sessions.beat(nodeId, sessionId, at))
    }
  }
  // The very first beat of all falls into the moment in which they came.
  return slots.slice(1)
}

/** A unit of three quarters. */
const fixed: RandomSource = { bytes: (length) => new Uint8Array(length).fill(0xc0, 0, 1) }

describe('ten thousand nodes that come back in the same moment', () => {
  const even = (NODES * SLOT_MS) / HEARTBEAT_PERIOD_MS

  it('beat evenly from then on', () => {
    const spread = load((seed) => createBeatPauses(seededRandom(seed)))
    expect(Math.max(...spread)).toBeLessThan(1.4 * even)
    expect(Math.min(...spread)).toBeGreaterThan(0.6 * even)
  })

  it('would beat in step without that, whatever the manager draws', () => {
    expect(Math.max(...load(() => (periodMs) => periodMs))).toBeGreaterThan(4 * even)
  })
})

describe('an agent', () => {
  it('beats at once, then after a share of the period, then as the manager says', async () => {
    const sleeps: number[] = []
    const { now, sleep } = hurriedClock(5)
    const clock: Clock = {
      now,
      sleep: async (ms, options) => {
        sleeps.push(ms)
        await sleep(ms, options)
      },
    }
    const manager = await startManager({ periodMs: 1000 })
    const agent = probeAgent({ credentials: await manager.member(), managers: [manager.address], clock, random: fixed })
    await agent.next('session')
    const within = (from: number, to: number) => sleeps.filter((ms) => ms >= from && ms <= to)
    while (within(950, 1050).length < 5) await systemClock.sleep(5, { signal: new AbortController().signal })
    expect(within(950 / 4, 1050 / 4)).toHaveLength(1)
    expect(sleeps.indexOf(within(950 / 4, 1050 / 4)[0]!)).toBeLessThan(sleeps.indexOf(within(950, 1050)[0]!))
  })

  it('never waits longer than the manager says, and a new session begins with a beat of its own', () => {
    const pause = createBeatPauses(fixed)
    expect([pause(1000), pause(1000), pause(1200)]).toEqual([250, 1000, 1200])
    for (let seed = 0; seed < 100; seed += 1) {
      const first = createBeatPauses(seededRandom(seed))(HEARTBEAT_PERIOD_MS + HEARTBEAT_SPREAD_MS)
      expect(first > 0 && first <= HEARTBEAT_PERIOD_MS + HEARTBEAT_SPREAD_MS).toBe(true)
    }
  })

  it('of which all hear of a new bundle registers anew after a pause of its own, in the old session until then', async () => {
    let goOn = (): void => undefined
    const gate = new Promise<void>((resolve) => {
      goOn = resolve
    })
    let paused = (): void => undefined
    const pausing = new Promise<void>((resolve) => {
      paused = resolve
    })
    const clock: Clock = {
      now: systemClock.now,
      sleep: async (ms, options) => {
        // A quarter of two seconds: what no heart-beat waits for here.
        if (ms === 500) {
          paused()
          await gate
        } else await systemClock.sleep(ms, options)
      },
    }
    const { address, member, manager, cluster, sessions } = await startManager({ periodMs: 10_000 })
    const credentials = await member()
    const agent = probeAgent({ credentials, managers: [address], clock, random: fixed })
    const { sessionId } = await agent.next('session')
    const next = await testCluster({ commonName: 'swarm-ca-2' })
    manager.bundle.set(new TextEncoder().encode(cluster.root.pem + next.root.pem))
    await pausing
    expect(sessions.list().map((row) => row.sessionId)).toEqual([sessionId])
    const heard = agent.events.length
    goOn()
    const again = await agent.next('session', heard)
    expect(again.sessionId).not.toBe(sessionId)
    expect(agent.events.filter(({ type }) => type === 'disconnected')).toEqual([])
  })

  it('that has registered as often as a manager allows stays in its session until it may again', async () => {
    const pauses: number[] = []
    const clock: Clock = {
      now: systemClock.now,
      sleep: async (ms, options) => {
        if (ms > HEARTBEAT_PERIOD_MS + HEARTBEAT_SPREAD_MS && ms <= REGISTRATION_WINDOW_MS) pauses.push(ms)
        // The share of two seconds within which all register anew.
        await systemClock.sleep(ms === 500 ? 0 : ms, options)
      },
    }
    const { address, member, manager, cluster, sessions } = await startManager()
    const agent = probeAgent({ credentials: await member(), managers: [address], clock, random: fixed })
    await agent.next('session')
    const bundles = await Promise.all([2, 3, 4].map(async (n) => await testCluster({ commonName: `swarm-ca-${n}` })))
    for (const { root } of bundles.slice(0, MAX_REGISTRATIONS - 1)) {
      const heard = agent.events.length
      manager.bundle.set(new TextEncoder().encode(cluster.root.pem + root.pem))
      await agent.next('session', heard)
    }
    const [last] = bundles.slice(-1)
    manager.bundle.set(new TextEncoder().encode(cluster.root.pem + last!.root.pem))
    while (pauses.length === 0) await systemClock.sleep(5, { signal: new AbortController().signal })
    expect(sessions.list()).toHaveLength(1)
    expect(agent.events.filter(({ type }) => type === 'session')).toHaveLength(MAX_REGISTRATIONS)
    expect(agent.events.filter(({ type }) => type === 'disconnected')).toEqual([])
  })
})
