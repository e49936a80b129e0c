import { systemRandom } from '@leastwise/identity/node'
import { createSessionRegistry, MAX_REGISTRATIONS, REGISTRATION_WINDOW_MS } from '@leastwise/swarm'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createRegistrationPace } from '../../packages/swarm/src/agent/registration-pace.ts'

const START = Date.UTC(2026, 10, 22)

describe('a node that keeps to its pace', () => {
  it('is never refused by the limit of a manager, however often it has something to report', () => {
    const wishes = fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 2 * REGISTRATION_WINDOW_MS })), {
      maxLength: 60,
    })
    // Its answer takes a while, so that the node's window begins after the manager's.
    const latency = fc.integer({ min: 0, max: 500 })
    fc.assert(
      fc.property(wishes, latency, (pauses, latencyMs) => {
        const manager = createSessionRegistry({ random: systemRandom })
        const pace = createRegistrationPace()
        let now = START
        for (const pause of pauses) {
          now += pause
          const wait = pace.pauseMs(now)
          expect(wait).toBeLessThanOrEqual(REGISTRATION_WINDOW_MS)
          now += wait
          manager.register('node', now)
          now += latencyMs
          pace.note(now)
        }
      }),
    )
  })

  it('waits for nothing before the limit is reached', () => {
    const pace = createRegistrationPace()
    for (let count = 0; count < MAX_REGISTRATIONS; count += 1) {
      expect(pace.pauseMs(START)).toBe(0)
      pace.note(START)
    }
    expect(pace.pauseMs(START + 100)).toBe(REGISTRATION_WINDOW_MS - 100)
    expect(pace.pauseMs(START + REGISTRATION_WINDOW_MS)).toBe(0)
  })

  it('waits no longer than that when its clock was set back', () => {
    const pace = createRegistrationPace()
    for (let count = 0; count < MAX_REGISTRATIONS; count += 1) pace.note(START)
    expect(pace.pauseMs(START - 3_600_000)).toBe(REGISTRATION_WINDOW_MS)
  })
})
