import { malformed, type Sender } from './fields.ts'

/** Seconds and nanoseconds, the shape of the wire's durations and timestamps. */
interface SecondsAndNanos {
  readonly seconds: bigint
  readonly nanos: number
}

/** A duration or an instant in whole milliseconds as the wire has it; nanoseconds are never negative for instants. */
export function durationOf(ms: number): { readonly seconds: bigint; readonly nanos: number } {
  const whole = Math.trunc(ms)
  const seconds = Math.trunc(whole / 1000)
  return { seconds: BigInt(seconds), nanos: (whole - seconds * 1000) * 1_000_000 }
}

/** Largest number of seconds that is still exact in milliseconds. */
const MAX_SECONDS = BigInt(Math.trunc(Number.MAX_SAFE_INTEGER / 1000) - 1)

/** Milliseconds of a duration or instant; absent means 0. */
export function durationMs(wire: SecondsAndNanos | undefined, sender: Sender): number {
  if (wire === undefined) return 0
  if (wire.seconds > MAX_SECONDS || wire.seconds < -MAX_SECONDS) throw malformed(sender, 'duration or instant')
  return Number(wire.seconds) * 1000 + Math.trunc(wire.nanos / 1_000_000)
}
