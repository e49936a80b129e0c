import { systemClock } from '@leastwise/identity/node'
import type { Clock } from '@leastwise/swarm'
import { CALL_TIMEOUT_MS } from '@leastwise/swarm/node'

/** The real clock, of which no pause is longer than `mostMs`; but the deadline of a call is what it is. */
export const hurriedClock = (mostMs: number): Clock => ({
  now: systemClock.now,
  sleep: async (ms, options) => {
    await systemClock.sleep(ms === CALL_TIMEOUT_MS ? ms : Math.min(ms, mostMs), options)
  },
})
