import { DEFAULT_ROTATION_POLICY, type RotationPolicy } from '@leastwise/identity'
import { DAY_MS, HOUR_MS } from './sim.ts'

export const START: number = Date.UTC(2027, 0, 1)
export const END: number = START + 365 * DAY_MS
export const NODES = 10_000
export const DEAD = 100
export const SLEEPERS = 50
export const EVICTIONS = 100
export const HUNG = 20
export const LATECOMERS = 10
export const ROLE_CHANGES = 10
/** The second one comes while nodes may still trust nothing but the root before the first. */
export const ROTATIONS: readonly number[] = [START + 120 * DAY_MS, START + 195 * DAY_MS]
/** Without any manager, in the days in which most renewals are due. */
export const LONG_OUTAGE_MS = 2 * HOUR_MS
export const WAIT_FOR_STRAGGLERS_MS = 2 * DAY_MS

/** What suits ten thousand nodes: more at once from the beginning than the default. */
export const POLICY: RotationPolicy = { ...DEFAULT_ROTATION_POLICY, startWindow: 400, windowStep: 100 }
